"""Generation gives each mode its conditions, the same noise to every model, and survives a kill."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

from assets.kinds.judging.generated_videos import planned_pipeline
from evaluation.benchmark.benchmark_plan import generation_plan
from evaluation.benchmark.generate import GenerationError, generate_videos, load_generated, reconstruct
from media import decode_clip, whole_directory
from omnihuman.autoencoder import (
    LAPTOP_CONFIG,
    decode_video,
    encode_video,
    to_frames,
    to_pixels,
    use_fast_layers,
)
from profiles import load_profile
from training.stages.model import build_transformer


def noises(pipeline):
    return [g.initial_seed() for call in pipeline.calls for g in call["generator"]]


def test_modes_decide_what_the_model_is_given(tmp_path, benchmark, config, obedient):
    given = {}
    for mode in ("audio", "pose", "shuffled_audio"):
        pipeline = obedient(benchmark)
        generate_videos(pipeline, benchmark, tmp_path / "m" / mode, mode, 20, config, weights="w")
        given[mode] = {k: [c[k] for c in pipeline.calls] for k in pipeline.calls[0]}
    assert all(k is None for k in given["audio"]["pose"] + given["shuffled_audio"]["pose"])
    assert torch.equal(torch.cat(given["pose"]["pose"]), benchmark.keypoints)
    assert torch.equal(torch.cat(given["audio"]["audio"]), benchmark.audio)
    assert torch.equal(torch.cat(given["shuffled_audio"]["audio"]), benchmark.audio.roll(-1, 0))
    assert torch.equal(torch.cat(given["shuffled_audio"]["image"]), benchmark.reference)
    assert [caption for batch in given["audio"]["prompt"] for caption in batch] == list(benchmark.captions)
    assert set(given["audio"]["num_inference_steps"]) == {20}
    assert set(given["audio"]["guidance_scale"]) == {config.guidance_scale}


def test_a_student_keeps_its_own_steps_and_guidance(tmp_path, benchmark, config, obedient):
    pipeline = obedient(benchmark)
    generate_videos(pipeline, benchmark, tmp_path / "m" / "audio", "audio", None, config, weights="w")
    assert {(c["num_inference_steps"], c["guidance_scale"]) for c in pipeline.calls} == {(None, None)}


def test_noise_belongs_to_the_clip(tmp_path, benchmark, config, obedient):
    teacher, student, second = obedient(benchmark), obedient(benchmark), obedient(benchmark)
    generate_videos(teacher, benchmark, tmp_path / "t" / "audio", "audio", 20, config, weights="t")
    other_batches = config.model_copy(update={"batch_size": 2})
    generate_videos(student, benchmark, tmp_path / "s" / "pose", "pose", 1, other_batches, weights="s")
    generate_videos(second, benchmark, tmp_path / "t" / "second_seed", "second_seed", 20, config, weights="t")
    assert noises(teacher) == noises(student) and len(set(noises(teacher))) == len(benchmark)
    assert not set(noises(second)) & set(noises(teacher))
    assert len(noises(second)) == 2 * config.batch_size


def test_what_is_written(tmp_path, benchmark, config, obedient):
    folder = tmp_path / "m" / "audio"
    seen = []
    generate_videos(
        obedient(benchmark), benchmark, folder, "audio", 20, config, lambda *a: seen.append(a), weights="abc"
    )
    frames, meta = load_generated(folder, benchmark)
    np.testing.assert_array_equal(frames, benchmark.frames)
    assert (meta["model"], meta["mode"], meta["steps"], meta["weights"], meta["clips"]) == ("m", "audio", 20, "abc", 8)
    assert meta["seconds_per_clip"] > 0
    assert seen == [(3, 8, "m audio"), (6, 8, "m audio"), (8, 8, "m audio")]
    previews = sorted(folder.glob("*.mp4"))
    assert len(previews) == 4
    clip = decode_clip(previews[0], 16.0)
    assert clip.frames.shape == (17, 256, 256, 3) and np.abs(clip.audio).max() > 0.05
    assert [p.name for p in folder.parent.iterdir()] == ["audio"]


def test_a_killed_run_goes_on_where_it_stopped(tmp_path, benchmark, config, obedient):
    folder = tmp_path / "m" / "audio"
    with pytest.raises(KeyboardInterrupt):
        generate_videos(obedient(benchmark, noise=9.0, fail_at=2), benchmark, folder, "audio", 1, config, weights="w")
    assert not folder.exists()
    rest, whole = obedient(benchmark, noise=9.0), obedient(benchmark, noise=9.0)
    generate_videos(rest, benchmark, folder, "audio", 1, config, weights="w")
    generate_videos(whole, benchmark, tmp_path / "n" / "audio", "audio", 1, config, weights="w")
    assert len(rest.calls) == 1 and len(whole.calls) == 3
    resumed, uninterrupted = (
        load_generated(folder, benchmark)[0],
        load_generated(tmp_path / "n" / "audio", benchmark)[0],
    )
    np.testing.assert_array_equal(resumed, uninterrupted)


def test_batches_of_other_weights_are_not_used(tmp_path, benchmark, config, obedient):
    folder = tmp_path / "m" / "audio"
    with pytest.raises(KeyboardInterrupt):
        generate_videos(obedient(benchmark, fail_at=2), benchmark, folder, "audio", 1, config, weights="old")
    pipeline = obedient(benchmark)
    generate_videos(pipeline, benchmark, folder, "audio", 1, config, weights="new")
    assert len(pipeline.calls) == 3 and [p.name for p in folder.parent.iterdir()] == ["audio"]


def test_unknown_modes_and_wrong_shapes_are_refused(tmp_path, benchmark, config, obedient):
    with pytest.raises(GenerationError, match="shuffled_audio"):
        generate_videos(obedient(benchmark), benchmark, tmp_path / "m" / "x", "singing", 1, config, weights="w")

    class Half(obedient):  # type: ignore[valid-type]
        def __call__(self, **inputs):
            output = super().__call__(**inputs)
            output.frames = output.frames[:, :9]
            return output

    with pytest.raises(GenerationError, match=r"expected \(3, 17, 64, 64, 3\)"):
        generate_videos(Half(benchmark), benchmark, tmp_path / "m" / "audio", "audio", 1, config, weights="w")


def test_videos_of_another_benchmark_are_refused(tmp_path, benchmark, config, obedient):
    folder = tmp_path / "m" / "audio"
    generate_videos(obedient(benchmark), benchmark, folder, "audio", 1, config, weights="w")
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps(meta | {"benchmark": "0" * 64}))
    with pytest.raises(GenerationError, match="another benchmark"):
        load_generated(folder, benchmark)


def test_a_directory_is_old_or_new_and_never_half(tmp_path):
    place = tmp_path / "place"
    with whole_directory(place) as folder:
        (folder / "a").write_text("old")
    with pytest.raises(RuntimeError), whole_directory(place) as folder:
        (folder / "a").write_text("half")
        raise RuntimeError
    assert (place / "a").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["place"]
    with whole_directory(place) as folder:
        (folder / "b").write_text("new")
    assert [p.name for p in place.iterdir()] == ["b"] and [p.name for p in tmp_path.iterdir()] == ["place"]


def test_reconstruction_is_each_clip_through_the_autoencoder(tmp_path, benchmark):
    torch.manual_seed(0)
    autoencoder = use_fast_layers(AutoencoderKLWan(**LAPTOP_CONFIG)).eval().requires_grad_(False).to(torch.bfloat16)
    two = dataclasses.replace(benchmark, names=benchmark.names[:2], frames=benchmark.frames[:2])
    folder = reconstruct(autoencoder, two, tmp_path / "reconstruction" / "pixels", batch_size=1)
    frames, meta = load_generated(folder, two)
    assert frames.shape == two.frames.shape and (meta["model"], meta["mode"]) == ("reconstruction", "pixels")
    last = to_frames(decode_video(autoencoder, encode_video(autoencoder, to_pixels(two.frames[1:]))))
    np.testing.assert_array_equal(frames[1], last[0])


def test_every_planned_model_samples_under_a_profile_with_guidance(tmp_path, benchmark):
    """Both wan profiles guide; the undistilled teacher in one step was refused as if it were a student."""
    profile = load_profile(
        "laptop", ["transformer.num_layers=1", "evaluation.guidance_scale=3", "evaluation.teacher_steps=2"]
    )
    weights, one = build_transformer(profile, None, 0), dataclasses.replace(benchmark, **_first_clip(benchmark))
    passes = {}
    for model in generation_plan(profile.evaluation):
        folder = tmp_path / model.name / "audio"
        pipeline = planned_pipeline(profile, weights, model)
        generate_videos(pipeline, one, folder, "audio", model.steps, profile.evaluation, weights="w")
        passes[model.name] = load_generated(folder, one)[1]["cost"]["transformer_passes"]
    assert passes == {"teacher": 4, "teacher_one_step": 2, "consistency_student": 1, "distilled_student": 1}


def _first_clip(benchmark) -> dict:
    tensors = {name: value[:1] for name, value in vars(benchmark).items() if isinstance(value, torch.Tensor)}
    return tensors | {"names": benchmark.names[:1], "captions": benchmark.captions[:1]}

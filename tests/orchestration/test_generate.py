"""`omnihuman generate` from files: what it writes, and one clear error for each bad input."""

import json
import shutil
import sys
import tracemalloc

import numpy as np
import pytest
import soundfile
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanPipeline, WanTransformer3DModel
from PIL import Image
from safetensors.torch import load_file

from assets.core.workspace import Workspace
from media import encode_clip, probe_clip, read_audio, sha256_of_file, write_atomically
from media.decode import decode_clip
from media.speech.length import fitted
from omnihuman.autoencoder import load_autoencoder, with_narrower_decoder
from omnihuman.conditions.activation import ConditionError
from omnihuman.digests import weights_digest
from omnihuman.exports import read_provenance
from omnihuman.pipeline import build_pipeline
from orchestration.commands import cli
from profiles import load_profile, resolve_source
from profiles.conditions import FILES
from puppets import PuppetKeypoints, measure, render
from serving import inputs
from serving.generation import (
    GenerateError,
    Request,
    generate_videos,
    one_request_per_sound,
    parse_guidance,
)
from serving.inputs import SoundTrack, frames_wanted, read_pose, read_reference, read_sound
from serving.model_choice import load_model, with_decoder
from tracking.registry import RegistryError
from tracking.version_origin import VersionOrigin
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=2"])
VIDEO = PROFILE.video
PUPPET = render(90_000_001, frames=25)
RATE = 16_000


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("home"), PROFILE)


@pytest.fixture(scope="module")
def folder(workspace):
    place = workspace.root / "model"
    build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), 1).save_pretrained(place, safe_serialization=True)
    return place


@pytest.fixture(scope="module")
def model(workspace, folder):
    return load_model(workspace, str(folder))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    place = tmp_path_factory.mktemp("files")
    Image.fromarray(PUPPET.frames[0]).save(place / "face.png")
    soundfile.write(place / "voice.wav", PUPPET.audio, RATE)
    write_atomically(place / "pose.mp4", encode_clip(PUPPET.frames, 16.0, PUPPET.audio, RATE))
    return place


def ask(files, output, **change) -> Request:
    given = {"image": files / "face.png", "audio": files / "voice.wav"} | {
        k: change.pop(k) for k in FILES if k in change
    }
    given = {option: path for option, path in given.items() if path is not None}
    return Request(output, given, **{"prompt": "A person talks."} | change)


def made(workspace, model, request) -> tuple[list[str], object]:
    notes: list[str] = []
    return notes, generate_videos(workspace, model, [request], notes.append)[0]


def test_the_video_is_as_long_as_the_sound(workspace, model, files, tmp_path):
    notes, path = made(workspace, model, ask(files, tmp_path / "out.mp4"))
    found = probe_clip(path)
    assert (found.frames, found.fps, found.width, found.height) == (25, 16.0, 256, 256) and notes == []
    assert len(read_audio(path)) == len(PUPPET.audio)
    said = read_provenance(path)
    assert said["conditions"]["on"] == ["text", "reference", "audio"] and said["seed"] == 0 and said["marked"] is True
    assert (
        said["model"].endswith("/model")
        and len(said["weights"]) == 64
        and set(said["inputs"]) == {"reference", "audio"}
    )


def test_seconds_cut_the_sound_or_go_on_in_silence(workspace, model, files, tmp_path):
    for seconds, frames in ((0.5, 8), (2.0, 32)):
        _, path = made(workspace, model, ask(files, tmp_path / f"{frames}.mp4", seconds=seconds))
        heard = read_audio(path)
        assert probe_clip(path).frames == frames and len(heard) == frames * 1000
    assert np.abs(heard[27_000:]).max() < 0.02 < np.abs(heard[:25_000]).max()


def test_pose_alone_makes_a_silent_video_of_its_length(workspace, model, files, tmp_path):
    _, path = made(workspace, model, ask(files, tmp_path / "out.mp4", audio=None, pose=files / "pose.mp4"))
    found = probe_clip(path)
    assert (
        found.frames == 25 and not found.has_audio and read_provenance(path)["conditions"]["driven_by"] == "pose only"
    )


def test_a_condition_left_out_is_not_read(workspace, model, files, tmp_path):
    request = ask(files, tmp_path / "out.mp4", pose=tmp_path / "missing.mp4", activate="audio")
    assert read_provenance(made(workspace, model, request)[1])["conditions"]["off"] == {
        "pose": "stronger than audio, which was activated"
    }
    with pytest.raises(ConditionError, match="image was not given"):
        made(workspace, model, ask(files, tmp_path / "out.mp4", image=None, activate="audio"))


@pytest.mark.parametrize(("overlap", "segments"), [(None, 3), (0, 2)])
def test_segments_overlap_unless_they_are_to_be_cut(workspace, model, files, tmp_path, overlap, segments):
    seen = []
    request = ask(files, tmp_path / "out.mp4", seconds=2.0, overlap=overlap)
    (path,) = generate_videos(
        workspace, model, [request], lambda note: None, lambda done, total, note: seen.append((done, total))
    )
    assert seen == [(done + 1, segments) for done in range(segments)] and probe_clip(path).frames == 32


def test_an_overlap_that_cannot_be_is_refused(workspace, model, files, tmp_path):
    with pytest.raises(ValueError, match="an overlap is 4n"):
        made(workspace, model, ask(files, tmp_path / "out.mp4", overlap=4))


def test_several_sounds_make_a_video_each(workspace, model, files, tmp_path):
    soundfile.write(tmp_path / "short.wav", PUPPET.audio[:12_000], RATE)
    sounds = [files / "voice.wav", tmp_path / "short.wav"]
    paths = generate_videos(
        workspace, model, one_request_per_sound(ask(files, tmp_path / "out.mp4"), sounds), lambda note: None
    )
    assert [path.name for path in paths] == ["out-voice.mp4", "out-short.mp4"]
    assert [(probe_clip(path).frames, len(read_audio(path))) for path in paths] == [(25, 25_000), (12, 12_000)]
    assert [read_provenance(path)["inputs"]["audio"] for path in paths] == [sha256_of_file(sound) for sound in sounds]
    with pytest.raises(GenerateError, match="several sounds are called voice"):
        one_request_per_sound(ask(files, tmp_path / "out.mp4"), [files / "voice.wav", tmp_path / "voice.wav"])


def test_a_video_is_a_source_of_picture_sound_and_pose(workspace, model, files, tmp_path):
    video = files / "pose.mp4"
    _, path = made(workspace, model, ask(files, tmp_path / "out.mp4", image=video, audio=video, pose=video))
    assert read_provenance(path)["conditions"]["driven_by"] == "pose and audio"


def test_keypoints_of_a_pose_video_are_those_of_its_frames(files):
    pose = read_pose(files / "pose.mp4", VIDEO, VIDEO.main, PuppetKeypoints(), list(PROFILE.transformer.pose_keypoints))
    clip = decode_clip(files / "pose.mp4", 16.0)
    assert np.array_equal(pose.values, PuppetKeypoints()(clip.frames)) and pose.notes == ()


def test_a_slow_pose_video_repeats_its_pictures(files, tmp_path):
    write_atomically(tmp_path / "slow.mp4", encode_clip(PUPPET.frames[:9], 8.0))
    pose = read_pose(tmp_path / "slow.mp4", VIDEO, VIDEO.main, PuppetKeypoints(), [7, 8, 9, 10])
    assert len(pose.values) == 18 and np.array_equal(pose.values[0::2], pose.values[1::2])


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (22_050, 2), (44_100, 1), (48_000, 6)])
def test_sound_of_any_rate_and_channels_keeps_its_length_and_tone(tmp_path, rate, channels):
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "a.wav", np.repeat(tone[:, None], channels, axis=1), rate)
    samples = read_sound(tmp_path / "a.wav", VIDEO, None).samples
    assert abs(len(samples) - RATE) <= 1
    assert np.argmax(np.abs(np.fft.rfft(samples[:RATE]))) == pytest.approx(440, abs=1)


def test_silent_sound_is_taken_with_a_note(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(RATE), RATE)
    assert "silent" in read_sound(tmp_path / "a.wav", VIDEO, None).notes[0]


def broken_sounds():
    nan = np.zeros(RATE, np.float32)
    nan[100:103] = np.nan
    return [
        (np.zeros(1, np.float32), "1 samples .* give a longer sound"),
        (nan, "samples that are not finite"),
        (np.zeros(3 * RATE, np.float32), "longer than 2 s.*only with --seconds"),
    ]


@pytest.mark.parametrize(("samples", "message"), broken_sounds())
def test_sound_that_cannot_be_used_is_refused(tmp_path, monkeypatch, samples, message):
    assert inputs.LONGEST_UNASKED == 600.0
    monkeypatch.setattr(inputs, "LONGEST_UNASKED", 2.0)  # to decode ten minutes takes five seconds of a core
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    with pytest.raises(GenerateError, match=f"a.wav .*{message}"):
        read_sound(tmp_path / "a.wav", VIDEO, None)


def test_of_an_hour_of_sound_no_more_is_decoded_than_the_video_is_long(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(3600 * 1000, 0.1), 1000)
    assert len(read_sound(tmp_path / "a.wav", VIDEO, 2.0).samples) == pytest.approx(3 * RATE, abs=0.1 * RATE)


def test_a_long_sound_is_held_once(tmp_path):
    """Beside it stands what was decoded, until all of it is laid out, and a minute of it in double precision."""
    soundfile.write(tmp_path / "a.wav", np.tile(PUPPET.audio, 120)[: 180 * RATE], RATE)
    tracemalloc.start()
    try:
        samples = read_sound(tmp_path / "a.wav", VIDEO, 180.0).samples
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    shorter = fitted(samples, len(samples) - RATE)
    assert held < 1.2 * samples.nbytes and peak < 2.6 * samples.nbytes
    assert np.shares_memory(shorter, samples) and len(fitted(samples, len(samples) + 5)) == len(samples) + 5


def test_a_file_without_sound_is_refused_by_name(tmp_path):
    write_atomically(tmp_path / "mute.mp4", encode_clip(PUPPET.frames, 16.0))
    (tmp_path / "text.wav").write_text("no sound")
    for name, message in (
        ("mute.mp4", "no audio stream"),
        ("text.wav", "no video and no sound that FFmpeg can read"),
        ("gone.wav", "no such file"),
    ):
        with pytest.raises(GenerateError, match=f"{name}.*{message}"):
            read_sound(tmp_path / name, VIDEO, None)


def test_a_picture_without_a_face_or_with_several_people_is_refused(tmp_path, files):
    Image.new("RGB", (64, 64), (120, 140, 160)).save(tmp_path / "wall.png")
    with pytest.raises(GenerateError, match="wall.png shows no face .*--no-face-check"):
        read_reference(tmp_path / "wall.png", VIDEO, PuppetKeypoints())
    assert read_reference(tmp_path / "wall.png", VIDEO, None).image.shape == (64, 64, 3)

    class Crowd(PuppetKeypoints):
        def detect(self, frames):
            from curation.people.keypoints import Detected

            return Detected(self(frames), np.array([3]))

    with pytest.raises(GenerateError, match="face.png shows 3 people .*cut it to the one"):
        read_reference(files / "face.png", VIDEO, Crowd())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("one.png", "1 x 1 pixels"),
        ("text.png", "neither a picture nor a video"),
        ("gone.png", "no such file"),
        ("", "is a folder"),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused(tmp_path, name, message):
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(GenerateError, match=f"{name}.*{message}"):
        read_reference(tmp_path / name, VIDEO, PuppetKeypoints())


def test_a_wide_picture_is_cut_and_says_so(tmp_path):
    wide = np.full((64, 128, 3), 255, np.uint8)
    wide[:, 32:96] = PUPPET.frames[0]
    Image.fromarray(wide).save(tmp_path / "wide.png")
    found = read_reference(tmp_path / "wide.png", VIDEO, PuppetKeypoints())
    assert np.array_equal(found.image, PUPPET.frames[0]) and "50% of the 128x64 picture is cut off" in found.notes[0]


def test_a_pose_with_missing_joints_says_how_many_and_one_with_none_is_refused(tmp_path):
    half = PUPPET.frames.copy()
    half[12:] = half[12:].mean(axis=-1, keepdims=True)
    write_atomically(tmp_path / "half.mp4", encode_clip(half, 16.0))
    pose = read_pose(tmp_path / "half.mp4", VIDEO, VIDEO.main, PuppetKeypoints(), [7, 8, 9, 10])
    assert "52% of the joints are not seen" in pose.notes[0]
    write_atomically(tmp_path / "none.mp4", encode_clip(render(3, "hidden_arms").frames, 16.0))
    with pytest.raises(GenerateError, match="none.mp4: none of the joints"):
        read_pose(tmp_path / "none.mp4", VIDEO, VIDEO.main, PuppetKeypoints(), [7, 8, 9, 10])


def test_lengths_that_do_not_match_are_refused_with_both(files):
    pose = read_pose(files / "pose.mp4", VIDEO, VIDEO.main, PuppetKeypoints(), [7, 8, 9, 10])
    sound = SoundTrack(np.zeros(2 * RATE, np.float32), ())
    with pytest.raises(GenerateError, match="25 frames at 16 fps and 32 are to be made.*--seconds 1.5625"):
        frames_wanted(VIDEO, None, sound, {"pose": pose}, 17)
    assert frames_wanted(VIDEO, 1.5625, sound, {"pose": pose}, 17) == 25
    lengths = {16_000: 16, 16_016: 16, 16_100: 17}  # a millisecond past a frame is no frame
    assert {n: frames_wanted(VIDEO, None, SoundTrack(np.zeros(n, np.float32), ()), {}, 17) for n in lengths} == lengths
    with pytest.raises(GenerateError, match="less than one frame"):
        frames_wanted(VIDEO, 0.01, sound, {}, 17)
    with pytest.raises(GenerateError, match="longer than 6 hours.* in parts"):
        frames_wanted(VIDEO, 1e9, sound, {}, 17)


def test_png_and_latents_are_chosen_by_the_name(workspace, model, files, tmp_path):
    _, folder = made(workspace, model, ask(files, tmp_path / "frames", seconds=0.5))
    assert len(list(folder.glob("frame-*.png"))) == 8  # type: ignore[attr-defined]
    _, latents = made(workspace, model, ask(files, tmp_path / "out.safetensors", seconds=0.5))
    assert read_provenance(latents)["prompt"] == "A person talks."
    with pytest.raises(GenerateError, match="FILE.mp4, FILE.safetensors"):
        made(workspace, model, ask(files, tmp_path / "out.avi"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("keep me")
    with pytest.raises(GenerateError, match="holds other things than PNG"):
        made(workspace, model, ask(files, tmp_path / "other"))


def test_a_broken_model_or_an_alias_that_stands_nowhere_is_refused(workspace, folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    weights = broken / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(GenerateError, match="broken cannot be loaded as a pipeline: .*save it again"):
        load_model(workspace, str(broken))
    with pytest.raises(GenerateError, match="no model_index.json"):
        load_model(workspace, str(tmp_path))
    with pytest.raises(GenerateError, match="no model_index.json"):
        load_model(workspace, "no/such/folder")
    with pytest.raises(GenerateError, match="write models:/NAME@ALIAS"):
        load_model(workspace, "models:/a@b@c")


def test_a_registered_model_is_found_by_alias_and_its_snapshot_is_told(folder, tmp_path):
    workspace = Workspace(tmp_path, PROFILE)
    workspace.var.mkdir()
    with pytest.raises(RegistryError, match="no version with alias 'champion'"):
        load_model(workspace, "champion")
    origin = VersionOrigin(weights_digest="a" * 64, snapshot_digest="b" * 64)
    version = workspace.registry.register("omnihuman-student", folder, origin=origin)
    workspace.registry.set_alias("omnihuman-student", "champion", version.version)
    for name in ("champion", "models:/omnihuman-student@champion", "models:/omnihuman-student/1"):
        found = load_model(workspace, name)
        assert (found.name, found.weights, found.snapshot) == ("omnihuman-student version 1", "a" * 64, "b" * 64)
    with pytest.raises(RegistryError, match="alias 'nobody'"):
        load_model(workspace, "nobody")


@pytest.mark.parametrize(("kind", "steps"), [("stage", PROFILE.evaluation.teacher_steps), ("adversarial", 1)])
def test_a_trainings_folder_is_a_model_too(workspace, folder, tmp_path, kind, steps):
    """The frozen encoders are the profile's: whoever wants to see what a checkpoint makes need not register it."""
    place = tmp_path / "data" / "some_checkpoint"
    shutil.copytree(folder / "transformer", place / "transformer")
    record = {"name": place.name, "kind": kind, "profile": PROFILE.name, "snapshot_digest": "b" * 64}
    (place / "record.json").write_text(json.dumps(record))
    found = load_model(workspace, str(place))
    assert (found.snapshot, found.pipeline.config.num_inference_steps) == ("b" * 64, steps)
    assert found.weights == weights_digest(folder / "transformer")
    (place / "record.json").write_text(json.dumps(record | {"profile": "wan2.1-1.3b"}))
    with pytest.raises(GenerateError, match="trained with profile wan2.1-1.3b"):
        load_model(workspace, str(place))


def test_what_streams_is_decoded_as_a_stream_from_a_trainings_folder_and_from_the_registry(folder, tmp_path):
    """No way in loses the decoder for streams, and a student of windows has the profile's own."""
    sources = (PROFILE.streaming.autoencoder, PROFILE.encoders.autoencoder)
    streaming, windows = (load_autoencoder(resolve_source(source)) for source in sources)
    workspace, place = Workspace(tmp_path, PROFILE), tmp_path / "data" / "streaming_student"
    workspace.var.mkdir()
    shutil.copytree(folder / "transformer", place / "transformer")
    record = {"name": place.name, "kind": "streaming", "profile": PROFILE.name, "snapshot_digest": "b" * 64}
    said = {"streaming": {"window": 5, "lookahead": 2, "sink": True}}
    (place / "record.json").write_text(json.dumps(record | said))
    trained = load_model(workspace, str(place), keep_dtype=True)
    trained.pipeline.save_pretrained(tmp_path / "whole", safe_serialization=True)
    workspace.registry.register("omnihuman-streaming-student", tmp_path / "whole")
    for found in (trained, load_model(workspace, "models:/omnihuman-streaming-student/1")):
        assert found.pipeline.config.streaming == said["streaming"]
        drawing = found.pipeline.vae.decoder.conv_in.weight
        assert drawing.equal(streaming.decoder.conv_in.weight.to(drawing))
        assert not drawing.equal(windows.decoder.conv_in.weight.to(drawing))
    (place / "record.json").write_text(json.dumps(record | {"kind": "adversarial"}))
    drawing = load_model(workspace, str(place)).pipeline.vae.decoder.conv_in.weight
    assert drawing.equal(windows.decoder.conv_in.weight.to(drawing))


def test_guidance_is_written_as_scales():
    both = parse_guidance("6.5:3.5", None, "linear")
    assert (both.text_scale, both.text_scale_end, both.audio_scale, both.audio_scale_end) == (6.5, 3.5, 6.5, 3.5)
    audio = parse_guidance(None, "4", "constant")
    assert (audio.text_scale, audio.audio_scale, audio.audio_scale_end) == (1.0, 4.0, 4.0)
    assert parse_guidance(None, None, "linear") is None
    with pytest.raises(GenerateError, match="write a scale"):
        parse_guidance("strong", None, "linear")


def test_the_command_writes_a_video_and_a_bad_input_is_one_line_and_code_1(
    workspace, folder, files, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("OMNIHUMAN_HOME", str(workspace.root))
    monkeypatch.setenv("OMNIHUMAN_SET", "transformer.num_layers=2")
    arguments = [
        "omnihuman",
        "generate",
        "--image",
        str(files / "face.png"),
        "--audio",
        str(files / "voice.wav"),
        "--model",
        str(folder),
    ]
    for extra, output in (([], "a.mp4"), (["--no-mark"], "b.mp4")):
        monkeypatch.setattr(sys, "argv", [*arguments, "--seconds", "0.5", "-o", str(tmp_path / output), *extra])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
    said = capsys.readouterr()
    assert said.out.split() == [str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")] and "is up to you" in said.err
    marks = [decode_clip(tmp_path / name, 16.0).frames for name in ("a.mp4", "b.mp4")]
    assert (
        np.abs(marks[0][:, 230:].astype(int) - marks[1][:, 230:]).mean()
        > 10
        > np.abs(marks[0][:, :200].astype(int) - marks[1][:, :200]).mean()
    )
    monkeypatch.setattr(
        sys,
        "argv",
        [*arguments[:4], "--audio", str(tmp_path / "gone.wav"), "--model", str(folder), "-o", str(tmp_path / "c.mp4")],
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1 and "error: --audio" in capsys.readouterr().err and not (tmp_path / "c.mp4").exists()


def test_plain_wan_is_sampled_from_the_command_line(workspace, model, files, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    sizes = {
        "num_attention_heads": 2,
        "attention_head_dim": 24,
        "num_layers": 2,
        "ffn_dim": 64,
        "freq_dim": 32,
        "text_dim": model.pipeline.text_encoder.config.hidden_size,
    }
    pipeline, sampler = model.pipeline, FlowMatchEulerDiscreteScheduler(shift=3.0)
    plain = WanPipeline(
        tokenizer=pipeline.tokenizer,
        text_encoder=pipeline.text_encoder,
        vae=pipeline.vae,
        scheduler=sampler,
        transformer=WanTransformer3DModel(**sizes),
    )
    plain.save_pretrained(tmp_path / "wan")
    monkeypatch.setenv("OMNIHUMAN_HOME", str(workspace.root))
    arguments = [
        "--image",
        str(files / "face.png"),
        "--steps",
        "2",
        "--seconds",
        "0.5",
        "--model",
        str(tmp_path / "wan"),
        "-o",
        str(tmp_path / "a.mp4"),
    ]
    monkeypatch.setattr(sys, "argv", ["omnihuman", "generate", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0 and capsys.readouterr().out.split() == [str(tmp_path / "a.mp4")]
    said = read_provenance(tmp_path / "a.mp4")
    assert (
        said["model"] == str(tmp_path / "wan")
        and said["steps"] == 2
        and said["guidance"]
        and probe_clip(tmp_path / "a.mp4").frames == 8
    )


def test_a_slim_decoder_draws_the_same_latents_and_is_named(workspace, folder, model, files, tmp_path):
    with_narrower_decoder(model.pipeline.vae, 8).to(torch.bfloat16).save_pretrained(tmp_path / "vae")
    slim = with_decoder(load_model(workspace, str(folder)), tmp_path / "vae")
    _, own_latents = made(workspace, model, ask(files, tmp_path / "own.safetensors", seconds=1.0))
    _, latents = made(workspace, slim, ask(files, tmp_path / "slim.safetensors", seconds=1.0))
    first, second = load_file(own_latents), load_file(latents)
    assert first.keys() == second.keys() and all(first[name].equal(second[name]) for name in first)
    _, video = made(workspace, slim, ask(files, tmp_path / "slim.mp4", seconds=1.0))
    _, own = made(workspace, model, ask(files, tmp_path / "own.mp4", seconds=1.0))
    assert np.abs(decode_clip(video, 16.0).frames.astype(int) - decode_clip(own, 16.0).frames).mean() > 5
    assert (
        read_provenance(video)["decoder"] == weights_digest(tmp_path / "vae") and read_provenance(own)["decoder"] == ""
    )


def test_a_decoder_of_other_latents_is_refused(workspace, model, tmp_path):
    with pytest.raises(GenerateError, match="holds no autoencoder .*materialise slim_decoder"):
        with_decoder(model, tmp_path)
    other = with_narrower_decoder(model.pipeline.vae, 8)
    other.register_to_config(latents_mean=[1.0] * 16)
    other.save_pretrained(tmp_path / "vae")
    with pytest.raises(GenerateError, match="decodes other latents than those of"):
        with_decoder(model, tmp_path / "vae")


def test_the_reference_is_what_the_measures_know(files):
    found = read_reference(files / "face.png", VIDEO, PuppetKeypoints())
    assert np.abs(measure(found.image[None]).colours[0] - PUPPET.colours).max() < 0.06 and found.notes == ()

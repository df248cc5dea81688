"""The pipeline a user loads: saved, loaded in diffusers' own way, repeatable, and strict about sizes."""

import pytest
import torch
from diffusers.utils import logging
from safetensors.torch import load_file, save

from omnihuman import OmniHumanPipeline
from omnihuman.conditions import encoding as condition_encoding
from omnihuman.guidance import OmniHumanGuidance
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=3"])


@pytest.fixture(scope="module")
def pipeline():
    return build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), 1)


def inputs() -> dict:
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=generator)
    return {"prompt": "A person talks.", "reference": image, "audio": torch.randn(1, 17_000, generator=generator) * 0.1}


def test_a_saved_pipeline_loads_and_makes_the_same_latents(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path, safe_serialization=True)
    assert not list(tmp_path.rglob("*.bin")) and not list(tmp_path.rglob("*.pt"))
    again = OmniHumanPipeline.from_pretrained(tmp_path)
    assert again.config.num_inference_steps == 1
    made = [
        p(
            **inputs() | {"reference": None},
            height=64,
            width=64,
            generator=torch.Generator().manual_seed(1),
            output_type="latents",
        ).frames
        for p in (pipeline, again)
    ]
    torch.testing.assert_close(made[0], made[1])
    file = tmp_path / "audio_encoder" / "model.safetensors"
    file.write_bytes(
        save({name: value for name, value in load_file(file).items() if "q_proj" not in name}, {"format": "pt"})
    )
    with pytest.raises(ValueError, match="audio_encoder does not hold .* missing: .*q_proj"):
        OmniHumanPipeline.from_pretrained(tmp_path)


def test_the_same_seed_makes_the_same_video_and_another_seed_does_not(pipeline):
    made = [pipeline(**inputs(), generator=torch.Generator().manual_seed(seed)).frames for seed in (1, 1, 2)]
    assert made[0].shape == (1, 17, 64, 64, 3) and made[0].dtype == torch.uint8
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_two_steps_and_guidance_work_on_the_same_weights(pipeline):
    made = pipeline(
        **inputs(),
        num_inference_steps=2,
        guidance_scale=2.0,
        guidance_scale_end=1.5,
        generator=torch.Generator().manual_seed(1),
    )
    assert made.frames.shape == (1, 17, 64, 64, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_frames": 16}, r"4n\+1"),
        ({"num_frames": -3}, r"4n\+1.* got -3"),
        ({"num_inference_steps": 0}, "1 or more, got 0"),
        ({"prompt": None}, "a prompt is a text.* got None"),
        ({"prompt": ["A person.", 5]}, "a prompt is a text.* got 5"),
        ({"reference": None}, "reference image"),
        ({"height": 60, "width": 64}, "multiples of 16"),
    ],
)
def test_sizes_that_cannot_work_are_refused(pipeline, change, message):
    with pytest.raises(ValueError, match=message):
        pipeline(**inputs() | change)


def test_the_output_says_which_conditions_were_on(pipeline):
    made = pipeline(**inputs(), output_type="latents", without=("text",), generator=torch.Generator().manual_seed(1))
    assert made.conditions["on"] == ["reference", "audio"] and made.conditions["off"]["text"] == "left out on request"
    null = pipeline(**inputs() | {"prompt": ""}, output_type="latents", generator=torch.Generator().manual_seed(1))
    assert torch.equal(made.frames, null.frames) and null.conditions["off"]["text"] == "not given"


def test_guided_velocity_is_the_weighted_sum_of_the_branches(pipeline):
    conditions = pipeline.encode_conditions(["A person."], inputs()["reference"], inputs()["audio"], {}, 17, 64, 64)
    conditions |= {"audio": conditions["audio"] + 1}
    for block in pipeline.transformer.blocks:
        torch.nn.init.normal_(block.audio_attn.to_out.weight, std=0.1)
    guidance = OmniHumanGuidance(text_scale=2.0, text_scale_end=2.0, audio_scale=4.0, audio_scale_end=4.0)
    guidance.set_state(0, 1, torch.tensor(500.0))
    noise, time = torch.randn(1, 16, 5, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([500.0])
    null = pipeline._null_text(conditions)
    silent = conditions.without("audio")
    branches = [
        pipeline._velocity(noise, time, c) for c in (conditions, silent, silent | {"encoder_hidden_states": null})
    ]
    assert not torch.allclose(branches[0], branches[1], atol=1e-3)
    expected = branches[2] + 2 * (branches[1] - branches[2]) + 4 * (branches[0] - branches[1])
    torch.testing.assert_close(
        pipeline._guided(noise, time, conditions, null, guidance), expected, atol=1e-4, rtol=1e-4
    )


def test_a_one_step_student_refuses_guidance_and_runs_without(pipeline):
    with pytest.raises(ValueError, match="one-step student samples without guidance"):
        pipeline(**inputs(), guidance_scale=2.0)
    with pytest.raises(ValueError, match="one-step student samples without guidance"):
        pipeline(**inputs(), guidance=OmniHumanGuidance())
    assert pipeline.choose_guidance(1) is None and pipeline.choose_guidance(1, scale=1.0) is None


@pytest.mark.parametrize(
    ("prompt", "message"), [("word " * 60, "are cut off"), ("一个人在说话，他的手臂放得很低", "does not know most of")]
)
def test_a_prompt_that_the_encoder_does_not_take_is_a_warning(pipeline, prompt, message, caplog):
    with caplog.at_level("WARNING"):
        logging.enable_propagation()
        made = pipeline(**inputs() | {"prompt": prompt}, generator=torch.Generator().manual_seed(1))
        logging.disable_propagation()
    assert made.frames.shape == (1, 17, 64, 64, 3) and message in caplog.text


def counting(pipeline, monkeypatch) -> list[str]:
    """Names of the encoders, each time one runs."""
    ran = []
    for name in ("encode_text", "encode_video", "encode_audio"):
        real = getattr(condition_encoding, name)
        monkeypatch.setattr(
            condition_encoding, name, lambda *given, real=real, name=name: (ran.append(name), real(*given))[1]
        )
    pipeline.encoding_cache.clear()
    return ran


def test_the_same_prompt_picture_and_sound_are_encoded_once(pipeline, monkeypatch):
    ran, every = counting(pipeline, monkeypatch), ["encode_text", "encode_video", "encode_audio"]
    made = [
        pipeline(**inputs(), generator=torch.Generator().manual_seed(1), output_type="latents").frames for _ in range(2)
    ]
    assert ran == every and torch.equal(made[0], made[1])
    pipeline(
        **inputs() | {"prompt": "Somebody else talks."},
        generator=torch.Generator().manual_seed(1),
        output_type="latents",
    )
    assert ran == [*every, "encode_text"]
    pipeline.vae.enable_tiling(
        tile_sample_min_height=32, tile_sample_min_width=32, tile_sample_stride_height=16, tile_sample_stride_width=16
    )
    try:
        pipeline(**inputs(), generator=torch.Generator().manual_seed(1), output_type="latents")
    finally:
        pipeline.vae.disable_tiling()
    assert ran == [*every, "encode_text", "encode_video"]


def test_several_sounds_for_one_picture_are_one_batch(pipeline):
    given = inputs()
    sounds = [given["audio"][0], given["audio"][0, :9_000].flip(0)]
    seeds = [torch.Generator().manual_seed(1) for _ in sounds]
    both = pipeline(**given | {"audio": sounds}, generator=seeds, output_type="latents").frames
    for row, sound in zip(both, sounds, strict=True):
        alone = pipeline(
            **given | {"audio": sound}, generator=[torch.Generator().manual_seed(1)], output_type="latents"
        ).frames
        torch.testing.assert_close(row, alone[0], atol=1e-4, rtol=1e-3)

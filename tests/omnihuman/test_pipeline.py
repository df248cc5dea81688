"""The pipeline a user loads: saved, loaded in diffusers' own way, repeatable, and strict about sizes."""

import pytest
import torch

from omnihuman import OmniHumanPipeline
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from training.model import build_transformer

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
    made = [p(**inputs() | {"reference": None}, height=64, width=64, generator=torch.Generator().manual_seed(1), output_type="latents").frames for p in (pipeline, again)]
    torch.testing.assert_close(made[0], made[1])


def test_the_same_seed_makes_the_same_video_and_another_seed_does_not(pipeline):
    made = [pipeline(**inputs(), generator=torch.Generator().manual_seed(seed)).frames for seed in (1, 1, 2)]
    assert made[0].shape == (1, 17, 64, 64, 3) and made[0].dtype == torch.uint8
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_two_steps_and_guidance_work_on_the_same_weights(pipeline):
    made = pipeline(**inputs(), num_inference_steps=2, guidance_scale=2.0, guidance_scale_end=1.5, generator=torch.Generator().manual_seed(1))
    assert made.frames.shape == (1, 17, 64, 64, 3)


@pytest.mark.parametrize(
    ("change", "message"), [({"num_frames": 16}, r"4n\+1"), ({"reference": None}, "reference image"), ({"reference": torch.zeros(1, 60, 64, 3, dtype=torch.uint8)}, "multiples of 16")]
)
def test_sizes_that_cannot_work_are_refused(pipeline, change, message):
    with pytest.raises(ValueError, match=message):
        pipeline(**inputs() | change)

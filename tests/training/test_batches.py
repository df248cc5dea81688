"""Every shipped profile's batches can be cut into ranks and passes, whose number follows."""

import pytest

from profiles import ProfileError, available_profiles, load_profile
from training.engine.deepspeed_engine import accumulation_of
from training.errors import TrainingError

SECTIONS = ("stage_1", "stage_2", "stage_3", "consistency", "adversarial_images", "adversarial_videos")


@pytest.mark.parametrize("name", available_profiles())
@pytest.mark.parametrize("section", SECTIONS)
def test_batches_divide_by_ranks_and_passes(name, section):
    profile = load_profile(name, [])
    assert accumulation_of(profile.engine, getattr(profile, section), profile.engine.ranks) >= 1


def test_passes_follow_from_batch_and_ranks():
    profile = load_profile("wan2.1-1.3b", [])
    passes = {ranks: accumulation_of(profile.engine, profile.stage_1, ranks) for ranks in (8, 16, 64, 256)}
    assert passes == {8: 32, 16: 16, 64: 4, 256: 1}  # of one video each
    images = profile.adversarial_images
    assert accumulation_of(profile.engine, images, 16) * 16 * images.micro_batch == images.batch_size == 9216
    with pytest.raises(TrainingError, match="batch_size 256 does not divide by 24 data-parallel ranks x micro_batch 1"):
        accumulation_of(profile.engine, profile.stage_1, 24)


def test_passes_are_stated_once():
    both = ["engine.micro_batch=2", "engine.gradient_accumulation=2"]
    with pytest.raises(ProfileError, match="not both"):
        load_profile("laptop", both)
    with pytest.raises(ProfileError, match="not both"):
        load_profile("laptop", [one.replace("engine", "adversarial_videos") for one in both])


@pytest.mark.parametrize("name", ["wan2.1-1.3b", "wan2.1-14b"])
def test_the_large_profiles_state_apts_numbers(name):
    profile = load_profile(name, [])
    images, videos = profile.adversarial_images, profile.adversarial_videos
    assert (images.penalty_weight, images.penalty_sigma, images.timestep_shift, images.ema_decay) == (
        100.0,
        0.01,
        1.0,
        0.995,
    )
    assert (videos.penalty_weight, videos.penalty_sigma, videos.timestep_shift, videos.steps) == (100.0, 0.1, 12.0, 300)
    assert (images.generator.lr, images.discriminator.lr, videos.generator.lr, videos.discriminator.lr) == (
        5e-6,
        5e-6,
        3e-6,
        3e-6,
    )
    # 9062 divides by 2 ranks alone.
    assert abs(images.batch_size / 9062 - 1) < 0.02 and videos.batch_size == 2048
    assert (
        profile.consistency.guidance.text == profile.consistency.guidance.audio == 7.5
        and profile.consistency.grid == 32
    )

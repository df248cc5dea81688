"""Measures of a made file on clips with known answers: the rendered truth, a late mouth, other colours, no sound."""

import math

import numpy as np
import pytest
import torch

from media import encode_clip, write_atomically
from media.mark import mark_frames
from omnihuman.long_video import LongVideo
from profiles import load_profile
from puppets import PuppetKeypoints, render
from serving.clip_measures import GRID, UNMARKED, measure_video
from serving.generation import Inputs, Prepared, Request
from serving.inputs import Reference, SoundTrack

VIDEO = load_profile("laptop").video
PERSON = render(90_000_003, frames=65)
ENLARGED = PERSON.frames.repeat(4, axis=1).repeat(4, axis=2)


def measured(tmp_path, frames, reference=PERSON.frames[0], sound=PERSON.audio) -> dict[str, float]:
    write_atomically(tmp_path / "made.mp4", encode_clip(mark_frames(frames), 16.0, pixel_format="yuv420p"))
    inputs = Inputs(
        None if reference is None else Reference(reference, VIDEO.main, ()), None if sound is None else SoundTrack(sound, ()), {},
    )  # fmt: skip
    video = LongVideo(["a"], None, None, {}, len(frames), 17, [0], 64, 64)
    prepared = Prepared(Request(tmp_path / "made.mp4", {}, "a"), inputs, video, None)  # type: ignore[arg-type]
    found = measure_video(tmp_path / "made.mp4", prepared, PuppetKeypoints(), VIDEO)
    assert torch.tensor([m.value for m in found]).isfinite().all() == all("–" not in m.shown() for m in found)
    return {measure.name: measure.value for measure in found}


def test_the_truth_follows_its_sound_at_once_in_its_own_colours(tmp_path):
    found = measured(tmp_path, ENLARGED)
    assert (
        found["mouth follows the sound"] > 0.9
        and found["mouth comes after the sound"] == 0
        and found["mouth is seen"] > 0.95
    )
    assert found["colours differ from the picture"] < 0.03


def test_a_mouth_that_is_late_is_found_late(tmp_path):
    late = np.concatenate([np.repeat(ENLARGED[:1], 2, axis=0), ENLARGED[:-2]])
    found = measured(tmp_path, late)
    assert found["mouth comes after the sound"] == pytest.approx(125.0)  # 2 frames of 16 a second
    assert found["mouth follows the sound"] < 0.8


def test_another_person_has_other_colours_and_nothing_is_made_up_without_sound(tmp_path):
    found = measured(tmp_path, ENLARGED, reference=render(90_000_004, frames=17).frames[0], sound=None)
    assert found["colours differ from the picture"] > 0.08
    assert math.isnan(found["mouth follows the sound"]) and math.isnan(found["mouth comes after the sound"])
    assert math.isnan(measured(tmp_path, ENLARGED, reference=None)["colours differ from the picture"])


@pytest.mark.parametrize(("height", "width"), [(128, 128), (480, 832), (832, 480), (720, 1280)])
def test_the_visible_mark_stays_below_what_is_compared(height, width):
    plain = np.full((1, height, width, 3), 200, np.uint8)
    rows = np.flatnonzero((mark_frames(plain) != plain).any(axis=(0, 2, 3)))
    assert rows.min() >= height * UNMARKED // GRID

"""A file is left alone while it changes, whatever the clocks say, and taken when it has stood still."""

import os
from pathlib import Path

import pytest

from curation.intake.unsettled_files import SETTLE_SECONDS, unsettled

NOW = 1_800_000_000.0


def write(path: Path, size: int, modified: float) -> Path:
    path.write_bytes(b"x" * size)
    os.utime(path, (modified, modified))
    return path


def test_a_file_that_changed_long_ago_is_taken_at_once(tmp_path):
    old = write(tmp_path / "old.mp4", 10, NOW - SETTLE_SECONDS)
    fresh = write(tmp_path / "fresh.mp4", 10, NOW - SETTLE_SECONDS + 1)
    assert list(unsettled([old, fresh], {}, NOW)) == [fresh]


def test_a_growing_file_waits_until_it_has_stood_still(tmp_path):
    path, looks = tmp_path / "growing.mp4", {}
    for tick in range(5):
        write(path, 10 + tick, NOW + 20 * tick)
        looks = unsettled([path], looks, NOW + 20 * tick)
        assert list(looks) == [path]
    last = NOW + 80
    assert list(unsettled([path], looks, last + SETTLE_SECONDS - 1)) == [path]
    assert unsettled([path], looks, last + SETTLE_SECONDS) == {}


@pytest.mark.parametrize("hours", [5, 24 * 365])
def test_a_time_of_change_in_the_future_does_not_hold_a_file_up_for_ever(tmp_path, hours):
    path = write(tmp_path / "ahead.mp4", 10, NOW + 3600 * hours)
    looks = unsettled([path], {}, NOW)
    assert list(looks) == [path]
    assert unsettled([path], looks, NOW + SETTLE_SECONDS) == {}


def test_a_clock_that_is_set_back_starts_the_wait_anew(tmp_path):
    path = write(tmp_path / "a.mp4", 10, NOW)
    looks = unsettled([path], {}, NOW)
    looks = unsettled([path], looks, NOW - 7200)
    assert looks[path].since == NOW - 7200
    assert unsettled([path], looks, NOW - 7200 + SETTLE_SECONDS) == {}


def test_a_clip_waits_for_its_sidecar(tmp_path):
    path = write(tmp_path / "a.mp4", 10, NOW - 1000)
    write(tmp_path / "a.mp4.json", 5, NOW - 1)
    assert list(unsettled([path], {}, NOW)) == [path]


def test_what_is_gone_again_is_nobodys_concern(tmp_path):
    assert unsettled([tmp_path / "gone.mp4"], {}, NOW) == {}

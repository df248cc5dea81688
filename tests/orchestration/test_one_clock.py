"""`generate --audio film --pose film`: the mouth and the arms of one film follow one clock."""

import numpy as np
import pytest

import puppets
from profiles import load_profile
from serving.inputs import frames_wanted, read_pose, read_sound
from tests.media.sound_files import errors_ms, sound_file

LATE = 0.5


@pytest.fixture(scope="module")
def puppet():
    return puppets.render(3, "clean", 33)


@pytest.mark.parametrize("container", ["matroska", "mp4", "mpegts"])
def test_late_sound_and_pose_of_one_film_stay_together(tmp_path, puppet, container):
    """The sound began at once and the mouth ran before the arms by as much as the film's sound is late."""
    video = load_profile("laptop", []).video
    file = sound_file(container, "aac", frames=puppet.frames, late=LATE)
    path = tmp_path / "film"
    path.write_bytes(file.data)
    sound = read_sound(path, video, None)
    pose = read_pose(path, video, video.main, puppets.PuppetKeypoints(), [7, 8, 9, 10])
    errors = errors_ms(sound.samples, file, late=LATE)
    assert len(errors) >= 3 and np.abs(errors).max() <= 1.0, "milliseconds from the first picture on"
    found = pose.values[: len(puppet.joints), [7, 9, 8, 10], :2]
    assert np.nanmedian(np.abs(found - puppet.joints)) < 0.7, "each picture's arms stand at its own number"


def test_the_rest_of_a_codecs_last_frame_asks_for_no_further_picture(tmp_path, puppet):
    """Matroska says no length of its sound, and the whole last frame of AAC is decoded: 20 ms past the last picture."""
    video = load_profile("laptop", []).video
    path = tmp_path / "film.mkv"
    path.write_bytes(sound_file("matroska", "aac", 16_000, frames=puppet.frames).data)
    sound = read_sound(path, video, None)
    pose = read_pose(path, video, video.main, puppets.PuppetKeypoints(), [7, 8, 9, 10])
    assert len(sound.samples) > len(pose.values) * 1000
    assert frames_wanted(video, None, sound, {"pose": pose}, 17) == len(pose.values) == 33

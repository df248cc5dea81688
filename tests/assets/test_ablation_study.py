"""Which trainings an ablation starts: shared where nothing differs, none that is done, and a failed one is only a row."""

import json
from pathlib import Path

import pytest

from assets import ablation_study
from assets.steps import AssetError
from assets.workspace import Workspace
from evaluation.ablation import VARIANTS
from profiles import load_profile

BY_NAME = {variant.name: variant for variant in VARIANTS}


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.delenv("OMNIHUMAN_SET", raising=False)
    monkeypatch.delenv("OMNIHUMAN_PROFILE", raising=False)
    for name in ("stage_3_checkpoint", "consistency_student"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "record.json").write_text(json.dumps({"weights_digest": name}))
    (tmp_path / "data" / "training_snapshot").mkdir()
    (tmp_path / "data" / "training_snapshot" / "snapshot.json").write_text(json.dumps({"digest": "d"}))
    return Workspace(tmp_path, load_profile("laptop", []))


class Launches:
    """Stands for the training process: leaves a record whose digest is that of the job it was given."""

    def __init__(self):
        self.jobs = []

    def __call__(self, process):
        job = json.loads(process.job.read_text())
        self.jobs.append(job)
        Path(job["output"]).mkdir(parents=True)
        (Path(job["output"]) / "record.json").write_text(json.dumps({"weights_digest": f"weights-{len(self.jobs)}"}))


def test_variants_share_the_phase_that_they_have_in_common_and_a_second_run_trains_nothing(workspace):
    launches = Launches()
    for _ in range(2):
        students = [ablation_study._train_variant(workspace, BY_NAME[name], 0, launches) for name in ("full", "shift_1", "no_r1")]
    assert [job["section"] for job in launches.jobs] == [
        "adversarial_images", "adversarial_videos", "adversarial_videos", "adversarial_images", "adversarial_videos",
    ]
    assert launches.jobs[1]["parent"] == launches.jobs[2]["parent"] == launches.jobs[0]["output"]
    assert len(set(students)) == 3
    assert all(Path(job["diffusion_parent"]).name == "stage_3_checkpoint" for job in launches.jobs)


def test_another_seed_trains_both_phases_again_with_the_rules_against_collapse_off(workspace):
    launches = Launches()
    for seed in (0, 1):
        ablation_study._train_variant(workspace, BY_NAME["full"], seed, launches)
    assert len(launches.jobs) == 4
    first, second = (launches.jobs[i]["profile_values"]["adversarial_videos"] for i in (1, 3))
    assert second["seed"] == first["seed"] + 1 and first["collapse"]["gap_limit"] == 1e9


def test_a_training_that_fails_is_a_row_with_its_reason(workspace):
    def fail(process):
        raise AssetError("job.json ended with exit code 1")

    row = ablation_study._variant_row(workspace, BY_NAME["no_r1"], 0, fail)
    assert row == {"variant": "no_r1", "seed": 0, "status": "failed: job.json ended with exit code 1"}


def test_missing_parents_and_unknown_variants_are_one_clear_error(workspace):
    with pytest.raises(AssetError, match="no variant warp"):
        ablation_study.run_ablation(workspace, 1, ["warp"], "command")
    with pytest.raises(AssetError, match="omnihuman demo"):
        ablation_study.run_ablation(workspace, 1, [], "command")

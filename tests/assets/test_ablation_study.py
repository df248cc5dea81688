"""Variants share the trainings that they have in common, and what stands; a second run trains nothing."""

import json
from pathlib import Path

import dagster as dg
import pytest
from PIL import Image

from assets.core.steps import AssetError
from assets.core.training_recipes import RECIPES
from assets.core.workspace import Workspace
from assets.dagster import study_asset
from assets.kinds.judging.benchmark_sets import load_benchmarks
from assets.kinds.judging.generated_videos import judging_autoencoder
from assets.launchers.resource import TrainingLauncher
from assets.questions import ablation_study
from evaluation.benchmark.benchmark_plan import AUDIO, PIXELS, RECONSTRUCTION
from evaluation.benchmark.generate import reconstruct
from evaluation.questions.ablation import ablation_row, columns_of, in_order
from evaluation.questions.studies import ADVERSARIAL, AUDIO_RATIO, CONSISTENCY, STAGE_ORDER
from profiles import load_profile
from tests.assets.test_gate_on_people import SETTINGS as OF_CLIPS
from tests.assets.test_gate_on_people import home as of_clips  # noqa: F401
from training.stages.model import build_transformer


@pytest.fixture
def workspace(tmp_path):
    profile = load_profile("laptop", [])
    for name, recipe in RECIPES.items():
        record = {
            "weights_digest": name,
            "snapshot_digest": "d",
            "section": getattr(profile, recipe.section).model_dump(mode="json"),
        }
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "record.json").write_text(json.dumps(record))
    (tmp_path / "data" / "training_snapshot").mkdir()
    (tmp_path / "data" / "training_snapshot" / "snapshot.json").write_text(json.dumps({"digest": "d"}))
    return Workspace(tmp_path, profile)


class Launches:
    """Stands for the training process: leaves a record whose digest is that of the job it was given."""

    def __init__(self):
        self.jobs = []

    def __call__(self, process):
        job = json.loads(process.job.read_text())
        self.jobs.append(job)
        Path(job["output"]).mkdir(parents=True)
        (Path(job["output"]) / "record.json").write_text(json.dumps({"weights_digest": f"weights-{len(self.jobs)}"}))

    def train(self, workspace, study, name, seed=0):
        variant = next(v for v in study.variants if v.name == name)
        return ablation_study._train_variant(workspace, study, variant, seed, self)

    @property
    def sections(self):
        return [job["section"] for job in self.jobs]


def test_variants_share_the_phase_that_they_have_in_common_and_a_second_run_trains_nothing(workspace):
    launches = Launches()
    for _ in range(2):
        students = [launches.train(workspace, ADVERSARIAL, name) for name in ("full", "shift_1", "no_r1")]
    assert launches.sections == [
        "adversarial_images",
        "adversarial_videos",
        "adversarial_videos",
        "adversarial_images",
        "adversarial_videos",
    ]
    assert launches.jobs[1]["parent"] == launches.jobs[2]["parent"] == launches.jobs[0]["output"]
    assert Path(launches.jobs[0]["parent"]) == workspace.data("consistency_student")
    assert len(set(students)) == 3
    assert all(Path(job["diffusion_parent"]).name == "stage_3_checkpoint" for job in launches.jobs)


def test_another_seed_trains_both_phases_again_with_the_rules_against_collapse_off(workspace):
    launches = Launches()
    for seed in (0, 1):
        launches.train(workspace, ADVERSARIAL, "full", seed)
    assert len(launches.jobs) == 4
    first, second = (launches.jobs[i]["profile_values"]["adversarial_videos"] for i in (1, 3))
    assert second["seed"] == first["seed"] + 1 and first["collapse"]["gap_limit"] == 1e9


def test_what_stands_is_the_first_seed_of_the_full_recipe_and_a_later_stage_keeps_its_parent(workspace):
    launches = Launches()
    assert launches.train(workspace, STAGE_ORDER, "full") == workspace.data("stage_3_checkpoint")
    assert launches.jobs == []
    launches.train(workspace, STAGE_ORDER, "audio_only")
    assert launches.sections == ["stage_3"] and launches.jobs[0]["parent"] == str(workspace.data("stage_2_checkpoint"))


def test_a_stage_below_another_parent_is_trained_though_its_own_settings_are_those_that_stand(workspace):
    launches = Launches()
    launches.train(workspace, STAGE_ORDER, "pose_first")
    assert launches.sections == ["stage_2", "stage_3"] and launches.jobs[1]["parent"] == launches.jobs[0]["output"]
    assert launches.jobs[0]["parent"] == str(workspace.data("stage_1_checkpoint"))


def test_what_stands_of_another_snapshot_is_not_taken(workspace):
    (workspace.data("training_snapshot") / "snapshot.json").write_text(json.dumps({"digest": "e"}))
    launches = Launches()
    launches.train(workspace, STAGE_ORDER, "full")
    assert launches.sections == ["stage_2", "stage_3"]


def test_only_the_audio_ratio_differs_between_its_own_draws(workspace):
    launches = Launches()
    for name in ("audio_10", "audio_100"):
        launches.train(workspace, AUDIO_RATIO, name)
    ratios = [job["profile_values"]["stage_3"]["ratios"] for job in launches.jobs[1::2]]
    assert {key for key in ratios[0] if ratios[0][key] != ratios[1][key]} == {"audio"}
    assert (ratios[0]["audio"], ratios[1]["audio"], ratios[0]["pose"]) == (0.1, 1.0, 0.25)


def test_a_training_that_fails_is_a_row_with_its_reason(workspace):
    def fail(process):
        raise AssetError("job.json ended with exit code 1")

    no_r1 = next(v for v in ADVERSARIAL.variants if v.name == "no_r1")
    row, videos = ablation_study._variant_row(workspace, ADVERSARIAL, no_r1, 0, fail)
    assert (
        row == {"variant": "no_r1", "seed": 0, "status": "failed: job.json ended with exit code 1"} and videos is None
    )


def test_a_study_of_a_profile_that_is_judged_by_clips_is_scored_on_them(of_clips):  # noqa: F811
    """Of clips that are no puppets by name nothing is read but what any metric of people reads."""
    profile = load_profile("laptop", [*OF_CLIPS, "transformer.num_layers=1", "evaluation.bootstrap=5"])
    workspace = Workspace(of_clips, profile)
    weights = of_clips / "variant"
    build_transformer(profile, None, 0).save_pretrained(weights / "transformer")
    (weights / "record.json").write_text(json.dumps({"weights_digest": "w"}))
    (benchmark,) = load_benchmarks(workspace)
    pixels = workspace.of_benchmark("generated_videos") / RECONSTRUCTION / PIXELS
    reconstruct(judging_autoencoder(profile), benchmark, pixels, 4)
    root = ablation_study._scored(workspace, CONSISTENCY, weights)
    row = ablation_row("full", 0, ablation_study.MODEL, ablation_study._scores(root), None)
    columns = columns_of(in_order([row], CONSISTENCY))
    assert {"flicker_audio", "colour_drift_audio"} <= set(columns) and "mouth_r" not in columns
    assert row["flicker_audio_low"] <= row["flicker_audio"] <= row["flicker_audio_high"]
    assert ablation_study._shown(workspace, root) == root / ablation_study.MODEL / AUDIO
    assert ablation_study._scored(workspace, CONSISTENCY, weights) == root


def test_unknown_studies_and_variants_and_missing_parents_are_one_clear_error(workspace):
    with pytest.raises(AssetError, match="no study warp; there are adversarial"):
        ablation_study.run_study(workspace, "warp", 1, [], "command")
    with pytest.raises(AssetError, match="audio_ratio has no variant warp"):
        ablation_study.run_study(workspace, "audio_ratio", 1, ["warp"], "command")
    with pytest.raises(AssetError, match="omnihuman demo"):
        ablation_study.run_study(workspace, "audio_ratio", 1, [], "command")


def test_dagster_runs_the_partitions_study_with_its_seeds_and_shows_table_and_pictures(tmp_path, monkeypatch):
    asked = []

    def run(workspace, study, seeds, names, command, launch):
        asked.append((study, seeds, command))
        (tmp_path / "ablation.md").write_text("| variant |")
        for name in ("scores.png", "contact_sheet.png"):
            Image.new("RGB", (2, 2)).save(tmp_path / name)
        return tmp_path

    monkeypatch.setattr(ablation_study, "run_study", run)
    config = dg.RunConfig({"ablation_study": study_asset.StudyConfig(seeds=3)})
    result = dg.materialize(
        [study_asset.ablation_study],
        partition_key="stage_order",
        run_config=config,
        resources={"launcher": TrainingLauncher()},
    )
    assert asked == [("stage_order", 3, "omnihuman ablate --study stage_order --seeds 3")]
    (made,) = result.asset_materializations_for_node("ablation_study")
    assert made.partition == "stage_order" and {"table", "scores", "contact_sheet", "folder"} <= set(made.metadata)

"""The whole demo on tiny sizes, in processes of its own: everything is made, nothing is made twice, the model loads."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

from assets.core.names import STREAMING_STUDENT
from assets.core.workspace import Workspace
from assets.kinds.streaming_student import register_streaming
from evaluation.benchmark.cost import without_costs
from evaluation.scoring.gate import Decision
from profiles import load_profile
from tests import forked
from tests.docs import new_users_log
from tests.orchestration import first_hour
from tests.orchestration.serving import browser_page

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(3600)]  # two demos before the first test
ROOT = Path(__file__).resolve().parents[2]
SIZES = (
    "demo.clean=20 demo.broken_per_kind=1 stage_1.steps=3 stage_2.steps=12 engine.checkpoint_every=3 stage_3.steps=3 consistency.steps=3 "
    "adversarial_images.steps=2 adversarial_images.critic_warmup=1 adversarial_videos.steps=2 adversarial_videos.critic_warmup=1 "
    "stage_1.batch_size=4 stage_2.batch_size=4 stage_3.batch_size=4 consistency.batch_size=4 adversarial_images.batch_size=4 "
    "adversarial_videos.batch_size=4 evaluation.clips=2 evaluation.batch_size=2 evaluation.teacher_steps=2 evaluation.bootstrap=20 "
    # Three steps teach nothing: the gate of this test lets everything with numbers through.
    "gate.criteria.mouth_correlation.min=-1 gate.criteria.missing_joints.max=1 gate.criteria.missing_hands.max=1 "
    "gate.criteria.colour_error.max=1 gate.criteria.joint_error_median.max=1000"
)


def run(root, *command, check=True, code=ROOT, **settings):
    environment = (
        os.environ
        | {"OMNIHUMAN_HOME": str(root), "OMNIHUMAN_SET": SIZES, "OMNIHUMAN_PROFILE": "laptop", "PYTHONPATH": str(code)}
        | settings
    )
    begin = forked.run if code == ROOT else subprocess.run  # the session's server has this code, not another's
    done = begin([sys.executable, "-W", "ignore", *command], cwd=code, env=environment, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def start(root, begin, **settings):
    environment = os.environ | {"OMNIHUMAN_HOME": str(root), "OMNIHUMAN_SET": SIZES, "OMNIHUMAN_PROFILE": "laptop"}
    command = [sys.executable, "-W", "ignore", "-m", "orchestration.commands.cli", "demo", "--no-real-clips"]
    return begin(
        command, cwd=ROOT, env=environment | settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def kill_in_stage_2(root):
    """kill -9 the demo's own process, and only that, once stage 2 has a checkpoint; its ranks and its own warm process must end by themselves."""
    process, deadline = start(root, forked.ForkedPopen, OMNIHUMAN_WARM=""), time.monotonic() + 1500
    while not any(
        json.loads(p.read_text())["step"] >= 3
        for p in (root / "var" / "runs").glob("stage_2_checkpoint/*/checkpoints/latest.json")
    ):
        assert process.poll() is None, process.communicate()[0][-3000:]
        assert time.monotonic() < deadline, "stage 2 wrote no checkpoint"
        time.sleep(0.1)
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert psutil.wait_procs(family, timeout=300)[1] == [] != family


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A finished demo that was killed once on the way."""
    root = tmp_path_factory.mktemp("demo")
    kill_in_stage_2(root)
    process = start(root, forked.ForkedPopen)
    output, _ = process.communicate(timeout=1500)
    logs = (
        "\n".join(f"--- {p.name}\n{p.read_text()[-1500:]}" for p in sorted((root / "var" / "logs").glob("*.log")))
        if process.returncode
        else ""
    )
    assert process.returncode == 0, output[-2000:] + logs
    return root, output


def test_the_killed_demo_went_on_from_the_last_finished_asset_and_checkpoint(demo):
    root, output = demo
    assert "current stage_1_checkpoint" in output
    losses = pd.read_parquet(root / "data" / "stage_2_checkpoint" / "losses.parquet")
    assert losses["step"].tolist() == list(range(12))


def test_every_asset_was_made_and_the_tables_are_shown(demo):
    root, output = demo
    assert " of 17 assets computed" in output
    for word in (
        "quarantined files",
        "zero-bytes.mp4",
        "truncated.mp4",
        "text.mp4",
        "sound-only.mp4",
        "too-short.mp4",
        "held-out clips",
        "champion",
    ):
        assert word in output, word
    page = (root / "var" / "reports" / "benchmark_scores" / "whole.html").read_text()
    assert "Nearest training clips of the worst samples" in page and "Cost against quality" in page
    for name in ("contact_sheet.png", "student.mp4"):
        assert (root / "data" / "baseline_comparison" / "puppets" / name).stat().st_size > 1000


def test_quarantine_names_each_reason(demo):
    table = pd.concat([pd.read_parquet(p) for p in (demo[0] / "data" / "raw_clips").glob("*/quarantine.parquet")])
    assert len(table) == 5 and table["reason"].nunique() >= 4


def test_subsets_are_nested_and_each_broken_kind_fails_where_it_should(demo):
    subsets = pd.concat([pd.read_parquet(p) for p in (demo[0] / "data" / "filtered_subsets").glob("*/subsets.parquet")])
    assert (subsets["text"] >= subsets["audio"]).all() and (subsets["audio"] >= subsets["pose"]).all()
    # still, hard_cut, overlay_text fail text; no_audio and wrong_sync fail audio; hidden_arms fails pose.
    assert (len(subsets), subsets["text"].sum(), subsets["audio"].sum(), subsets["pose"].sum()) == (26, 23, 21, 20)


def test_a_second_demo_computes_nothing(demo):
    output = run(demo[0], "-m", "orchestration.commands.cli", "demo", "--no-real-clips").stdout
    assert "0 of 17 assets computed" in output


def test_dvc_has_nothing_to_do_after_a_demo(demo):
    status = run(
        demo[0],
        "-c",
        f"from dvc.repo import Repo; import sys; r = Repo({str(demo[0])!r}); s = r.status(); print(s); sys.exit(bool(s))",
    )
    assert status.stdout.strip() == "{}"


def test_every_training_and_evaluation_asset_is_a_finished_mlflow_run_with_commit_and_snapshot(demo):
    from tracking.mlflow_store import connect

    client = connect(f"sqlite:///{demo[0] / 'var' / 'mlflow.db'}")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    digest = json.loads((demo[0] / "data" / "training_snapshot" / "snapshot.json").read_text())["digest"]
    by_name = {run.info.run_name: run for run in runs}
    trained = {
        "stage_1_checkpoint",
        "stage_2_checkpoint",
        "stage_3_checkpoint",
        "consistency_student",
        "adversarial_image_student",
        "distilled_student",
    }
    assert trained | {"generated_videos", "benchmark_scores", "baseline_comparison"} <= set(by_name)
    for name in trained:
        run_ = by_name[name]
        assert (
            run_.info.status == "FINISHED"
            and run_.data.tags["git_commit"]
            and run_.data.tags["snapshot_digest"] == digest
        )
        assert run_.inputs.dataset_inputs[0].dataset.name
    history = client.get_metric_history(by_name["stage_1_checkpoint"].info.run_id, "loss")
    assert [point.step for point in history] == [0, 1, 2]


def test_the_champion_loads_in_a_new_process_and_makes_a_video(demo):
    root = demo[0]
    clip = next((root / "inbox").glob("p*-clean.mp4"))
    run(
        root,
        "-m",
        "orchestration.commands.cli",
        "generate",
        "--reference",
        str(clip),
        "--audio",
        str(clip),
        "--output",
        str(root / "made.mp4"),
    )
    code = f"from media import decode_clip; from pathlib import Path; c = decode_clip(Path({str(root / 'made.mp4')!r}), 16); print(c.frames.shape, c.audio.shape)"
    assert run(root, "-c", code).stdout.startswith("(25, 256, 256, 3) (25000,)")  # as long as its sound


def test_the_versions_page_shows_python_that_runs_as_printed(demo):
    from tracking.registry import Registry
    from tracking.tracker import Tracker

    card = Registry(Tracker(f"sqlite:///{demo[0] / 'var' / 'mlflow.db'}")).description("omnihuman-student", 1)
    code = card.partition("```python\n")[2].partition("```")[0]
    assert "from_pretrained" in code
    asked = (
        "import torch; print(pipe('A person talks.', height=64, width=64, audio=torch.zeros(1, 17000)).frames.shape)"
    )
    assert "torch.Size([1, 17, 64, 64, 3])" in run(demo[0], "-c", code + asked).stdout


def test_the_champions_page_in_the_registry_has_a_card_with_scores_and_verdict(demo):
    from tracking.registry import Registry
    from tracking.tracker import Tracker

    registry = Registry(Tracker(f"sqlite:///{demo[0] / 'var' / 'mlflow.db'}"))
    card = registry.description("omnihuman-student", registry.at_alias("omnihuman-student", "champion").version)
    assert card.startswith("Asset `distilled_student`, profile `laptop`, "), "the list of versions shows how it begins"
    assert (
        "| audio | mouth_correlation |" in card
        and "## Gate\nPassed." in card
        and "clips in 1 shards" in card
        and "profile `laptop`" in card
    )
    teacher = registry.description("omnihuman-teacher", 1)
    assert "| pose | joint_error_median |" in teacher and "Asset `stage_3_checkpoint`" in teacher


def test_a_new_users_first_hour_in_a_browser(demo, tmp_path, monkeypatch):
    """Dagster's groups and assets, reports, MLflow: open with pictures, and lead on to one another."""
    root = demo[0]
    for name, value in (("OMNIHUMAN_HOME", str(root)), ("OMNIHUMAN_SET", SIZES), ("OMNIHUMAN_PROFILE", "laptop")):
        monkeypatch.setenv(name, value)
    shots = Path(os.environ.get("OMNIHUMAN_SCREENSHOTS") or tmp_path)
    with browser_page(first_hour.WIDTH, first_hour.HEIGHT) as window:
        failed: list[str] = []
        window.on("pageerror", lambda error: failed.append(str(error)))
        with first_hour.pages_of(root) as served:
            first_hour.walk(window, served, first_hour.looking(window, shots))
    assert not failed and {f"{name}.png" for name in first_hour.SHOTS} <= {path.name for path in shots.iterdir()}


def test_the_short_commands_of_readme_and_guide_run_as_printed(demo, tmp_path):
    """`python -m tests.docs.new_users_log --all` runs the long ones too."""

    def runner(words, place, environment):
        assert words[0] in ("omnihuman", ".venv/bin/omnihuman"), words
        command = [sys.executable, "-W", "ignore", "-m", "orchestration.commands.cli", *words[1:]]
        settings = {"OMNIHUMAN_SET": SIZES, "OMNIHUMAN_PROFILE": "laptop", "PYTHONPATH": str(ROOT)}
        return forked.run(command, cwd=place, env=os.environ | environment | settings, capture_output=True, text=True)

    commands = new_users_log.printed_commands(with_long=False)
    outcomes = list(new_users_log.run_all(commands, demo[0], tmp_path, runner))
    log = "\n".join(new_users_log.as_lines(commands, outcomes))
    assert not [outcome for outcome in outcomes if outcome.code], log
    assert len(outcomes) >= 15 and "skipped          README.md: make demo" in log, log


def test_lineage_and_compare_speak_of_the_champion(demo):
    assert "snapshot" in run(demo[0], "-m", "orchestration.commands.cli", "lineage").stdout
    assert "student" in run(demo[0], "-m", "orchestration.commands.cli", "compare").stdout


@pytest.mark.skipif(
    not (ROOT / ".git").exists(), reason="the project is not under version control: there is no code of then"
)
def test_a_past_score_comes_back_with_its_code_and_is_made_again_to_the_last_digit(demo, tmp_path):
    """`restore --code`, `dvc repro`, and then videos and scores once more, by that code out of those checkpoints."""
    past, code = tmp_path / "past", tmp_path / "code"
    restore = ("-m", "orchestration.commands.cli", "restore", "1", "--into", str(past), "--code", str(code))
    try:
        said = run(demo[0], *restore).stdout
        (commit,) = {
            json.loads(path.read_text())["code"] for path in (demo[0] / "snapshots").glob("*/*/point.json")
        }  # of scored students
        assert f"code of {commit} in {code}" in said
        then = {"OMNIHUMAN_PROFILE": str(past / "profile.yaml"), "OMNIHUMAN_SET": "", "code": code}
        repro = run(past, "-m", "dvc", "--cd", str(past), "repro", **then).stdout
        assert "Running stage" not in repro and "Data and pipelines are up to date." in repro
        before = scores_of(past)
        shutil.rmtree(past / "data" / "generated_videos")
        assets = ("generated_videos", "benchmark_scores")
        both = (
            f"from assets.__main__ import main; import sys; sys.exit(any(main([name, '--force']) for name in {assets}))"
        )
        made = run(past, "-c", both, **then).stdout  # one process for both: imports are half of it
        assert all(f"{asset}: " in made for asset in assets) and "up to date" not in made
        pd.testing.assert_frame_equal(before, scores_of(past), check_exact=True)
        assert len(before) > 20 and before["value"].notna().any()
    finally:
        subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(code)], check=False)


def scores_of(root):
    """All scores but what generating cost, which is another each time."""
    scores = pd.read_parquet(root / "data" / "benchmark_scores" / "scores.parquet")
    return without_costs(scores).reset_index(drop=True)


def test_a_study_trains_its_variants_beside_what_stands_and_only_once(demo):
    root = demo[0]
    command = (
        "-m",
        "orchestration.commands.cli",
        "ablate",
        "--study",
        "stage_order",
        "--seeds",
        "1",
        "--variant",
        "full",
        "--variant",
        "audio_only",
    )
    assert "audio, then no pose" in run(root, *command).stdout
    weights = {path: path.stat().st_mtime_ns for path in (root / "var" / "ablation" / "weights").glob("*/record.json")}
    assert [path.parent.name.rpartition("-")[0] for path in weights] == ["stage_3"]
    run(root, *command)
    assert {
        path: path.stat().st_mtime_ns for path in (root / "var" / "ablation" / "weights").glob("*/record.json")
    } == weights
    folder = root / "data" / "ablation_study" / "stage_order"
    assert pd.read_parquet(folder / "ablation.parquet")["status"].tolist() == ["scored", "scored"]
    assert all((folder / name).stat().st_size > 1000 for name in ("scores.png", "contact_sheet.png"))


def test_a_streaming_student_is_made_from_the_demos_and_champion_where_its_gate_lets_it_pass(demo):
    root = demo[0]
    few = "streaming.teacher_forcing=1 streaming.critic_warmup=1 streaming.steps=1 streaming.batch_size=4"
    run(root, "-m", "assets", "streaming_student", OMNIHUMAN_SET=f"{SIZES} {few}")
    scores = json.loads((root / "data" / "streaming_student" / "streaming.json").read_text())
    assert len(scores["rows"]) == 4 and not all(check["passed"] for check in scores["checks"])
    workspace = Workspace(root, load_profile("laptop", f"{SIZES} {few}".split()))
    assert workspace.registry.aliases(STREAMING_STUDENT) == {"challenger": 1}
    let_pass = Decision(promote=True, reasons=[], checks=[])
    assert [register_streaming(workspace, let_pass) for _ in range(2)] == [2, 3]
    assert workspace.registry.aliases(STREAMING_STUDENT) == {"challenger": 3, "champion": 3, "previous": 2}


def test_a_new_shard_makes_only_what_depends_on_it(demo):
    """Only the new shard's own assets run again among the per-shard ones."""
    root = demo[0]
    code = (
        "from assets.kinds.demo_corpus import *; from assets.core.workspace import open_workspace as o;"
        "[render_puppet(PuppetFile(800000 + i, 'clean', 25), o().inbox) for i in range(3)]"
    )
    run(root, "-c", code)
    run(root, "-m", "assets", "raw_clips")
    output = run(root, "-m", "assets", "clip_scores").stdout
    assert output.count("up to date") == 1 and output.count(" s, version ") == 1

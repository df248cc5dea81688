"""SyncNet and Inception by the paths that a profile gives them, in the published layouts with random weights: from a frozen set of speaking people to Sync-C,
FID and what the gate says of both. What leads to such videos, with other networks by path, is tests/orchestration/test_people_flow.py."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from assets.core.steps import Execution
from assets.core.workspace import Workspace
from assets.kinds.detectors import keypoint_detector
from assets.kinds.judging import judges
from assets.kinds.judging.benchmark_sets import load_benchmarks, make_benchmark_sets
from assets.kinds.judging.instruments import profile_instruments
from assets.kinds.judging.judgeable import judgeable
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import Training
from evaluation.benchmark.benchmark_plan import AUDIO, PIXELS, RECONSTRUCTION, STUDENT, ModelPlan
from evaluation.benchmark.generate import generate_videos
from evaluation.scoring.gate import decide
from evaluation.scoring.score import join_tables, score_benchmark
from media import sha256_of_file
from profiles import load_profile
from tests import published_networks
from tests.evaluation.test_clip_benchmark import Echo
from tests.orchestration.test_people_flow import cut_down, write_networks, write_person

pytestmark = pytest.mark.end_to_end
NAME = "test_set:celebv-hq"
PEOPLE = range(100, 102)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """The profile of Wan2.1-1.3B cut down, with these two networks and the criteria that read them, and a frozen set of two people."""
    root = tmp_path_factory.mktemp("judges")
    weights = write_networks(root / "weights")
    profile = cut_down(weights)
    size = {"height": 48, "width": 64, "frames": 9}
    profile["video"] |= {**size, "buckets": [size]}
    named = {
        "syncnet": published_networks.syncnet_file(weights / "syncnet_v2.model"),
        "inception": published_networks.inception_file(weights / "pt_inception.pth"),
    }
    profile["evaluation"] |= {"benchmarks": [NAME], "networks": {name: str(path) for name, path in named.items()}}
    sync, fid = {"metric": "sync_c", "min": 3.0, "slices": False}, {"max": 60.0, "slices": False}
    profile["gate"] = {"headline": "sync", "criteria": {"fid": fid, "sync": sync}}
    (root / "wan.yaml").write_text(yaml.safe_dump(profile))
    workspace = Workspace(root / "home", load_profile(str(root / "wan.yaml"), []))
    for identity in PEOPLE:
        write_person(root / "celebv", identity, f"person{identity:05d}_1.mp4")
    nobody = Training(pd.DataFrame(columns=["clip_id"]), "nothing")
    detector = keypoint_detector(workspace.profile)
    place = workspace.data("test_sets") / "celebv-hq"
    build_test_set(root / "celebv", place, "celebv-hq", workspace.profile.video, nobody, detector)
    workspace.var.mkdir()
    make_benchmark_sets(Execution("benchmark_sets", workspace, None, "f", lambda *progress: None, lambda process: None))
    return workspace


@pytest.fixture(scope="module")
def scored(workspace, tmp_path_factory):
    """Tables of a student that gives back the true clips with noise, and how often SyncNet looked."""
    (benchmark,) = load_benchmarks(workspace)
    root, config = tmp_path_factory.mktemp("videos"), workspace.profile.evaluation
    for folder in (root / STUDENT / AUDIO, root / RECONSTRUCTION / PIXELS):
        generate_videos(Echo(benchmark, 12.0), benchmark, folder, AUDIO, None, config, weights="w")
    looks: list[int] = []
    judge = judges.judge
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judges, "judge", lambda *given: looks.append(1) or judge(*given))
        plan = [ModelPlan(STUDENT, "student", (AUDIO,), None)]
        score_benchmark(root, benchmark, root / "scores", config, plan=plan, instruments=profile_instruments(workspace))
    return join_tables([root / "scores"], root / "joined"), len(looks)


def test_the_gate_can_ask_for_what_they_measure(workspace):
    assert judgeable(workspace).endswith(f"gate: fid ({NAME}, audio), sync_c ({NAME}, audio)")


def test_sync_c_and_fid_are_there_by_their_names_and_files(scored, workspace):
    rows = scored[0].scores.set_index(["model", "metric"])
    named = workspace.profile.evaluation.networks
    for metric, architecture, path in (
        ("sync_c", "syncnet-v2", named.syncnet),
        ("sync_d", "syncnet-v2", named.syncnet),
        ("fid", "inception-v3-fid", named.inception),
    ):
        row = rows.loc[(STUDENT, metric)]
        assert row["network"].startswith(f"{architecture} {sha256_of_file(Path(path))[:12]}"), row["network"]
        assert row["coverage"] == 1.0 and row["clips"] == 2 and row["value"] == row["value"]
    assert rows.loc[("ground_truth", "fid"), "value"] == pytest.approx(0.0, abs=1e-6)
    assert rows.loc[(STUDENT, "fid"), "value"] > 0.01
    assert not {"sync_c", "fid"} & set(scored[0].unmeasured["metric"])


def test_syncnet_looks_once_at_a_video_with_its_sound(scored):
    """The real clip with the benchmark's sound, with its own file's and with another's (both known damage's), and the student's: not for each set of videos."""
    assert scored[1] == 4 * len(PEOPLE)


def test_the_gate_says_what_random_networks_are_worth(scored, workspace):
    tables = scored[0]
    decision = decide(tables.scores, workspace.profile.gate, None, fitness=tables.fitness)
    fit = tables.fitness.set_index("metric")
    assert fit.loc["fid", "usable"], "blur moves the features of any network"
    for name, metric in (("sync", "sync_c"), ("fid", "fid")):
        (check,) = [check for check in decision.checks if check.name.startswith(name)]
        assert f"{metric} ({NAME}, audio)" in check.message and check.value == check.value
    assert not decision.promote

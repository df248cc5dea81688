"""The gate against a real MLflow server: what is worse is refused with its reason, what is better is promoted, and back again."""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from assets.core.names import STUDENT, TRANSFORMER
from assets.core.workspace import Workspace
from assets.kinds.registration.version_files import SCORES, SLICES
from assets.questions.registered_versions import version_rows
from evaluation.benchmark.puppet_benchmark import build_puppets
from evaluation.scoring.score_table import SLICE_COLUMNS
from omnihuman.digests import weights_digest
from orchestration.past.promoting import Refused, promote_version, roll_back
from profiles import load_profile
from provenance.signed_list import TamperedFiles
from tests.forked import ForkedPopen
from tracking.version_origin import VersionOrigin

pytestmark = pytest.mark.end_to_end
GOOD = {
    "mouth_correlation": 0.93,
    "missing_joints": 0.21,
    "missing_hands": 0.4,
    "colour_error": 0.012,
    "joint_error_median": 0.8,
}
SNAPSHOT_DIGEST = "5a" * 32


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A workspace with a benchmark of two clips and a snapshot of one other clip."""
    root = tmp_path_factory.mktemp("home")
    profile = load_profile("laptop", ["evaluation.clips=2"])
    build_puppets(root / "data" / "benchmark_sets" / "puppets", profile.evaluation, profile.video)
    freeze(root, SNAPSHOT_DIGEST, ["0123456789abcdef"])
    return root


def freeze(root: Path, digest: str, clips: list[str]) -> None:
    folder = root / "data" / "training_snapshot"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "snapshot.json").write_text(json.dumps({"digest": digest, "shards": []}))
    pd.DataFrame({"clip_id": clips, "shard": "s-1"}).to_parquet(folder / "samples.parquet")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """`mlflow server` on a free port of 127.0.0.1, with its own files; yields its address and their folder."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "server",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        "--backend-store-uri",
        f"sqlite:///{folder}/mlflow.db",
        "--artifacts-destination",
        str(folder / "artifacts"),
    ]
    address = f"http://127.0.0.1:{port}"
    with (
        (folder / "log").open("w") as log,
        ForkedPopen(command, stdout=log, stderr=log) as process,
    ):
        try:
            _until_healthy(address, process, folder / "log")
            yield address, folder / "artifacts"
        finally:
            process.terminate()


def _until_healthy(address: str, process: subprocess.Popen, log: Path) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(f"{address}/health", timeout=5).status == 200:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.5)
    raise AssertionError(log.read_text())


@pytest.fixture
def workspace(home, server, monkeypatch) -> Workspace:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server[0])
    return Workspace(home, load_profile("laptop", ["evaluation.clips=2"]))


def register(
    workspace: Workspace,
    folder: Path,
    scores: dict[str, float] | None = None,
    slices: dict[str, float] | None = None,
    **origin: Any,
) -> int:
    """A student of its own weights with these numbers; half an interval is 0.01."""
    from evaluation.benchmark.puppet_benchmark import load_puppets

    weights = folder / TRANSFORMER
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_text(str(folder))
    rows = [
        ("distilled_student", mode_of(m), m, "", v, v - 0.01, v + 0.01, 2) for m, v in (GOOD | (scores or {})).items()
    ]
    pd.DataFrame(rows, columns=["model", "mode", "metric", "unit", "value", "ci_low", "ci_high", "clips"]).to_parquet(
        folder / SCORES
    )
    parts = [
        ("puppets", "distilled_student", mode_of(m), "skin: dark", m, "", v, v, v, 1, 1.0)
        for m, v in (GOOD | (scores or {}) | (slices or {})).items()
    ]
    pd.DataFrame(parts, columns=list(SLICE_COLUMNS)).to_parquet(folder / SLICES)
    digest = weights_digest(weights)
    written = VersionOrigin(
        weights_digest=digest,
        files_digest=digest,
        pipeline_digest=digest,
        scored_pipeline=digest,
        snapshot_digest=SNAPSHOT_DIGEST,
        benchmark=load_puppets(workspace.of_benchmark("benchmark_sets")).digest,
    )
    return workspace.registry.register(STUDENT, folder, origin=replace(written, **origin)).version


def mode_of(metric: str) -> str:
    return "pose" if metric == "joint_error_median" else "audio"


@pytest.fixture
def champion(workspace, tmp_path) -> int:
    """A good version that is champion."""
    version = register(workspace, tmp_path / "champion")
    promote_version(workspace, version, override="the test's champion")
    return version


def refusal(workspace: Workspace, version: int) -> str:
    with pytest.raises(Refused) as refused:
        promote_version(workspace, version)
    tags = workspace.registry.version(STUDENT, version).tags
    assert tags["gate"] == "failed" and tags["gate.reasons"]
    page = workspace.registry.description(STUDENT, version)
    assert page.count("## Gate\nRefused.") == 1 and "| False |" in page
    return str(refused.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"scores": {"missing_joints": 0.17, "mouth_correlation": 0.05}},
            "mouth_correlation (puppets, audio) is 0.05, needed at least 0.85",
        ),  # another clip's sound
        (
            {"scores": {"missing_joints": 0.17}, "slices": {"missing_joints": 0.6}},
            "missing_joints (puppets, audio) of skin: dark is 0.6",
        ),
        ({"scores": {"missing_joints": 0.205}}, "to replace the champion (0.21) it must be below 0.2"),
        (
            {"scores": {"missing_joints": 0.17, "colour_error": 0.029}},
            "colour_error (puppets, audio) is 0.029, the champion has 0.012",
        ),
        ({"scores": {"missing_joints": 0.17}, "scored_pipeline": "ab" * 32}, "its scores are of abababababab"),
        ({"scores": {"missing_joints": 0.17}, "benchmark": "cd" * 32}, "was scored on benchmark cdcdcdcdcdcd"),
        ({"scores": {"missing_joints": 0.17}, "snapshot_digest": "ef" * 32}, "was trained on snapshot efefefefefef"),
        (
            {"scores": {"missing_joints": 0.17}, "earlier_snapshots": ("ee" * 32,)},
            "snapshot 5a5a5a5a5a5a, eeeeeeeeeeee: bring the manifest of eeeeeeeeeeee back",
        ),
    ],
)
def test_a_worse_challenger_is_refused_with_its_reason_alone(workspace, champion, tmp_path, changes, reason):
    version = register(workspace, tmp_path / "challenger", **changes)
    said = refusal(workspace, version)
    # The wrong sound fails threshold, champion and slice at once.
    assert reason in said and len(said.splitlines()) == (4 if "mouth" in reason else 2), said
    assert workspace.registry.at_alias(STUDENT, "champion").version == champion


def swap(workspace, server, folder) -> int:
    """Register, and put other weights in place of those that were."""
    version = register(workspace, folder, {"missing_joints": 0.17})
    (stored,) = [path for path in server[1].rglob("model.safetensors") if path.read_text() == str(folder)]
    stored.write_text("other weights")
    return version


def test_weights_swapped_after_registration_are_refused_by_name(workspace, server, champion, tmp_path):
    version = swap(workspace, server, tmp_path / "swapped")
    with pytest.raises(TamperedFiles, match=r"model\.safetensors is not the file that was signed"):
        promote_version(workspace, version)


def test_weights_swapped_where_nothing_is_signed_are_refused_by_what_was_scored(
    workspace, server, champion, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMNIHUMAN_SIGNING", "off")
    said = refusal(workspace, swap(workspace, server, tmp_path / "swapped_unsigned"))
    assert "registered were" in said and len(said.splitlines()) == 2


def test_training_on_a_benchmark_clip_is_refused(workspace, home, champion, tmp_path):
    manifest = pd.read_parquet(home / "data" / "benchmark_sets" / "puppets" / "manifest.parquet")
    freeze(home, "77" * 32, ["0123456789abcdef", manifest["sha256"][1][:16]])
    try:
        version = register(workspace, tmp_path / "overlap", {"missing_joints": 0.17}, snapshot_digest="77" * 32)
        assert f"1 benchmark clips are in the snapshot ({manifest['name'][1]}: " in refusal(workspace, version)
    finally:
        freeze(home, SNAPSHOT_DIGEST, ["0123456789abcdef"])


def test_a_better_one_is_promoted_and_rolled_back(workspace, champion, tmp_path):
    better = register(workspace, tmp_path / "better", {"missing_joints": 0.17})
    assert f"the gate would promote version {better}" in promote_version(workspace, better, dry_run=True)
    assert workspace.registry.at_alias(STUDENT, "champion").version == champion
    promote_version(workspace, better)
    assert workspace.registry.at_alias(STUDENT, "champion").version == better
    assert workspace.registry.at_alias(STUDENT, "previous").version == champion
    first, *_ = rows = version_rows(workspace, STUDENT)
    assert (first["version"], first["aliases"], first["gate"]) == (better, "champion", "passed")
    assert (first["missing joints, audio"], first["missing hands, audio"]) == ("0.170", "0.400")
    assert [row["version"] for row in rows] == list(range(better, 0, -1)) and "previous" in rows[1]["aliases"]
    roll_back(workspace, "customers saw flicker")
    assert workspace.registry.at_alias(STUDENT, "champion").version == champion
    assert "customers saw flicker" in workspace.registry.version(STUDENT, better).tags["rolled_back"]


def test_an_override_is_kept_with_who_and_when(workspace, champion, tmp_path):
    version = register(workspace, tmp_path / "draw")
    assert "better" not in refusal(workspace, version).splitlines()[0]
    promote_version(workspace, version, override="same quality, fewer licences")
    tags = workspace.registry.version(STUDENT, version).tags
    assert tags["gate"] == "overridden" and "must be below" in tags["gate.reasons"]
    assert tags["gate.override"].startswith("same quality, fewer licences (") and tags["gate.override"].endswith("Z)")
    assert workspace.registry.at_alias(STUDENT, "champion").version == version

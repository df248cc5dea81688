"""Attacks on the gate of a benchmark of clips: each is refused, with its own reason and no other."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import puppets
from assets.core.names import STUDENT, TRANSFORMER
from assets.core.steps import AssetError, Execution
from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import benchmarks_digest, make_benchmark_sets
from assets.kinds.registration.promotion import judge_version
from assets.kinds.registration.version_files import FITNESS, SCORES, SLICES
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import Training
from evaluation.scoring.score_table import FITNESS_COLUMNS, SLICE_COLUMNS
from media import encode_clip
from omnihuman.digests import weights_digest
from profiles import load_profile
from provenance.signed_list import TamperedFiles
from tracking.version_origin import VersionOrigin

NAME = "test_set:few"
SETTINGS = [
    f"evaluation.benchmarks=['{NAME}']",
    "gate.headline=null",
    "gate.criteria={flicker: {max: 0.2}, akd: {max: 4.0, mode: pose, slices: false}}",
]
GOOD = {("flicker", "audio"): 0.1, ("akd", "pose"): 2.0}
DIGEST = "5a" * 32


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A frozen benchmark of three clips, and a snapshot and shard of one clip that is in none."""
    root = tmp_path_factory.mktemp("home")
    workspace = Workspace(root, load_profile("laptop", SETTINGS))
    (root / "local").mkdir()
    for seed in range(3):
        puppet = puppets.render(seed, "clean", 33)
        (root / "local" / f"{seed}.mp4").write_bytes(encode_clip(puppet.frames, puppet.fps, puppet.audio))
    nobody = Training(pd.DataFrame(columns=["clip_id"]), "nothing")
    destination = workspace.data("test_sets") / "few"
    build_test_set(root / "local", destination, "folder", workspace.profile.video, nobody, puppets.PuppetKeypoints())
    freeze(root, clip())
    make_sets(workspace)
    workspace.var.mkdir(exist_ok=True)
    return root


def make_sets(workspace: Workspace) -> None:
    make_benchmark_sets(Execution("benchmark_sets", workspace, None, "f", lambda *progress: None, lambda process: None))


def clip(**changes: str) -> dict[str, str]:
    """A row of clips.parquet as far as overlap reads it: a clip that is like none of the benchmark."""
    row = {
        "sha256": "01" * 32,
        "source_sha256": "01" * 32,
        "source_name": "holiday.mp4",
        "identity": "somebody",
        "phash": "00" * 16,
    }
    row |= changes
    return {"clip_id": row["sha256"][:16], "near_duplicate_of": "", "start_seconds": 0.0, **row}


def freeze(root: Path, row: dict[str, str]) -> None:
    """What is trained on is this clip."""
    shard, snapshot = root / "data" / "raw_clips" / "s-1", root / "data" / "training_snapshot"
    for folder in (shard, snapshot):
        folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame([row]).to_parquet(shard / "clips.parquet")
    (snapshot / "snapshot.json").write_text(json.dumps({"digest": DIGEST, "shards": []}))
    pd.DataFrame({"clip_id": [row["clip_id"]], "shard": "s-1"}).to_parquet(snapshot / "samples.parquet")


@pytest.fixture
def workspace(home) -> Workspace:
    freeze(home, clip())
    return Workspace(home, load_profile("laptop", SETTINGS))


def register(workspace, folder, scores=GOOD, slices=0.1, unfit="", coverage=1.0, **origin) -> int:
    """A student with these numbers on the benchmark of clips."""
    (folder / TRANSFORMER).mkdir(parents=True)
    (folder / TRANSFORMER / "model.safetensors").write_text(str(folder))
    rows = [
        {"benchmark": NAME, "model": "distilled_student", "mode": mode, "metric": metric, "unit": "", "value": value, "ci_low": value,
         "ci_high": value, "clips": 3, "coverage": coverage, "network": "", "warning": ""}
        for (metric, mode), value in scores.items()
    ]  # fmt: skip
    pd.DataFrame(rows).to_parquet(folder / SCORES)
    halves = [
        (NAME, "distilled_student", "audio", half, "flicker", "", value, value, value, 1, 1.0)
        for half, value in (("faces: dark", slices), ("faces: light", 0.1))
    ]
    pd.DataFrame(halves, columns=list(SLICE_COLUMNS)).to_parquet(folder / SLICES)
    verdicts = [
        (NAME, metric, "", 0.1, 0.9, "{}", metric != unfit, "" if metric != unfit else "noise reads 0.1, no worse")
        for metric, _ in GOOD
    ]
    pd.DataFrame(verdicts, columns=list(FITNESS_COLUMNS)).to_parquet(folder / FITNESS)
    digest = weights_digest(folder / TRANSFORMER)
    written = VersionOrigin(
        weights_digest=digest, files_digest=digest, pipeline_digest=digest, scored_pipeline=digest, snapshot_digest=DIGEST,
        benchmark=benchmarks_digest(workspace),
    )  # fmt: skip
    return workspace.registry.register(STUDENT, folder, origin=replace(written, **origin)).version


def reasons(workspace: Workspace, version: int) -> list[str]:
    return judge_version(workspace, version, lambda *progress: None)[1].reasons


def test_a_good_one_passes(workspace, tmp_path):
    assert reasons(workspace, register(workspace, tmp_path / "good")) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scores": GOOD | {("flicker", "audio"): 0.3}}, f"flicker ({NAME}, audio) is 0.3, needed at most 0.2"),
        ({"scores": {("akd", "pose"): 2.0}}, f"flicker ({NAME}, audio) of distilled_student was not measured"),
        ({"slices": 0.9}, f"flicker ({NAME}, audio) of faces: dark is 0.9, needed at most 0.25"),
        ({"unfit": "akd"}, f"akd ({NAME}, pose) cannot gate on this benchmark: noise reads 0.1, no worse"),
        ({"scored_pipeline": "ab" * 32}, "its scores are of abababababab"),  # somebody else's videos
        ({"benchmark": "cd" * 32}, "was scored on benchmark cdcdcdcdcdcd"),
        ({"snapshot_digest": "ef" * 32}, "was trained on snapshot efefefefefef"),
    ],
)
def test_each_attack_is_refused_for_what_it_is(workspace, tmp_path, changes, said):
    (reason,) = reasons(workspace, register(workspace, tmp_path / "attack", **changes))
    assert said in reason


def test_a_metric_that_is_defined_on_few_samples_may_not_judge(workspace, tmp_path):
    assert all(
        "it is defined on 33% of 3 samples" in reason
        for reason in reasons(workspace, register(workspace, tmp_path / "few", coverage=0.33))
    )


def swap(workspace: Workspace, folder: Path) -> int:
    """A version whose weights are others' since it was registered."""
    version = register(workspace, folder)
    (workspace.registry.folder(STUDENT, version) / TRANSFORMER / "model.safetensors").write_text("others")
    return version


def test_weights_that_were_swapped_in_the_registry_are_refused_by_their_signature(workspace, tmp_path):
    version = swap(workspace, tmp_path / "swapped")
    with pytest.raises(TamperedFiles, match=r"model\.safetensors is not the file that was signed"):
        reasons(workspace, version)


def test_where_nothing_is_signed_swapped_weights_are_refused_by_what_was_scored(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_SIGNING", "off")
    (reason,) = reasons(workspace, swap(workspace, tmp_path / "swapped"))
    assert "registered were" in reason


def of_benchmark(workspace: Workspace) -> pd.Series:
    return pd.read_parquet(workspace.of_benchmark("benchmark_sets") / "manifest.parquet").iloc[0]


@pytest.mark.parametrize(
    ("taken", "said"),
    [
        (lambda row: {"sha256": row["sha256"], "source_sha256": row["sha256"]}, "the same file as clip"),
        (lambda row: {"identity": row["identity"]}, "the same identity"),
        (lambda row: {"phash": row["phash"]}, "nearly the same film as clip"),
    ],
)
def test_who_was_trained_on_a_benchmarks_clip_its_person_or_its_double_is_refused(
    workspace, home, tmp_path, taken, said
):
    version = register(workspace, tmp_path / "overlap")
    row = of_benchmark(workspace)
    freeze(home, clip(**{k: v.hex() if isinstance(v, bytes) else v for k, v in taken(row).items()}))
    (reason,) = reasons(workspace, version)
    assert f"({row['name']}: {said}" in reason
    with pytest.raises(AssetError, match=f"{NAME} meet.*{said}.*omnihuman withdraw"):
        make_sets(workspace)

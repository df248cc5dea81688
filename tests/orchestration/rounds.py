"""Rounds of snapshot, training, scoring and registration as the pipeline leaves them on disk, in DVC, git and MLflow."""

import json
import subprocess

import pandas as pd

from assets.core.catalogue import STEPS
from assets.core.dvc_stages import record_in_dvc
from assets.core.workspace import Workspace
from curation.tables.contracts import SNAPSHOT
from curation.tables.storage import write_table

SHARD = "s-000000000001"
CHAIN = (
    "stage_1_checkpoint", "stage_2_checkpoint", "stage_3_checkpoint",
    "consistency_student", "adversarial_image_student", "distilled_student",
)  # fmt: skip
PARENT = dict(zip(CHAIN, (None, *CHAIN), strict=False))


def put_raw_clips(workspace: Workspace, clip_ids: list[str], shard: str = SHARD) -> None:
    folder = workspace.data("raw_clips", shard)
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "clip_id": c,
            "source_sha256": c * 4,
            "source_name": f"{c[:4]}.mp4",
            "source": "",
            "identity": "",
            "licence": "CC0",
        }
        for c in clip_ids
    ]
    pd.DataFrame(rows).to_parquet(folder / "clips.parquet")


def put_snapshot(workspace: Workspace, digest: str, clip_ids: list[str], shard: str = SHARD) -> None:
    folder = workspace.data("training_snapshot")
    folder.mkdir(parents=True, exist_ok=True)
    flags = {"text": True, "audio": True, "pose": True}
    rows = [
        {"sample_id": f"{c}-0000{w}", "clip_id": c, "shard": shard, "row": n, **flags}
        for n, c in enumerate(clip_ids)
        for w in (0, 1)
    ]
    write_table(pd.DataFrame(rows), folder / "samples.parquet", contract=SNAPSHOT)
    listed = [{"name": shard, "clips": len(clip_ids), "samples": len(rows), "features_sha256": "f" * 64}]
    manifest = {"digest": digest, "shards": listed, "excluded": [], "counts": {"clips": len(clip_ids)}}
    (folder / "snapshot.json").write_text(json.dumps(manifest))


def put_round(workspace: Workspace, name: str, digest: str, clip_ids: list[str]) -> int:
    """One whole round, committed to DVC; weights are named `<name>-<asset>`. Returns the student's version."""
    from tracking.runs import open_run
    from tracking.version_origin import VersionOrigin

    put_snapshot(workspace, digest, clip_ids)
    commit(workspace, "training_snapshot")
    for asset in CHAIN:
        with open_run(workspace.tracker, "training", asset, tags={"snapshot_digest": digest}) as run:
            folder = workspace.data(asset)
            folder.mkdir(parents=True, exist_ok=True)
            record = {
                "name": asset,
                "snapshot_digest": digest,
                "weights_digest": f"{name}-{asset}",
                "parent": PARENT[asset],
            }
            (folder / "record.json").write_text(json.dumps(record | {"mlflow_run_id": run.run_id}))
        commit(workspace, asset)
    put_scores(workspace, name)
    model = workspace.var / "model"
    model.mkdir(parents=True, exist_ok=True)
    (model / "weights.txt").write_text(name)
    origin = VersionOrigin(snapshot_digest=digest, weights_digest=f"{name}-distilled_student", git_commit="c" * 40)
    return workspace.registry.register("omnihuman-student", model, run.run_id, origin).version


def put_scores(workspace: Workspace, name: str) -> None:
    for asset in ("generated_videos", "benchmark_scores"):
        workspace.data(asset).mkdir(parents=True, exist_ok=True)
    (workspace.data("generated_videos") / "meta.json").write_text(json.dumps({"made": name}))
    commit(workspace, "generated_videos")
    value = sum(name.encode()) / 1000
    rows = [
        {"model": m, "mode": "audio", "metric": "mouth_correlation", "value": value}
        for m in ("distilled_student", "teacher", "ground_truth")
    ]
    pd.DataFrame(rows).to_parquet(workspace.data("benchmark_scores") / "scores.parquet")
    commit(workspace, "benchmark_scores")


def commit(workspace: Workspace, asset: str) -> None:
    """As the pipeline does after each execution; DVC wants something to stand where the stage reads."""
    for name in STEPS[asset].upstream:
        workspace.data(name).mkdir(parents=True, exist_ok=True)
    record_in_dvc(workspace, STEPS[asset])


def commit_lock(workspace: Workspace, message: str) -> None:
    """dvc.lock into version control, as README asks after a run."""
    git = ["git", "-C", str(workspace.root), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    if not (workspace.root / ".git").is_dir():
        subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "dvc.lock"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", message], check=True)

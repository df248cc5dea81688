"""What the gate asks beside scores: are they of these weights and this benchmark, and did the training leave it unseen."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from assets.core.dvc_cache import snapshot_samples
from assets.core.names import TRANSFORMER
from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import benchmarks_digest
from curation.snapshot.overlap import overlap_with_snapshots
from evaluation.scoring.gate import Check
from omnihuman.digests import weights_digest
from profiles.judging import PUPPETS, benchmark_kind
from tracking.registry import Version


def scored_pipeline(workspace: Workspace, model: str) -> str:
    """The digest of the pipeline that made the videos which were scored; several are joined, and equal no digest."""
    found = {
        json.loads(file.read_text())["weights"]
        for file in sorted(workspace.data("generated_videos").glob(f"*/{model}/*/meta.json"))
    }
    return "+".join(sorted(found))


def gate_evidence(workspace: Workspace, version: Version, folder: Path) -> list[Check]:
    """One check each: weights scored, weights unchanged, benchmark, snapshot, overlap.

    Args:
        workspace: today's benchmark, and where snapshots are looked for.
        version: with the tags that its registration wrote.
        folder: the version's files.

    Raises:
        AssetError: a committed manifest cannot be read.
    """
    return [*_weights(version, folder), _benchmark(workspace, version), *_snapshot(workspace, version)]


def _weights(version: Version, folder: Path) -> Iterator[Check]:
    origin = version.origin
    registered, scored, files = origin.pipeline_digest, origin.scored_pipeline, origin.files_digest
    yield _check(
        "weights are the scored ones",
        bool(registered) and registered == scored,
        f"version {version.version} holds weights and encoders {_short(registered)}, its scores are of {_short(scored)}",
        "generate and score it again",
    )
    try:
        found = weights_digest(folder / TRANSFORMER)
    except FileNotFoundError:
        found = ""
    yield _check(
        "weights are the registered ones",
        bool(files) and found == files,
        f"the registry's files of version {version.version} hash to {_short(found)}, registered were {_short(files)}",
        "register the student again, and find out who changed the files",
    )


def _benchmark(workspace: Workspace, version: Version) -> Check:
    today, scored = benchmarks_digest(workspace), version.origin.benchmark
    text = f"version {version.version} was scored on benchmark {_short(scored)}, today's is {_short(today)}"
    return _check("benchmark is today's", today == scored, text, "score it again")


def _snapshot(workspace: Workspace, version: Version) -> Iterator[Check]:
    digests = [version.origin.snapshot_digest, *version.origin.earlier_snapshots]
    found = {digest: snapshot_samples(workspace, digest) for digest in digests}
    samples = [path for path in found.values() if path is not None]
    yield _check(
        "snapshot is there",
        len(samples) == len(found),
        f"version {version.version} was trained on snapshot {', '.join(map(_short, digests))}",
        f"bring the manifest of {', '.join(_short(digest) for digest, path in found.items() if path is None)} back with `dvc fetch`",
    )
    if len(samples) == len(found):
        shared: dict[str, str] = {}
        for name in workspace.profile.evaluation.benchmarks:
            manifest = pd.read_parquet(workspace.of_benchmark("benchmark_sets", name) / "manifest.parquet")
            if benchmark_kind(name) == PUPPETS:
                shared |= _same_bytes(manifest, samples)
            else:
                shared |= overlap_with_snapshots(manifest, samples, workspace.data("raw_clips"))
        named = "; ".join(f"{name}: {why}" for name, why in list(shared.items())[:3])
        text = f"{len(shared)} benchmark clips are in the snapshot" + (f" ({named})" if shared else "")
        yield _check(
            "no overlap with the benchmark", not shared, text, "withdraw them from training or from the benchmark"
        )


def _same_bytes(manifest: pd.DataFrame, snapshots: Sequence[Path]) -> dict[str, str]:
    """Of puppets the bytes alone tell: two of them can look alike. A clip's id is the first 16 digits of its file's sha256."""
    trained = {clip for path in snapshots for clip in pd.read_parquet(path, columns=["clip_id"])["clip_id"]}
    rows = zip(manifest["name"], manifest["sha256"], strict=True)
    return {name: f"the same file as clip {sha256[:16]}" for name, sha256 in rows if sha256[:16] in trained}


def _check(name: str, passed: bool, said: str, remedy: str) -> Check:
    return Check(name, float(passed), 1.0, passed, said if passed else f"{said}: {remedy}")


def _short(digest: str) -> str:
    return digest[:12] or "unknown"

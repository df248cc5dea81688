"""A student that was made elsewhere, registered as challenger: scored on today's benchmarks, so that the gate can judge it."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from assets.core.names import STUDENT, TRANSFORMER
from assets.core.steps import Report
from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import joint_digest, load_benchmarks
from assets.kinds.judging.score_pipeline import score_pipeline
from assets.kinds.registration.model_card import ABOUT, load_snippet
from assets.kinds.registration.own_dtypes import in_own_dtypes
from assets.kinds.registration.version_files import TABLES
from evaluation.benchmark.benchmark_plan import STUDENT as ROWS
from evaluation.benchmark.benchmark_plan import generation_plan
from evaluation.scoring.score import join_tables
from media.records import TrainedOnRecord
from omnihuman.digests import weights_digest
from omnihuman.pipeline import OmniHumanPipeline
from profiles.judging import benchmark_folder
from tracking.code_version import git_commit
from tracking.model_address import CHALLENGER
from tracking.version_origin import VersionOrigin


def register_by_hand(
    workspace: Workspace,
    pipeline: OmniHumanPipeline,
    source: str,
    snapshot: str,
    clips: TrainedOnRecord | None,
    report: Report,
) -> int:
    """Score and register a student; returns its version, which is challenger.

    Args:
        workspace: its benchmarks, profile and registry.
        pipeline: the student, sampled by its own steps.
        source: where it is from, for its page.
        snapshot: digest of the snapshot that it was trained on; empty where nobody knows, and then the gate says so.
        clips: whom what it was trained on shows, None where nobody knows.
        report: called with progress.

    Raises:
        evaluation.benchmark.benchmark.BenchmarkError: a benchmark that is not there yet.
    """
    config = workspace.profile.evaluation
    draft = Path(tempfile.mkdtemp(prefix=".tmp-model-", dir=workspace.var))
    try:
        saved: Any = pipeline  # diffusers' own signature names no keyword
        with in_own_dtypes(pipeline):
            saved.save_pretrained(str(draft), safe_serialization=True)
        digest = weights_digest(draft / TRANSFORMER)
        root, parts = workspace.var / "registered_by_hand" / digest[:16], []
        benchmarks = load_benchmarks(workspace)
        for benchmark in benchmarks:
            (plan,) = (model for model in generation_plan(config, benchmark) if model.name == ROWS)
            place = root / f"{benchmark_folder(benchmark.name)}-{benchmark.digest[:16]}"
            parts.append(score_pipeline(workspace, benchmark, pipeline, plan.modes, place, digest, report))
        join_tables(parts, root / "tables")
        for table, file in TABLES.items():
            shutil.copy2(root / "tables" / f"{table}.parquet", draft / file)
        if clips is not None:
            clips.write(draft)
        origin = VersionOrigin(
            weights_digest=digest,
            files_digest=digest,
            pipeline_digest=digest,
            scored_pipeline=digest,
            snapshot_digest=snapshot,
            benchmark=joint_digest(benchmarks),
            profile=workspace.profile.name,
            git_commit=git_commit(),
        )
        version = workspace.registry.register(STUDENT, draft, None, origin, ABOUT[STUDENT]).version
    finally:
        shutil.rmtree(draft)
    shutil.rmtree(root)
    card = f"Registered by hand from `{source}`.\n\n## Load\n```python\n{load_snippet(STUDENT, version)}```\n"
    workspace.registry.describe(STUDENT, version, card)
    workspace.registry.set_alias(STUDENT, CHALLENGER, version)
    return version

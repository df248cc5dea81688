"""The streaming student: trained, held against the one-step student that it comes from, registered, and champion of its own name where it is not
far behind. Outside the flow: whoever wants to stream makes it."""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from assets.core.names import MODELS, STREAMING_STUDENT, STUDENT, TRANSFORMER
from assets.core.steps import AssetError, Execution, Fixed, Markdown, Metadata
from assets.core.workspace import Workspace
from assets.kinds.checkpoints import describe, make_checkpoint
from assets.kinds.judging.benchmark_sets import joint_digest, load_benchmarks
from assets.kinds.registration.promotion import origin_of
from assets.kinds.registration.training_data import trained_on
from assets.kinds.signed_snapshots import verify_for_registration
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.questions.streaming_gate import judge_streaming
from evaluation.questions.streaming_student import StreamingRow, as_markdown, compare_streaming
from evaluation.scoring.gate import Decision
from media import write_atomically
from media.records import ProductRecord
from omnihuman.digests import weights_digest
from omnihuman.pipeline import OmniHumanPipeline, build_pipeline
from tracking.model_address import CHALLENGER, CHAMPION, PREVIOUS

NAME, SCORES = "streaming_student", "streaming.json"
ABOUT = "The streaming student: it makes a latent at a time while the sound comes in. `omnihuman serve --live` and `omnihuman generate --model` take it."


def make_streaming_student(execution: Execution) -> Metadata:
    """Train it through DeepSpeed, measure on the profile's first benchmark of puppets what it loses, register it, and let its gate decide."""
    workspace = execution.workspace
    if workspace.profile.streaming is None:
        raise AssetError(f"profile {workspace.profile.name} has no section streaming; profiles/laptop.yaml shows one")
    make_checkpoint(execution)
    folder = workspace.data(NAME)
    rows = _scores(execution)
    decision = judge_streaming(rows, workspace.profile.gate.streaming)
    scores = {"rows": [vars(row) for row in rows], "checks": [vars(check) for check in decision.checks]}
    write_atomically(folder / SCORES, json.dumps(scores, indent=1).encode())
    version = register_streaming(workspace, decision)
    said = "champion" if decision.promote else "stays challenger: " + "; ".join(decision.reasons)
    return {
        **describe(folder),
        "scores": Markdown(as_markdown(rows)),
        "gate": Markdown(said),
        f"{STREAMING_STUDENT} version": Fixed(version),
    }


def streaming_pipeline(workspace: Workspace) -> OmniHumanPipeline:
    """The asset's weights with the profile's frozen encoders and its decoder for streams, and how they stream."""
    folder = workspace.data(NAME)
    streaming = ProductRecord.read(folder).require("streaming")
    return build_pipeline(workspace.profile, folder / TRANSFORMER, 1, streaming)


def register_streaming(workspace: Workspace, decision: Decision) -> int:
    """Save the whole pipeline and register it, signed, as the next version of `omnihuman-streaming-student`: its challenger, and where the gate
    lets it pass its champion; whoever was that is `previous` then.

    Raises:
        AssetError: the snapshot that it was trained on cannot be vouched for.
    """
    registry, record = workspace.registry, ProductRecord.read(workspace.data(NAME))
    verify_for_registration(workspace, record.snapshot_digest)
    draft = Path(tempfile.mkdtemp(prefix=".tmp-model-", dir=workspace.var))
    try:
        pipeline: Any = streaming_pipeline(workspace)
        pipeline.save_pretrained(str(draft), safe_serialization=True)
        trained_on(workspace).write(draft)
        shutil.copy2(workspace.data(NAME) / SCORES, draft / SCORES)
        origin = origin_of(workspace, record, joint_digest(load_benchmarks(workspace)))
        origin = dataclasses.replace(origin, files_digest=weights_digest(draft / TRANSFORMER))
        version = registry.register(STREAMING_STUDENT, draft, record.mlflow_run_id, origin, ABOUT)
    finally:
        shutil.rmtree(draft)
    registry.set_alias(STREAMING_STUDENT, CHALLENGER, version.version)
    if decision.promote:
        if (before := registry.at_alias(STREAMING_STUDENT)) is not None:
            registry.set_alias(STREAMING_STUDENT, PREVIOUS, before.version)
        registry.set_alias(STREAMING_STUDENT, CHAMPION, version.version)
    return version.version


def _scores(execution: Execution) -> list[StreamingRow]:
    """None where the profile is judged by people alone, whose truth nobody knows."""
    workspace, config = execution.workspace, execution.workspace.profile.evaluation
    puppets = [benchmark for benchmark in load_benchmarks(workspace) if isinstance(benchmark, PuppetBenchmark)]
    if not puppets:
        return []
    parent = build_pipeline(workspace.profile, workspace.data(MODELS[STUDENT]) / TRANSFORMER, 1)
    student = streaming_pipeline(workspace)
    return compare_streaming(parent, student, puppets[0], config.seed, config.batch_size, execution.report)

"""Registration as challenger, the gate, and the champion."""

import dataclasses
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from assets.core.markdown import markdown_table
from assets.core.names import MODELS, STUDENT, TEACHER, TRANSFORMER
from assets.core.steps import AssetError, Execution, Fixed, Markdown, Metadata, Png, Report
from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import benchmarks_digest, joint_digest, load_benchmarks, shown_faces
from assets.kinds.judging.generated_videos import pipeline_digest, shown_mode
from assets.kinds.judging.score_pipeline import score_pipeline
from assets.kinds.registration.champion_pair import promote_pair
from assets.kinds.registration.gate_evidence import gate_evidence, scored_pipeline
from assets.kinds.registration.model_card import ABOUT, model_card, with_verdict
from assets.kinds.registration.own_dtypes import in_own_dtypes
from assets.kinds.registration.training_data import trained_on
from assets.kinds.registration.version_files import FITNESS, ROWS, SCORES, SHEET, SLICES, TABLES, VIDEO
from assets.kinds.signed_snapshots import verify_for_registration
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import AUDIO, POSE
from evaluation.benchmark.read import load_benchmark
from evaluation.pages.film import save_talking_video
from evaluation.pages.pictures import models_sheet
from evaluation.scoring.criteria import demands
from evaluation.scoring.gate import Decision, decide
from evaluation.scoring.score_table import load_scores, read_scores
from media import in_few_colours, write_atomically
from media.records import ProductRecord, SnapshotRecord
from omnihuman.digests import weights_digest
from omnihuman.pipeline import OmniHumanPipeline, build_pipeline
from omnihuman.placement import place_pipeline
from tracking.code_version import git_commit
from tracking.model_address import CHALLENGER
from tracking.registry import write_adapter_flavour
from tracking.version_origin import VersionOrigin
from training.run.adapter import FOLDER, UPDATES

SHEET_CLIPS, SHEET_WIDTH = 2, 760  # MLflow's page cuts off what is wider (pixels)


def make_registered_model(execution: Execution) -> Metadata:
    """Save student and teacher as whole pipelines and register both as challenger."""
    workspace, registry = execution.workspace, execution.workspace.registry
    versions: dict[str, Any] = {}
    sheets: dict[str, bytes] = {}
    scores = read_scores(workspace.data("benchmark_scores") / "scores.parquet")
    benchmarks = load_benchmarks(workspace)
    benchmark, digest = benchmarks[0], joint_digest(benchmarks)
    generated, mode = workspace.of_benchmark("generated_videos", benchmark.name), shown_mode(benchmark)
    hide = shown_faces(workspace, benchmark)
    verify_for_registration(workspace, ProductRecord.read(workspace.data(MODELS[STUDENT])).snapshot_digest)
    clips = trained_on(workspace)
    for number, (name, asset) in enumerate(MODELS.items()):
        execution.report(number, len(MODELS), name)
        record = ProductRecord.read(workspace.data(asset))
        steps = 1 if name == STUDENT else workspace.profile.evaluation.teacher_steps
        rows = ROWS[name]
        draft = Path(tempfile.mkdtemp(prefix=".tmp-model-", dir=workspace.var))
        try:
            pipeline: Any = build_pipeline(workspace.profile, workspace.data(asset) / TRANSFORMER, steps)
            with in_own_dtypes(pipeline):
                pipeline.save_pretrained(str(draft), safe_serialization=True)
            for table, file in TABLES.items():
                shutil.copy2(workspace.data("benchmark_scores") / f"{table}.parquet", draft / file)
            if record.adapter is not None:
                add_adapter(draft, workspace.data(asset) / FOLDER, record.adapter["base"])
            clips.write(draft)
            sheets[name] = models_sheet(
                benchmark, {rows.replace("_", " "): generated / rows / mode}, SHEET_CLIPS, hide=hide
            )
            write_atomically(draft / SHEET, in_few_colours(sheets[name], SHEET_WIDTH))
            save_talking_video(draft / VIDEO, benchmark, generated, rows, mode=mode, hide=hide)
            origin = dataclasses.replace(
                origin_of(workspace, record, digest),
                # Hashed anew: the record says what was trained, not what lies there now.
                pipeline_digest=pipeline_digest(workspace, weights_digest(workspace.data(asset) / TRANSFORMER)),
                scored_pipeline=scored_pipeline(workspace, rows),
                files_digest=weights_digest(draft / TRANSFORMER),
            )
            version = registry.register(name, draft, record.mlflow_run_id, origin, ABOUT[name])
        finally:
            shutil.rmtree(draft)
        card = model_card(
            workspace, name, version.version, record, scores[scores["model"] == rows], SHEET, VIDEO, clips
        )
        registry.describe(name, version.version, card)
        registry.set_alias(name, CHALLENGER, version.version)
        versions[name] = {"version": version.version, "alias": CHALLENGER, "weights_digest": record.weights_digest}
    taught = VersionOrigin(teacher_version=versions[TEACHER]["version"])
    registry.set_tags(STUDENT, versions[STUDENT]["version"], taught.tags())
    data = json.dumps(versions, indent=1).encode()
    write_atomically(workspace.data("registered_model") / "model_version.json", data)
    numbers = {f"{name} version": Fixed(entry["version"]) for name, entry in versions.items()}
    return {"samples": Png(sheets[STUDENT]), **numbers}


def add_adapter(draft: Path, adapter: Path, base: str) -> None:
    """Put a stage's adapter beside its pipeline, and in MLflow's own flavour where its base is a published model."""
    shutil.copytree(adapter, draft / FOLDER, copy_function=shutil.copyfile)
    write_adapter_flavour(draft / FOLDER / UPDATES, base, draft / FOLDER / "mlflow")


def make_promoted_champion(execution: Execution) -> Metadata:
    """Let the gate decide; alias `champion` moves to the challenger and its teacher, or the refusal stands as a tag on it."""
    workspace = execution.workspace
    registered = json.loads((workspace.data("registered_model") / "model_version.json").read_text())
    challenger = registered[STUDENT]["version"]
    rival, decision = judge_version(workspace, challenger, execution.report)
    if decision.promote:
        promote_pair(workspace.registry, challenger)
    write_verdict(workspace, challenger, decision, gate_tags(decision))
    current = workspace.registry.at_alias(STUDENT)
    record = {
        "model": STUDENT,
        "challenger": challenger,
        "compared_with": rival,
        "champion": None if current is None else current.version,
        **dataclasses.asdict(decision),
    }
    destination = workspace.data("promoted_champion") / "decision.json"
    write_atomically(destination, json.dumps(record, indent=1).encode())
    rows = [{"check": c.name, "passed": c.passed, "message": c.message} for c in decision.checks]
    return {"promoted": decision.promote, "challenger": Fixed(challenger), "checks": Markdown(markdown_table(rows))}


def judge_version(workspace: Workspace, version: int, report: Report) -> tuple[int | None, Decision]:
    """The gate on a registered student: the champion it is compared with, and the decision.

    Raises:
        tracking.registry.RegistryError: no such version.
        AssetError: its scores were not registered with it, or a committed manifest cannot be read.
    """
    registry = workspace.registry
    champion = registry.at_alias(STUDENT)
    rival = None if champion is None or champion.version == version else champion.version
    challenger, folder = registry.version(STUDENT, version), registry.folder(STUDENT, version)
    for file in (SCORES, SLICES):
        if not (folder / file).is_file():
            raise AssetError(
                f"version {version} of {STUDENT} was registered without {file}; materialise registered_model again"
            )
    rival_scores = None if rival is None else champion_scores(workspace, rival, report)
    fitness = folder / FITNESS
    return rival, decide(
        read_scores(folder / SCORES),
        workspace.profile.gate,
        rival_scores,
        slices=read_scores(folder / SLICES),
        evidence=gate_evidence(workspace, challenger, folder),
        fitness=pd.read_parquet(fitness) if fitness.is_file() else None,  # up to version 0.2 there was none
    )


def write_verdict(workspace: Workspace, version: int, decision: Decision, tags: dict[str, str]) -> None:
    """Onto the page of a registered student: tags to search by, and every check."""
    registry = workspace.registry
    registry.set_tags(STUDENT, version, tags)
    registry.describe(STUDENT, version, with_verdict(registry.description(STUDENT, version), decision))


def gate_tags(decision: Decision) -> dict[str, str]:
    """What the registry's page says of a version. MLflow cuts long tags; the whole is in decision.json."""
    if decision.promote:
        return {"gate": "passed", "gate.reasons": ""}
    return {"gate": "failed", "gate.reasons": "; ".join(decision.reasons)[:4000]}


def champion_scores(workspace: Workspace, version: int, report: Report) -> pd.DataFrame:
    """The champion's own numbers on today's benchmarks: stored ones if they are of them and have all that the gate reads, else measured now."""
    folder = workspace.registry.folder(STUDENT, version)
    origin = workspace.registry.version(STUDENT, version).origin
    wanted = demands(workspace.profile.gate)
    if origin.benchmark == benchmarks_digest(workspace):
        stored = read_scores(folder / SCORES)
        if {(d.benchmark, d.metric) for d in wanted} <= set(zip(stored["benchmark"], stored["metric"], strict=True)):
            return stored
    pipeline = place_pipeline(OmniHumanPipeline.from_pretrained(str(folder)), workspace.profile)
    tables = [
        _champion_on(workspace, load_benchmark(workspace.data("benchmark_sets"), name), pipeline, version, report)
        for name in dict.fromkeys(demand.benchmark for demand in wanted)
    ]
    return pd.concat(tables, ignore_index=True)


def _champion_on(
    workspace: Workspace, benchmark: Benchmark, pipeline: OmniHumanPipeline, version: int, report: Report
) -> pd.DataFrame:
    """A champion generated and scored on one benchmark, in the modes that the gate reads there."""
    weights = workspace.registry.version(STUDENT, version).origin.weights_digest
    root = workspace.scratch("promoted_champion") / f"{version}-{benchmark.digest[:16]}"
    read = {demand.mode for demand in demands(workspace.profile.gate, [benchmark.name])}
    modes = [mode for mode in (AUDIO, POSE) if mode in read]
    return load_scores(score_pipeline(workspace, benchmark, pipeline, modes, root, weights, report))


def origin_of(workspace: Workspace, record: ProductRecord, benchmark: str) -> VersionOrigin:
    """What a version's tags say of where it came from, without its own pipeline's digests."""
    snapshot = SnapshotRecord.read(workspace.data("training_snapshot"))
    continued_from, earlier = _continued(workspace)
    return VersionOrigin(
        weights_digest=record.weights_digest,
        snapshot_digest=snapshot.digest,
        earlier_snapshots=earlier,
        benchmark=benchmark,
        profile=workspace.profile.name,
        git_commit=git_commit(),
        continued_from=continued_from,
    )


def _continued(workspace: Workspace) -> tuple[str, tuple[str, ...]]:
    """Of a teacher that goes on from a champion, and its student: from which, and what that had been trained on."""
    teacher = ProductRecord.read(workspace.data(MODELS[TEACHER]))
    if teacher.continued_from is None:
        return "", ()
    parent = ProductRecord.read(workspace.data(teacher.parent))
    return teacher.continued_from, tuple(parent.seen_snapshots)

"""Numbers for every generated video of every benchmark."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from assets.core.catalogue import STEPS
from assets.core.markdown import markdown_table
from assets.core.names import SOURCES
from assets.core.steps import Execution, Fixed, Markdown, Metadata, Png
from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import joint_digest, load_benchmarks
from assets.kinds.judging.evaluation_report import evaluated, write_report
from assets.kinds.judging.evaluation_runs import evaluation_run
from assets.kinds.judging.generated_videos import judging_autoencoder, teacher_sampling
from assets.kinds.judging.instruments import profile_instruments
from assets.kinds.judging.sharing import on_device, share_among_processes
from curation.workers import processes_asked, processes_here
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import CONSISTENCY_STUDENT, STUDENT, TEACHER
from evaluation.benchmark.generate import Share
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.benchmark.read import load_benchmark
from evaluation.kept_records import KeptRecords
from evaluation.metrics.observation.instruments import Instruments
from evaluation.scoring.score import join_tables, measure_benchmark, score_benchmark
from media import write_atomically
from media.records import ProductRecord
from omnihuman.placement import CPU, sharing_devices
from profiles.judging import benchmark_folder

MADE_OF = "made_of.txt"  # beside a benchmark's tables: what they were measured from
FEWEST_CLIPS = 16  # of a process on a CPU; opening the networks takes it about ten seconds


def make_benchmark_scores(execution: Execution) -> Metadata:
    """Measure the clips themselves, their reconstruction and every model; a benchmark whose videos are unchanged keeps its numbers."""
    workspace = execution.workspace
    destination, config = workspace.data("benchmark_scores"), workspace.profile.evaluation
    benchmarks = load_benchmarks(workspace)
    params = {"benchmark": joint_digest(benchmarks), "bootstrap": config.bootstrap, **teacher_sampling(config)}
    with evaluation_run(execution, params=params) as run:
        parts = [_scored(execution, benchmark) for benchmark in benchmarks]
        tables = join_tables(parts, destination)
        finite = tables.scores[tables.scores["value"].notna()]
        run.log({_logged(workspace, row): row.value for row in finite.itertuples()})
        for model, rows in finite.groupby("model"):
            numbers = {_logged(workspace, row, own=False): row.value for row in rows.itertuples()}
            run.part(f"scores of {model}", numbers, _trained_by(workspace, str(model)))
        for table in ("scores", "slices", "samples", "fitness", "unmeasured"):
            run.artifact(destination / f"{table}.parquet")
        found = [evaluated(workspace, benchmark, tables) for benchmark in benchmarks]
        pages = [write_report(workspace, one) for one in found]
        for page in pages:
            run.artifact(page, "report")
    first = found[0]
    student = finite[finite["model"] == STUDENT]
    return {
        "rows": Fixed(len(tables.scores)),
        **{_logged(workspace, row, own=False): float(row.value) for row in student.itertuples()},  # plotted over time
        **{f"report_{page.stem}": page for page in pages[1:]},
        "report": pages[0],
        "cost_against_quality": Png(first.cost_against_quality),
        **({} if first.slices_plot is None else {"slices_plot": Png(first.slices_plot)}),
        "slices": Markdown(_slices(tables.slices)),
        "not_measured": Markdown(markdown_table(tables.unmeasured.to_dict("records"))),
        "mlflow_run_id": run.run_id,
        "scores": Markdown(tables.scores.round(4).to_csv(sep="|", index=False).join(("```\n", "```"))),
    }


def _scored(execution: Execution, benchmark: Benchmark) -> Path:
    """The folder with one benchmark's tables: found by what they were measured from, or measured."""
    workspace = execution.workspace
    config = workspace.profile.evaluation
    part = workspace.var / "scored" / benchmark_folder(benchmark.name)
    videos = workspace.of_benchmark("generated_videos", benchmark.name)
    puppets = isinstance(benchmark, PuppetBenchmark)
    instruments = None if puppets else profile_instruments(workspace)
    made_of = _made_of(workspace, benchmark, videos, instruments)
    if (part / MADE_OF).is_file() and (part / MADE_OF).read_text() == made_of:
        return part
    # Beside the tables, so that what a killed process had measured is there for the next.
    unfinished = part.parent / f".{part.name}-{made_of[:16]}"
    kept = KeptRecords(unfinished)
    for stale in part.parent.glob(f".{part.name}-*"):
        if stale != unfinished:
            shutil.rmtree(stale)
    autoencoder = judging_autoencoder(workspace.profile) if puppets else None
    looking: dict[str, Any] = {
        "autoencoder": autoencoder,
        "instruments": instruments,
        "progress": lambda done, total, note: execution.report(done, total, f"{benchmark.name}: {note}"),
    }
    devices = scoring_devices(workspace, len(benchmark))
    if len(devices) > 1:
        share_among_processes(
            devices,
            lambda share: measure_benchmark(videos, benchmark, config, kept, share, **looking),
            measure_share,
            (workspace, benchmark.name, kept),
            f"the scores of {benchmark.name}",
        )
    score_benchmark(videos, benchmark, part, config, kept=kept, **looking)
    write_atomically(part / MADE_OF, made_of.encode())
    shutil.rmtree(unfinished)
    return part


def measure_share(workspace: Workspace, name: str, kept: KeptRecords, share: Share, device: str) -> None:
    """In a process of its own: open what looks at a benchmark on `device` and measure a share of its clips."""
    moved = on_device(workspace, device)
    benchmark = load_benchmark(moved.data("benchmark_sets"), name)
    puppets = isinstance(benchmark, PuppetBenchmark)
    measure_benchmark(
        moved.of_benchmark("generated_videos", name),
        benchmark,
        moved.profile.evaluation,
        kept,
        share,
        autoencoder=judging_autoencoder(moved.profile) if puppets else None,
        instruments=None if puppets else profile_instruments(moved),
    )


def scoring_devices(workspace: Workspace, clips: int) -> list[str]:
    """The device of each process that measures a benchmark: as many as `OMNIHUMAN_PROCESSES` says, else one a GPU, else one for each core,
    as far as memory goes and each has enough clips to be worth its start."""
    asked, device = processes_asked(), workspace.profile.evaluation.device
    if asked is None and sharing_devices(device, None) == [CPU]:
        asked = max(1, min(processes_here(), clips // FEWEST_CLIPS))
    return sharing_devices(device, asked)


def _made_of(workspace: Workspace, benchmark: Benchmark, videos: Path, instruments: Instruments | None) -> str:
    config = workspace.profile.evaluation
    records = [path.read_text() for path in sorted(videos.glob("*/*/meta.json"))]
    judges = [] if instruments is None else [str(network) for network in instruments.networks()]
    parts: list[Any] = [
        STEPS["benchmark_scores"].version, benchmark.digest, config.bootstrap, config.seed, config.teacher_steps, records, judges,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _logged(workspace: Workspace, row: Any, own: bool = True) -> str:
    """The name of a number in MLflow and on the asset's page: of the first benchmark without its name, as it ever was."""
    benchmark = (
        "" if row.benchmark == workspace.profile.evaluation.benchmarks[0] else f"{benchmark_folder(row.benchmark)}."
    )
    return f"{benchmark}{f'{row.model}.' if own else ''}{row.mode}.{row.metric}"


def _slices(slices: pd.DataFrame) -> str:
    columns = ["benchmark", "slice", "mode", "metric", "value", "ci_low", "ci_high"]
    return markdown_table(slices[columns].round(4).to_dict("records"))


def _trained_by(workspace: Workspace, model: str) -> str | None:
    """The MLflow run that trained what the rows of `model` judge; None where nothing was trained for them."""
    if model not in (TEACHER, CONSISTENCY_STUDENT, STUDENT):
        return None
    return ProductRecord.read(workspace.data(SOURCES[model])).mlflow_run_id

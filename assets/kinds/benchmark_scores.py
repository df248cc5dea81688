"""Numbers for every generated video, and the comparison of teacher and student."""

import pandas as pd

from assets.core.markdown import markdown_table
from assets.core.names import SOURCES
from assets.core.steps import Execution, Fixed, Markdown, Metadata, Png
from assets.core.workspace import Workspace
from assets.kinds.evaluation_report import write_report
from assets.kinds.evaluation_runs import evaluation_run
from evaluation.benchmark.benchmark_plan import CONSISTENCY_STUDENT, STUDENT, TEACHER, generation_plan
from evaluation.benchmark.puppet_benchmark import load_benchmark
from evaluation.pages.compare import compare
from evaluation.pages.report_pictures import cost_against_quality, slices_plot
from evaluation.scoring.gate import limits
from evaluation.scoring.score import score_benchmark
from evaluation.scoring.score_table import load_scores
from media.records import ProductRecord
from omnihuman.autoencoder import load_autoencoder
from profiles import resolve_source


def make_benchmark_scores(execution: Execution) -> Metadata:
    """Measure ground truth, reconstruction and every model; tables and page go to MLflow too."""
    workspace = execution.workspace
    benchmark = load_benchmark(workspace.data("benchmark_sets"))
    destination = workspace.data("benchmark_scores")
    config = workspace.profile.evaluation
    autoencoder = load_autoencoder(resolve_source(workspace.profile.encoders.autoencoder))
    with evaluation_run(execution, params={"benchmark": benchmark.digest, "bootstrap": config.bootstrap}) as run:
        scores = score_benchmark(
            workspace.data("generated_videos"),
            benchmark,
            destination,
            config,
            autoencoder=autoencoder,
            progress=execution.report,
        )
        finite = scores[scores["value"].notna()]
        run.log({f"{row.model}.{row.mode}.{row.metric}": row.value for row in finite.itertuples()})
        for model, rows in finite.groupby("model"):
            run.part(
                f"scores of {model}",
                {f"{row.mode}.{row.metric}": row.value for row in rows.itertuples()},
                _trained_by(workspace, str(model)),
            )
        slices = pd.read_parquet(destination / "slices.parquet")
        for table in ("scores", "slices", "samples"):
            run.artifact(destination / f"{table}.parquet")
        page = write_report(workspace, benchmark, autoencoder)
        run.artifact(page, "report")
    student = finite[finite["model"] == STUDENT]
    return {
        "rows": Fixed(len(scores)),
        **{f"{row.mode}.{row.metric}": float(row.value) for row in student.itertuples()},  # plotted over time
        "report": page,
        "cost_against_quality": Png(cost_against_quality(scores, generation_plan(config))),
        "slices_plot": Png(slices_plot(slices, scores, limits(workspace.profile.gate))),
        "slices": Markdown(
            markdown_table(
                slices[["slice", "mode", "metric", "value", "ci_low", "ci_high"]].round(4).to_dict("records")
            )
        ),
        "mlflow_run_id": run.run_id,
        "scores": Markdown(scores.round(4).to_csv(sep="|", index=False).join(("```\n", "```"))),
    }


def _trained_by(workspace: Workspace, model: str) -> str | None:
    """The MLflow run that trained what the rows of `model` judge; None where nothing was trained for them."""
    if model not in (TEACHER, CONSISTENCY_STUDENT, STUDENT):
        return None
    return ProductRecord.read(workspace.data(SOURCES[model])).mlflow_run_id


def make_baseline_comparison(execution: Execution) -> Metadata:
    """Table, plot, contact sheet and a talking video."""
    workspace = execution.workspace
    destination = workspace.data("baseline_comparison")
    benchmark = load_benchmark(workspace.data("benchmark_sets"))
    with evaluation_run(execution, params={"benchmark": benchmark.digest}) as run:
        result = compare(
            load_scores(workspace.data("benchmark_scores")),
            benchmark,
            workspace.data("generated_videos"),
            destination,
            generation_plan(workspace.profile.evaluation),
        )
        differences = result["student_minus_teacher"]
        run.log({f"student_minus_teacher.{_metric_name(k)}": v for k, v in differences.items() if v is not None})
        run.artifact(destination)
    return {
        "comparison": Markdown((destination / "comparison.md").read_text()),
        "plot": Png((destination / "scores.png").read_bytes()),
        "contact_sheet": Png((destination / "contact_sheet.png").read_bytes()),
        "student_video": destination / "student.mp4",
        "mlflow_run_id": run.run_id,
    }


def _metric_name(title: str) -> str:
    """A column's title in the letters that MLflow allows."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in " ._-/") else "_" for letter in title)

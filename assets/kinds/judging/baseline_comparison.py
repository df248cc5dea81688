"""The comparison of teacher and student on every benchmark."""

import json

from assets.core.steps import Execution, Markdown, Metadata, Png
from assets.kinds.judging.benchmark_sets import INDEX, joint_digest, load_benchmarks, shown_faces
from assets.kinds.judging.evaluation_runs import evaluation_run
from assets.kinds.judging.generated_videos import shown_mode
from evaluation.benchmark.benchmark_plan import generation_plan
from evaluation.pages.compare import compare
from evaluation.scoring.score_table import load_scores, of_benchmark
from media import write_atomically
from profiles.judging import benchmark_folder


def make_baseline_comparison(execution: Execution) -> Metadata:
    """A table, a plot, a contact sheet and a video by the student, for each benchmark."""
    workspace = execution.workspace
    config, root = workspace.profile.evaluation, workspace.data("baseline_comparison")
    scores = load_scores(workspace.data("benchmark_scores"))
    benchmarks = load_benchmarks(workspace)
    with evaluation_run(execution, params={"benchmark": joint_digest(benchmarks)}) as run:
        for benchmark in benchmarks:
            name = benchmark.name
            folder = workspace.of_benchmark("baseline_comparison", name)
            result = compare(
                of_benchmark(scores, name),
                benchmark,
                workspace.of_benchmark("generated_videos", name),
                folder,
                generation_plan(config, benchmark),
                mode=shown_mode(benchmark),
                hide=shown_faces(workspace, benchmark),
            )
            differences, before = result["student_minus_teacher"], f"{benchmark_folder(name)}."
            shown = {
                f"{'' if name == config.benchmarks[0] else before}student_minus_teacher.{_metric_name(k)}": v
                for k, v in differences.items()
                if v is not None
            }
            run.log(shown)
            run.artifact(folder)
        write_atomically(root / INDEX, json.dumps(config.benchmarks, indent=1).encode())
    pages = [workspace.of_benchmark("baseline_comparison", name) / "comparison.md" for name in config.benchmarks]
    first = pages[0].parent
    return {
        "comparison": Markdown("\n".join(page.read_text() for page in pages)),
        "plot": Png((first / "scores.png").read_bytes()),
        "contact_sheet": Png((first / "contact_sheet.png").read_bytes()),
        "student_video": first / "student.mp4",
        "mlflow_run_id": run.run_id,
    }


def _metric_name(title: str) -> str:
    """A column's title in the letters that MLflow allows."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in " ._-/") else "_" for letter in title)

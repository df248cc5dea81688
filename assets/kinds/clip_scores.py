"""One score table per shard: columns, never decisions."""

import pandas as pd

from assets.core.markdown import markdown_table
from assets.core.steps import Execution, Markdown, Metadata, Png, Workers
from assets.kinds.column_lineage import score_columns
from assets.kinds.detectors import face_hider, keypoint_detector, unread_people
from curation.pages.figures import score_histograms
from curation.pages.stage_pages import quantile_rows, write_scores_page
from curation.scores.table import ScoreReport, score_shard
from curation.workers import map_over_clips


def make_clip_scores(execution: Execution) -> Metadata:
    """Score every clip of one shard; what was scored before under the same version and configuration is kept."""
    workspace = execution.workspace
    profile, destination = workspace.profile, execution.input("clip_scores")
    detector = keypoint_detector(profile)
    shard_dir, elsewhere = execution.input("raw_clips"), execution.elsewhere
    report: ScoreReport = score_clips(execution) if elsewhere is None else elsewhere(execution, ScoreReport)
    scores = pd.read_parquet(destination / "scores.parquet")
    histograms = score_histograms(scores, profile.curation)
    note = unread_people(profile, scores)
    page = workspace.report_page("clip_scores", execution.shard)
    return {
        "clips": report.clips,
        "failed": len(report.failed),
        "seconds": round(report.seconds, 1),
        "keypoint_detector": f"{detector.name} {detector.version}",
        **({"people_not_read": note} if note else {}),
        "computed_now": report.computed,
        "score_versions": report.versions,
        "score_quantiles": Markdown(markdown_table(quantile_rows(scores))),
        "histograms": Png(histograms),
        "columns": score_columns(profile),
        "report": write_scores_page(
            page, shard_dir, destination, histograms, profile.curation, note, face_hider(profile)
        ),
    }


def score_clips(execution: Execution, workers: Workers | None = None) -> ScoreReport:
    """The heavy part: the shard's table and keypoints."""
    workspace = execution.workspace
    return score_shard(
        execution.input("raw_clips"),
        execution.input("clip_scores"),
        keypoint_detector(workspace.profile),
        workspace.profile,
        execution.report,
        workspace.var / "score_cache",
        map_over_clips if workers is None else workers.over_clips,
    )

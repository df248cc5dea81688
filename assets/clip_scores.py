"""One score table per shard: columns, never decisions."""

from assets.detectors import keypoint_detector
from assets.steps import Execution, Markdown, Metadata, Png, Step


def make_clip_scores(execution: Execution) -> Metadata:
    """Decode and score every clip of one shard."""
    import pandas as pd

    from curation.report import score_histograms
    from curation.scores import score_shard

    profile = execution.workspace.profile
    destination = execution.input("clip_scores")
    detector = keypoint_detector(profile)
    report = score_shard(execution.input("raw_clips"), destination, detector, profile, execution.report)
    scores = pd.read_parquet(destination / "scores.parquet")
    numbers = scores.drop(columns=["clip_id", "keypoints_offset", "keypoints_frames"]).select_dtypes("number")
    quantiles = numbers.quantile([0.1, 0.5, 0.9]).T.round(4)
    quantiles.columns = ["p10", "p50", "p90"]
    return {
        "clips": report.clips,
        "seconds": round(report.seconds, 1),
        "keypoint_detector": f"{detector.name} {detector.version}",
        "score_versions": report.versions,
        "score_quantiles": Markdown(markdown_table(quantiles.reset_index(names="score").to_dict("records"))),
        "histograms": Png(score_histograms(scores, profile.curation)),
    }


def markdown_table(rows: list[dict]) -> str:
    """Rows with equal keys as a Markdown table."""
    if not rows:
        return "(none)"
    lines = ["| " + " | ".join(map(str, rows[0])) + " |", "| " + " | ".join("---" for _ in rows[0]) + " |"]
    return "\n".join(lines + ["| " + " | ".join(str(v) for v in row.values()) + " |" for row in rows])


CLIP_SCORES = Step(
    name="clip_scores",
    description="Motion, cuts, overlay text, sharpness, loudness, mouth-to-sound correlation and pose visibility of "
    "every clip, as columns, with its keypoints. No clip is dropped: filters are predicates over these columns.",
    make=make_clip_scores,
    upstream=("raw_clips",),
    sections=("video", "encoders.keypoints", "transformer.pose_keypoints"),
    group="curation",
    kinds=frozenset({"python", "opencv", "parquet", "dvc"}),
    marker="scores.parquet",
    sharded=True,
)

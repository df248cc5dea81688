"""Nested subsets of each shard: text, audio within it, pose within that."""

from assets.clip_scores import markdown_table
from assets.steps import Execution, Markdown, Metadata, Png, Step


def make_filtered_subsets(execution: Execution) -> Metadata:
    """Apply the profile's predicates to one shard's scores."""
    from curation.report import funnel_chart
    from curation.subsets import select_subsets

    funnel = select_subsets(
        execution.input("raw_clips") / "clips.parquet",
        execution.input("clip_scores") / "scores.parquet",
        execution.input("filtered_subsets"),
        execution.workspace.profile.curation,
    )
    rejections = [
        {"subset": subset, "clause": clause, "clips": count}
        for subset, clauses in funnel["rejections"].items()
        for clause, count in clauses.items()
    ]
    clips = max(funnel["clips_in"], 1)
    return {
        **{f"clips_{name}": funnel[name] for name in ("text", "audio", "pose")},
        "clips_in": funnel["clips_in"],
        "keep_rate_text": funnel["text"] / clips,
        "keep_rate_pose": funnel["pose"] / clips,
        "predicates": funnel["predicates"],
        "rejections": Markdown(markdown_table(rejections)),
        "funnel": Png(funnel_chart(funnel)),
    }


FILTERED_SUBSETS = Step(
    name="filtered_subsets",
    description="Which clips may train which condition: text ⊇ audio ⊇ pose. A clip that fails lip-sync or pose "
    "visibility still trains the weaker conditions. Changing a threshold computes no score anew.",
    make=make_filtered_subsets,
    upstream=("raw_clips", "clip_scores"),
    sections=("curation.text", "curation.audio", "curation.pose"),
    group="curation",
    kinds=frozenset({"pandas", "parquet", "dvc"}),
    marker="subsets.parquet",
    sharded=True,
)

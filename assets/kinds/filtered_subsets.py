"""Nested subsets of each shard: text, audio within it, pose within that."""

from assets.core.markdown import markdown_table
from assets.core.steps import Execution, Markdown, Metadata, Png
from assets.kinds.column_lineage import subset_columns
from assets.kinds.detectors import face_hider, unread_people
from curation.pages.figures import funnel_chart
from curation.pages.stage_pages import rejection_rows, write_subsets_page
from curation.subsets.nested_subsets import select_subsets
from curation.tables.storage import read_table
from profiles.conditions import SUBSETS


def make_filtered_subsets(execution: Execution) -> Metadata:
    """Apply the profile's predicates to one shard's scores."""
    workspace, config = execution.workspace, execution.workspace.profile.curation
    shard_dir, scores_dir = execution.input("raw_clips"), execution.input("clip_scores")
    destination = execution.input("filtered_subsets")
    funnel = select_subsets(shard_dir / "clips.parquet", scores_dir / "scores.parquet", destination, config)
    note = unread_people(workspace.profile, read_table(scores_dir / "scores.parquet"))
    clips = max(funnel["clips_in"], 1)
    page = workspace.report_page("filtered_subsets", execution.shard)
    return {
        **{f"clips_{name}": funnel[name] for name in SUBSETS},
        "clips_in": funnel["clips_in"],
        **{f"keep_rate_{name}": funnel[name] / clips for name in (SUBSETS[0], SUBSETS[-1])},
        **({"people_not_read": note} if note else {}),
        "predicates": funnel["predicates"],
        "rejections": Markdown(markdown_table(rejection_rows(funnel))),
        "funnel": Png(funnel_chart(funnel)),
        "columns": subset_columns(workspace.profile),
        "report": write_subsets_page(
            page, shard_dir, scores_dir, destination, funnel, config, note, face_hider(workspace.profile)
        ),
    }

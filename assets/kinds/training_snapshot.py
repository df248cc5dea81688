"""The frozen list of what is trained on."""

import json
from pathlib import Path

from assets.core.steps import Execution, Markdown, Metadata, Step
from assets.core.workspace import TOMBSTONES
from assets.kinds.clip_scores import markdown_table


def make_training_snapshot(execution: Execution) -> Metadata:
    """Join all shards; a broken one is excluded with its reason and blocks nobody."""
    from curation.pages.card_page import write_card_page
    from curation.snapshot.training_snapshot import freeze_snapshot
    from curation.snapshot.withdrawals import read_tombstones

    workspace = execution.workspace
    destination = workspace.data("training_snapshot")
    raw, subsets = workspace.data("raw_clips"), workspace.data("filtered_subsets")
    features, tombstones = workspace.data("condition_features"), read_tombstones(workspace.tombstones)
    digest = freeze_snapshot(
        workspace.shards("raw_clips"), raw, subsets, features, destination, workspace.profile, tombstones
    )
    page = workspace.report_page("training_snapshot")
    snapshot = json.loads((destination / "snapshot.json").read_text())
    return {
        "digest": digest,
        "clips": snapshot["counts"]["clips"],
        **{f"samples_{name}": snapshot["counts"][name] for name in ("text", "audio", "pose")},
        "reference_outside": snapshot["counts"]["reference_outside"],
        "has_motion": snapshot["counts"]["has_motion"],
        "buckets": snapshot["buckets"],
        "shards": len(snapshot["shards"]),
        "excluded": Markdown(markdown_table(snapshot["excluded"])),
        "report": write_card_page(page, destination, raw, workspace.data("clip_scores"), subsets, tombstones),
        "card": Markdown((destination / "card.md").read_text()),
    }


def snapshot_digest(folder: Path) -> str:
    """The digest that snapshot.json carries."""
    return json.loads((folder / "snapshot.json").read_text())["digest"]


TRAINING_SNAPSHOT = Step(
    name="training_snapshot",
    description="A frozen list of shards, samples, predicates and hashes, without withdrawn clips. Training depends on this, never on all shards: "
    "lineage from a model to its clips is read from here.",
    make=make_training_snapshot,
    upstream=("raw_clips", "filtered_subsets", "condition_features"),
    sections=("curation.text", "curation.audio", "curation.pose", "video", "encoders"),
    group="curation",
    kinds=frozenset({"pandas", "parquet", "dvc"}),
    marker="snapshot.json",
    data_version=snapshot_digest,
    files=(TOMBSTONES,),
    version="2",  # names each sample's bucket
)

"""The frozen list of what is trained on."""

from assets.core.markdown import markdown_table
from assets.core.steps import Execution, Markdown, Metadata, Png
from assets.kinds.detectors import face_hider
from assets.kinds.signed_snapshots import sign_snapshot
from curation.pages.card_page import shard_look, write_card_page
from curation.snapshot.training_snapshot import freeze_snapshot
from curation.snapshot.withdrawals import read_tombstones
from curation.tables.storage import read_table
from media.records import SnapshotRecord
from profiles.conditions import SUBSETS


def make_training_snapshot(execution: Execution) -> Metadata:
    """Join all shards; a broken one is excluded with its reason and blocks nobody."""
    workspace = execution.workspace
    destination = workspace.data("training_snapshot")
    raw, subsets = workspace.data("raw_clips"), workspace.data("filtered_subsets")
    features, tombstones = workspace.data("condition_features"), read_tombstones(workspace.tombstones)
    digest = freeze_snapshot(
        workspace.shards("raw_clips"), raw, subsets, features, destination, workspace.profile, tombstones,
        held_out_share=workspace.profile.evaluation.held_out_people, hashes=workspace.file_hashes,
    )  # fmt: skip
    sign_snapshot(workspace)
    page = workspace.report_page("training_snapshot")
    snapshot = SnapshotRecord.read(destination)
    hide = face_hider(workspace.profile)
    samples = read_table(destination / "samples.parquet")
    look = shard_look(raw / snapshot.shards[-1]["name"], samples, hide) if snapshot.shards else None
    return {
        **({} if look is None else {"a_look": Png(look)}),
        "digest": digest,
        "clips": snapshot.counts["clips"],
        **{f"samples_{name}": snapshot.counts[name] for name in SUBSETS},
        "reference_outside": snapshot.counts["reference_outside"],
        "has_motion": snapshot.counts["has_motion"],
        "buckets": dict(snapshot.buckets),
        "shards": len(snapshot.shards),
        "excluded": Markdown(markdown_table(snapshot.excluded)),
        "report": write_card_page(page, destination, raw, workspace.data("clip_scores"), subsets, tombstones, hide),
        "card": Markdown((destination / "card.md").read_text()),
    }

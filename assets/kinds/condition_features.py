"""Cached latents and condition features of each shard, keyed by content."""

from assets.core.steps import Execution, Metadata, Workers
from assets.core.workspace import Workspace
from curation.features.shard_features import FeatureReport, build_features
from curation.pages.features_page import write_features_page
from curation.tables.storage import read_table_metadata
from curation.workers import map_over_clips
from media.features.places import LAYOUT
from media.records import EncodersRecord


def make_condition_features(execution: Execution) -> Metadata:
    """Encode the windows of one shard's clips that a subset keeps; rows whose key stands already are reused."""
    destination = execution.input("condition_features")
    elsewhere = execution.elsewhere
    report: FeatureReport = encode_clips(execution) if elsewhere is None else elsewhere(execution, FeatureReport)
    return {
        "samples": report.samples,
        "failed": len(report.failed),
        "clips_of_no_subset": report.left_out,
        "reused": report.reused,
        "encoded": report.encoded,
        "computed": report.computed,
        "seconds": round(report.seconds, 1),
        "bytes": report.bytes,
        "features_sha256": report.features_sha256,
        "report": write_features_page(
            execution.workspace.report_page("condition_features", execution.shard), destination, report
        ),
        "encoders": dict(EncodersRecord.read(destination).values),
    }


def encode_clips(execution: Execution, workers: Workers | None = None) -> FeatureReport:
    """The heavy part: the shard's features and their table."""
    workspace = execution.workspace
    return build_features(
        execution.input("raw_clips"),
        execution.input("clip_scores"),
        execution.input("condition_features"),
        workspace.profile,
        execution.report,
        None if workers is None else workers.encoders,
        pieces=workspace.var / "feature_pieces" / str(execution.shard),
        hashes=workspace.file_hashes,
        subsets_dir=execution.input("filtered_subsets"),
        over_clips=map_over_clips if workers is None else workers.over_clips,
    )


def laid_out_otherwise(workspace: Workspace) -> list[str]:
    """Shards whose features an earlier version laid out, or keep latents or hidden states otherwise than the profile says."""
    encoders, found = workspace.profile.encoders, []
    wanted = encoders.latents, None if encoders.audio_states is None else list(encoders.audio_states)
    for shard in workspace.shards("condition_features"):
        folder = workspace.data("condition_features", shard)
        record = EncodersRecord.read_if_there(folder)
        values = {} if record is None else record.values
        kept = values.get("latents", "float16"), values.get("audio_states")
        if read_table_metadata(folder / "samples.parquet").get("layout") != LAYOUT or kept != wanted:
            found.append(shard)
    return found

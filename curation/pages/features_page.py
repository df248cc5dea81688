"""The page of condition features: how many samples there are to train on, of which shape, and with what in them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from curation.pages.figures import value_histograms
from curation.pages.stage_pages import quarantine_section
from curation.tables.storage import read_table
from media.pages import Section, write_page
from media.records import EncodersRecord

if TYPE_CHECKING:
    from curation.features.shard_features import FeatureReport


def write_features_page(path: Path, destination: Path, report: "FeatureReport") -> Path:
    """Samples by bucket, where windows and references lie, what was computed now, encoders, quarantine."""
    samples = read_table(destination / "samples.parquet")
    encoders = EncodersRecord.read(destination).values
    parts = ", ".join(f"{part} of {count}" for part, count in report.computed.items())
    now = f"{report.encoded} samples were encoded now in {report.seconds:.1f} s ({parts}), {report.reused} were kept from before; {report.bytes / 2**20:.1f} MiB."
    per_clip = samples.groupby("clip_id").size() if len(samples) else pd.Series(dtype=int)
    measures = {
        "samples a clip": per_clip,
        "window begins, frames": samples["window_start"],
        "reference, frames": samples["reference_frame"],
    }
    sections = [
        Section("Samples", now, bucket_rows(samples)),
        Section("Where they lie in their clips", pictures=[value_histograms(measures)] if len(samples) else []),
        Section(
            "Encoders",
            "The key of each part of a sample (latents, audio, text) holds those that made it: with another one that part is encoded again.",
            [{"part": k, "made with": str(v)} for k, v in sorted(encoders.items())],
        ),
        quarantine_section(destination, "samples"),
    ]
    counts = {"samples": len(samples), "clips": len(per_clip)}
    return write_page(path, f"condition_features, shard {destination.name}: {len(samples)} samples", sections, counts)


def bucket_rows(samples: pd.DataFrame) -> list[dict[str, Any]]:
    """By bucket: samples, clips, and shares with a reference from outside the window and with motion frames."""
    return [
        {
            "bucket": bucket,
            "samples": len(part),
            "clips": part["clip_id"].nunique(),
            "reference from outside": f"{part['reference_outside'].mean():.0%}",
            "motion frames before": f"{part['has_motion'].mean():.0%}",
        }
        for bucket, part in samples.groupby("bucket")
    ]

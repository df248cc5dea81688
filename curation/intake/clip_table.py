"""The rows of clips.parquet, and those of its quarantine.parquet."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from curation.intake.archive import member_name
from curation.intake.inspect_file import Examined, Piece
from curation.intake.near_duplicates import Match
from curation.intake.sidecar import FIELDS, Sidecar
from curation.tables.contracts import CLIPS
from curation.tables.quarantine import split_by_contract
from media.audio.hearing import Sound

CLIPS_SCHEMA = pa.schema(
    [("clip_id", pa.string()), ("sha256", pa.string()), ("source_sha256", pa.string()), ("member", pa.string())]
    + [("source_name", pa.string()), ("caption", pa.string()), ("caption_note", pa.string())]
    + [("width", pa.int32()), ("height", pa.int32()), ("fps", pa.float64()), ("seconds", pa.float64())]
    + [("frames", pa.int32()), ("has_audio", pa.bool_())]
    + [("start_seconds", pa.float64()), ("end_seconds", pa.float64())]
    + [("container", pa.string()), ("video_codec", pa.string()), ("pixel_format", pa.string())]
    + [("bit_depth", pa.int16()), ("hdr", pa.string()), ("rotation", pa.int16()), ("mirrored", pa.bool_())]
    + [("interlaced", pa.bool_()), ("variable_rate", pa.bool_()), ("damaged_frames", pa.int32())]
    + [("audio_codec", pa.string()), ("audio_channels", pa.int16()), ("audio_sample_rate", pa.int32())]
    + [("audio_seconds", pa.float64()), ("audio_tracks", pa.int16()), ("audio_track", pa.int16())]
    + [("audio_choice", pa.string()), ("audio_channel", pa.string())]
    + [("audio_filled_seconds", pa.float64()), ("damaged_audio_packets", pa.int32())]
    + [(name, pa.string()) for name in FIELDS if name != "caption"]
    + [("sidecar_other", pa.string()), ("phash", pa.string())]
    + [("near_duplicate_of", pa.string()), ("near_duplicate", pa.bool_())]
)


def clip_sha256(found: Examined, piece: Piece) -> str:
    """The content hash of a clip: of its file, or of the file's hash and the range. Its first 16 digits are the id."""
    if found.whole:
        return found.sha256
    shot = piece.shot
    return hashlib.sha256(f"{found.sha256} {shot.start:.6f} {shot.end:.6f}".encode()).hexdigest()


def clip_rows(found: Examined, source_name: str, sidecar: Sidecar) -> list[dict[str, Any]]:
    """One row for each piece of a usable file, still without near duplicates."""
    assert found.probe is not None
    probe = found.probe
    rows = []
    for piece in found.pieces:
        sha256 = clip_sha256(found, piece)
        rows.append(
            {
                "clip_id": sha256[:16],
                "sha256": sha256,
                "source_sha256": found.sha256,
                "member": member_name(found.sha256[:16], found.path),
                "source_name": source_name,
                "caption": sidecar.caption,
                "caption_note": sidecar.note,
                "width": probe.width,
                "height": probe.height,
                "fps": probe.fps,
                "seconds": piece.shot.end - piece.shot.start,
                "frames": piece.frames,
                "has_audio": probe.has_audio,
                "start_seconds": piece.shot.start,
                "end_seconds": piece.shot.end,
                "container": probe.container,
                "video_codec": probe.video_codec,
                "pixel_format": probe.pixel_format,
                "bit_depth": probe.bit_depth,
                "hdr": probe.hdr,
                "rotation": probe.rotation,
                "mirrored": probe.mirrored,
                "interlaced": probe.interlaced,
                "variable_rate": probe.variable_rate,
                "damaged_frames": probe.damaged,
                **_sound_columns(probe.sound),
                **{name: getattr(sidecar, name) for name in FIELDS},
                "sidecar_other": sidecar.other,
                "phash": piece.phash.hex(),
                "near_duplicate_of": "",
                "near_duplicate": False,
            }
        )
    return rows


def _sound_columns(sound: Sound | None) -> dict[str, Any]:
    """What of the file is heard; a file without sound has no track."""
    return {
        "audio_codec": sound.codec if sound else "",
        "audio_channels": sound.channels if sound else 0,
        "audio_sample_rate": sound.sample_rate if sound else 0,
        "audio_seconds": sound.seconds if sound else 0.0,
        "audio_tracks": sound.tracks if sound else 0,
        "audio_track": sound.track if sound else -1,
        "audio_choice": sound.choice if sound else "",
        "audio_channel": sound.channel if sound else "",
        "audio_filled_seconds": sound.filled_seconds if sound else 0.0,
        "damaged_audio_packets": sound.damaged_packets if sound else 0,
    }


def clips_frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a table in order of ids."""
    return pd.DataFrame(sorted(rows, key=lambda row: row["clip_id"]), columns=CLIPS_SCHEMA.names)


def with_duplicates(clips: pd.DataFrame, matches: list[Match | None]) -> pd.DataFrame:
    """The table with `near_duplicate_of`, the clip that the group of near duplicates is named after, and whether there is
    one, which a predicate may ask."""
    roots = [match.root if match else "" for match in matches]
    return clips.assign(near_duplicate_of=roots, near_duplicate=[root != "" for root in roots])


def keeping_the_contract(clips: pd.DataFrame) -> tuple[pd.DataFrame, list[tuple[str, str, str, str]]]:
    """The rows that keep the contract, and quarantine rows of the files of those that do not."""
    files = clips.assign(sha256=clips["source_sha256"])
    kept, refused = split_by_contract(clips, CLIPS, files, "clips.parquet", "re-export the file")
    return kept, [(row.source_name, row.sha256, row.reason, row.message) for row in refused.itertuples()]


def quarantine_rows(found: Examined, source_name: str) -> list[tuple[str, str, str, str]]:
    """Rows for an unusable file, or for the shots of a usable one that are too short; a range is a media fragment."""
    if found.reason:
        return [(source_name, found.sha256, found.reason, found.message)]
    return [
        (
            f"{source_name}#t={shot.start:.3f},{shot.end:.3f}",
            found.sha256,
            "short_shot",
            f"this shot has {shot.end - shot.start:.2f} s, too few for a training window; the file's other shots are kept",
        )
        for shot in found.short
    ]


def printable(relative: Path) -> str:
    """A path as text; a name that is not UTF-8 cannot stand in parquet as it is."""
    return os.fsencode(relative).decode("utf-8", "backslashreplace")

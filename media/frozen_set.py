"""A frozen set of real clips, as it lies in a folder: who is judged, on which window, with what beside it, all of it by hash.

    test_set.json       what it is, and what it is disjoint from
    manifest.parquet    a row per sample: `FrozenSample`
    clips/ID.mp4        the window in the geometry of its bucket, with its sound; what decodes from it is the truth
    references/ID.png   a picture of the same person from outside the window, in the same geometry
    audio/ID.wav        the window's sound, 16-bit, exactly as long as the window; absent where it has none
    poses/ID.safetensors  keypoints of the decoded clip (`media.keypoints.keypoint_file`); absent where nobody was found

`curation` builds it, `evaluation` judges by it.
"""

import dataclasses
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile

from media.decode import decode_frames
from media.files import sha256_of_file, write_atomically
from media.keypoints.keypoint_file import read_keypoints
from media.records.json_record import JsonRecord
from media.user_error import UserError

FORMAT = 2
HELD_OUT = "held_out"  # kind of a set whose clips lie in the workspace's own shards, and whose people no snapshot lists
RECORD, MANIFEST = "test_set.json", "manifest.parquet"
BUILD = "`omnihuman testset build`"
# Column of the manifest that names a file -> its folder and suffix; `<column>_sha256` is the file's hash.
FILES = {
    "clip": ("clips", ".mp4"),
    "reference": ("references", ".png"),
    "audio": ("audio", ".wav"),
    "pose": ("poses", ".safetensors"),
}
FACTS = ("face_luma", "face_size", "body_motion", "mouth_motion", "loudness")


class FrozenSetError(UserError):
    """A set that is missing, of another format, or not what was frozen."""


@dataclass(frozen=True)
class FrozenSample:
    """One row of the manifest: one window of one clip.

    Attributes:
        sample_id: 16 hex digits of the clip's hash; `-0`, `-1`, ... behind them where it gives several windows.
        name: of the source file, within its set.
        sha256, phash: of the source file, and what the clip looks like (`curation.intake.video_hash`).
        identity: who is seen; all windows of a person share it.
        caption: what is seen; may be empty.
        clip, reference, audio, pose: files within the set, empty where there is none; each with its sha256.
        source_width, source_height, seconds: of the source clip.
        width, height: of the clip's file, and of the picture that keypoints are in.
        bucket: `HEIGHTxWIDTHxFRAMES`.
        window_start, window_frames, reference_frame: in frames of the source clip at `fps`.
        fps, sample_rate: of the clip's file, and of its sound in Hz.
        people: most faces seen in one picture; 0 where nobody was found.
        face_luma: mean luma (BT.709, 0 to 1) inside the face's box. NaN where unknown, as with all that follow.
        face_size: height of the face's box over the picture's height.
        body_motion: mean speed of the seen body points, in shoulder widths per second.
        mouth_motion: mean speed of the mouth's opening, in face heights per second.
        loudness: root mean square of the window's sound, in dB of full scale.
    """

    sample_id: str
    name: str
    sha256: str
    phash: str
    identity: str
    caption: str
    clip: str
    clip_sha256: str
    reference: str
    reference_sha256: str
    audio: str
    audio_sha256: str
    pose: str
    pose_sha256: str
    source_width: int
    source_height: int
    width: int
    height: int
    bucket: str
    window_start: int
    window_frames: int
    reference_frame: int
    fps: float
    sample_rate: int
    seconds: float
    people: int
    face_luma: float
    face_size: float
    body_motion: float
    mouth_motion: float
    loudness: float


_ARROW = {str: pa.string(), int: pa.int32(), float: pa.float64()}
SCHEMA = pa.schema([(field.name, _ARROW[field.type]) for field in dataclasses.fields(FrozenSample)])  # type: ignore[index]


@dataclass(frozen=True)
class FrozenSetRecord(JsonRecord):
    """test_set.json: what the set is, how it was made, and which files were left out."""

    FILE: ClassVar[str] = RECORD
    REMEDY: ClassVar[str] = f"build the set again with {BUILD}"

    @property
    def format(self) -> int:
        """Of the folder; sets of before have none, and are 1."""
        return int(self.values.get("format", 1))

    @property
    def kind(self) -> str:
        """How the set was found: by its files' naming, in a package, or among the workspace's own clips."""
        return self.require("kind")

    @property
    def digest(self) -> str:
        """sha256 over all rows of the manifest, and so over all files."""
        return self.require("digest")

    @property
    def disjoint_from(self) -> str:
        """What training data the set was held against when it was frozen."""
        return self.require("disjoint_from")

    @property
    def pose_detector(self) -> str | None:
        """Name and version of what found the keypoints; None where nothing looked."""
        return self.require("pose_detector")

    @property
    def skipped(self) -> Mapping[str, str]:
        """Name of each file, or of what of it, that was left out, and why."""
        return self.require("skipped")


@dataclass(frozen=True)
class FrozenSet:
    """A set whose files are what they were when it was frozen. Media are read one sample at a time."""

    path: Path
    samples: tuple[FrozenSample, ...]
    record: FrozenSetRecord

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def digest(self) -> str:
        """sha256 over all rows of the manifest."""
        return self.record.digest

    @property
    def skipped(self) -> Mapping[str, str]:
        """What was left out, and why."""
        return self.record.skipped

    @property
    def manifest(self) -> pd.DataFrame:
        """The rows as a table, in order of ids."""
        return manifest_table(self.samples)

    def frames(self, sample: FrozenSample) -> np.ndarray:
        """`(window_frames, height, width, 3)` uint8 RGB: what a generated video is held against."""
        return decode_frames(self.path / sample.clip, sample.fps)

    def reference(self, sample: FrozenSample) -> np.ndarray:
        """`(height, width, 3)` uint8 RGB."""
        return read_reference(self.path / sample.reference)

    def audio(self, sample: FrozenSample) -> np.ndarray | None:
        """`(S,)` float32 at `sample_rate`, as long as the window; None for a sample without sound."""
        return soundfile.read(self.path / sample.audio, dtype="float32")[0] if sample.audio else None

    def keypoints(self, sample: FrozenSample) -> np.ndarray | None:
        """`(window_frames, 133, 3)` float32 in pixels of the clip; None where nobody was found, or nothing looked."""
        return read_keypoints(self.path / sample.pose).points if sample.pose else None


def read_reference(path: Path) -> np.ndarray:
    """`(height, width, 3)` uint8 RGB of a set's picture.

    Raises:
        FrozenSetError: it is none.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FrozenSetError(f"{path} is no picture; build the set again with {BUILD}")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def load_frozen_set(path: Path) -> FrozenSet:
    """Read a set and check, file by file, that it is still the frozen one.

    Raises:
        FrozenSetError: none there, one of another format, or a file that is missing or has other bytes.
        media.records.RecordError: test_set.json is broken.
    """
    record = FrozenSetRecord.read_if_there(path)
    if record is None:
        raise FrozenSetError(f"no test set in {path}; build it with {BUILD}")
    if record.format != FORMAT:
        raise FrozenSetError(
            f"{path} is a test set of format {record.format}, and this version reads {FORMAT}, which has clips; build it again with {BUILD}"
        )
    _check(path / MANIFEST, record.require("manifest_sha256"))
    rows = pq.read_table(path / MANIFEST, schema=SCHEMA).to_pylist()
    samples = tuple(FrozenSample(**{**row, **{name: _number(row[name]) for name in FACTS}}) for row in rows)
    for sample in samples:
        for column in FILES:
            if name := getattr(sample, column):
                _check(path / name, getattr(sample, f"{column}_sha256"))
    return FrozenSet(path, samples, record)


def write_manifest(folder: Path, samples: Iterable[FrozenSample], more: Mapping[str, Any]) -> FrozenSetRecord:
    """Write manifest.parquet and test_set.json into the draft of a set, whose files are there already.

    Args:
        folder: the draft (`media.whole_directory`).
        samples: in any order.
        more: of the record: `kind`, `disjoint_from`, `pose_detector`, `skipped`, and what else the maker knows.
    """
    table = manifest_table(samples)
    digest = hashlib.sha256(table.to_json(orient="records").encode()).hexdigest()
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, schema=SCHEMA, preserve_index=False), buffer)
    write_atomically(folder / MANIFEST, buffer.getvalue())
    record = FrozenSetRecord(
        {
            "format": FORMAT,
            "digest": digest,
            "samples": len(table),
            "identities": int(table["identity"].nunique()),
            "buckets": {name: int(count) for name, count in table["bucket"].value_counts().sort_index().items()},
            "manifest_sha256": sha256_of_file(folder / MANIFEST),
            **more,
        }
    )
    record.write(folder)
    return record


def manifest_table(samples: Iterable[FrozenSample]) -> pd.DataFrame:
    """Samples as a table in order of ids; facts that are not known are NaN."""
    ordered = sorted(samples, key=lambda sample: sample.sample_id)
    return pd.DataFrame([vars(sample) for sample in ordered], columns=SCHEMA.names)


def file_in_set(column: str, sample_id: str) -> str:
    """Where a sample's file of a column of `FILES` lies in its set."""
    folder, suffix = FILES[column]
    return f"{folder}/{sample_id}{suffix}"


def _check(path: Path, expected: str) -> None:
    if not path.is_file() or sha256_of_file(path) != expected:
        raise FrozenSetError(
            f"{path} is missing or not the frozen file; put the set back as it was, or build it again with {BUILD}"
        )


def _number(value: float | None) -> float:
    return float("nan") if value is None else value

"""Clips whose consent or licence is gone: a list that only grows, which every later snapshot keeps to.

The list is a text file of one JSON object a line at the workspace's root, beside dvc.yaml, under version control: who
withdrew what, when and why is a record that people review, and a line in a diff shows it. It names clips and files by
content, so a withdrawn clip that comes back under another name stays out.
"""

import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from curation.errors import CurationError
from media import write_atomically
from media.frozen_set import HELD_OUT, MANIFEST, FrozenSetRecord

SELECTORS = ("source_name", "source", "identity")


@dataclass(frozen=True)
class Tombstone:
    """One withdrawal.

    Attributes:
        target: as it was asked for: an id, or a file name, source or identity.
        selector: the column that the target was found in: `clip_id` or one of `SELECTORS`.
        clip_ids: of the clips that it meant then.
        source_sha256: content of their files: other ranges of them are withdrawn too.
        reason: for people.
        when: ISO date and time, UTC.
    """

    target: str
    selector: str
    clip_ids: tuple[str, ...]
    source_sha256: tuple[str, ...]
    reason: str
    when: str


def read_tombstones(path: Path) -> list[Tombstone]:
    """All withdrawals, oldest first; none where the file is not there.

    Raises:
        CurationError: a line that cannot be read. A list of withdrawals is never guessed at.
    """
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
            lists = {name: tuple(values[name]) for name in ("clip_ids", "source_sha256")}
            found.append(Tombstone(**{**values, **lists}))
        except (ValueError, TypeError, KeyError) as error:
            raise CurationError(
                f"line {number} of {path} is no withdrawal ({error}); restore it from version control"
            ) from error
    return found


def withdraw(path: Path, clips: pd.DataFrame, target: str, reason: str) -> Tombstone:
    """Find what `target` means among all clips and append it to the list.

    Args:
        path: of the list.
        clips: all shards' clips.parquet, one after another.
        target: a clip id or at least eight of its first digits; or exactly a source_name, source or identity.
        reason: why; it stays in the list.

    Raises:
        CurationError: no reason, nothing found, or an id that is not unambiguous.
    """
    if not reason.strip():
        raise CurationError("a withdrawal needs a reason; give --reason TEXT")
    selector, rows = find_clips(clips, target)
    tombstone = Tombstone(
        target=target,
        selector=selector,
        clip_ids=tuple(sorted(set(rows["clip_id"]))),
        source_sha256=tuple(sorted(set(rows["source_sha256"]))) if selector != "clip_id" else (),
        reason=reason.strip(),
        when=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    before = path.read_bytes() if path.is_file() else b""
    write_atomically(path, before + json.dumps(asdict(tombstone), sort_keys=True).encode() + b"\n")
    return tombstone


def find_clips(clips: pd.DataFrame, target: str) -> tuple[str, pd.DataFrame]:
    """The column that `target` stands in, and the rows.

    Raises:
        CurationError: nothing found, or an id that several clips begin with.
    """
    if len(target) >= 8:
        rows = clips[clips["clip_id"].str.startswith(target)]
        if rows["clip_id"].nunique() == 1:
            return "clip_id", rows
        if len(rows):
            raise CurationError(
                f"{rows['clip_id'].nunique()} clips have an id that begins with {target}; give more digits"
            )
    for selector in SELECTORS:
        rows = clips[clips[selector] == target] if target else clips[:0]
        if len(rows):
            return selector, rows
    raise CurationError(
        f"no clip has the id, source_name, source or identity {target!r}; look it up in data/raw_clips/*/clips.parquet"
    )


def withdrawn(clips: pd.DataFrame, tombstones: Sequence[Tombstone]) -> pd.Series:
    """`(rows,)` bool: which clips of a clips.parquet are withdrawn, by id, by file, or by the selector that was named."""
    ids = _union(tombstone.clip_ids for tombstone in tombstones)
    files = _union(tombstone.source_sha256 for tombstone in tombstones)
    found = clips["clip_id"].isin(ids)
    if "source_sha256" in clips:
        found |= clips["source_sha256"].isin(files)
    # A file name may be used again for other content; a source or a person who withdrew does so for later clips too.
    for selector in ("source", "identity"):
        if selector in clips:
            found |= clips[selector].isin([t.target for t in tombstones if t.selector == selector])
    return found


def is_withdrawn_content(sha256: str, tombstones: Sequence[Tombstone]) -> bool:
    """Whether a whole file of this content is withdrawn, whatever it is called. A withdrawn range of a file does not count:
    the rest of the file may still be used."""
    return sha256 in _union(t.source_sha256 for t in tombstones) or sha256[:16] in _union(
        t.clip_ids for t in tombstones
    )


def held_by_sets(clips: pd.DataFrame, folders: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Of each frozen set that holds any of the clips: how many of its samples are of them, and how many it has.

    A set is a copy of its own: a withdrawal takes nothing out of it.

    Args:
        clips: rows of clips.parquet (clip_id, source_sha256).
        folders: that may be sets; others are passed over.
    """
    found = {}
    for folder in sorted(folders):
        record = FrozenSetRecord.read_if_there(folder)
        if record is None or not (folder / MANIFEST).is_file():
            continue
        samples = pd.read_parquet(folder / MANIFEST, columns=["sample_id", "sha256"])
        theirs = samples["sample_id"].str[:16].isin(clips["clip_id"])
        if record.kind != HELD_OUT:  # its samples are of whole files, which the clips may be parts of
            theirs |= samples["sha256"].isin(clips["source_sha256"])
        if theirs.any():
            found[folder] = int(theirs.sum()), len(samples)
    return found


def _union(parts: Iterable[tuple[str, ...]]) -> set[str]:
    return {value for part in parts for value in part}

"""People who are kept out of training for good, so that models can be judged on them: who they are, and the frozen set of their clips.

A person is held out by the hash of who he is, whatever clips come later: no list is kept, and none can be lost. The snapshot leaves
out all of their clips and all near duplicates of these; the set takes clips of theirs that meet nobody else's.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from curation.intake.archive import read_clip
from curation.people.keypoints import KeypointDetector
from curation.snapshot.frozen_sets import freeze_set
from curation.snapshot.frozen_windows import SourceClip
from curation.snapshot.identities import known_identities
from curation.snapshot.overlap import Training, find_overlap
from curation.snapshot.withdrawals import Tombstone, withdrawn
from curation.tables.storage import CurationError, read_table
from media.frozen_set import HELD_OUT, FrozenSet
from profiles.schema import VideoConfig

CANDIDATES = 4  # people, and clips of each, that are kept for every sample that is wanted: some meet others' clips
REMEDY = "give clips of more people, or raise evaluation.held_out_people"


def is_held_out(identity: str, share: float) -> bool:
    """Whether a person is held out: the same answer for ever, and with a larger share everybody of a smaller one and more."""
    return int(_hash(identity)[:16], 16) < share * 16**16


def identities_of(source_name: str, identity: str, source_sha256: str) -> set[str]:
    """Who is seen in a clip, by sidecar and by file name; of whom nobody says anything is a person of his own, by the file."""
    return known_identities(source_name, identity) or {f"file:{source_sha256[:16]}"}


@dataclass(frozen=True)
class HeldOutPeople:
    """Who is held out among some shards' clips.

    Attributes:
        share: of all people.
        groups: each group of near duplicates in which one of their clips is, by the clip that it is named after, to the person.
    """

    share: float
    groups: Mapping[str, str]

    def among(self, clips: pd.DataFrame) -> pd.Series:
        """`(rows,)` str: the person whom each row of a clips.parquet is held out for, by who is seen or because it is a near duplicate
        of such a clip; empty for those that are trained on."""
        if not self.groups:
            return self.seen_in(clips)
        groups = [self.groups.get(original or clip, "") for clip, original in _groups(clips)]
        return self.seen_in(clips).where(lambda who: who != "", pd.Series(groups, index=clips.index, dtype=object))

    def seen_in(self, clips: pd.DataFrame) -> pd.Series:
        """`(rows,)` str: the held-out person who is seen in each row by sidecar, name or file; empty where it is none."""
        if not self.share:
            return pd.Series("", index=clips.index, dtype=object)
        who = [min((one for one in seen if is_held_out(one, self.share)), default="") for seen in _people(clips)]
        return pd.Series(who, index=clips.index, dtype=object)


def find_held_out(shards: Iterable[tuple[str, pd.DataFrame]], share: float) -> HeldOutPeople:
    """Look through every shard's clips.parquet, one at a time; memory holds what is held out alone.

    Args:
        shards: names and tables of all, as `clip_tables` gives them: a near duplicate may lie in another shard.
        share: of all people; 0 holds nobody out.
    """
    groups: dict[str, str] = {}
    for _, clips in shards:
        for (clip, original), who in zip(_groups(clips), HeldOutPeople(share, {}).seen_in(clips), strict=True):
            if who:
                groups.setdefault(original or clip, who)
    return HeldOutPeople(share, groups)


def clip_tables(
    raw_root: Path, shards: Iterable[str], unreadable: dict[str, str] | None = None
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Name and clips.parquet of each shard that can be read; of the others `unreadable` says why."""
    for name in sorted(set(shards)):
        try:
            yield name, read_table(raw_root / name / "clips.parquet")
        except CurationError as error:
            if unreadable is not None:
                unreadable[name] = str(error)


def held_out_clips(raw_root: Path, shards: Sequence[str], share: float) -> set[str]:
    """Ids of all clips that no snapshot will list, because of whom they show."""
    if not share:
        return set()
    people = find_held_out(clip_tables(raw_root, shards), share)
    tables = (clips for _, clips in clip_tables(raw_root, shards))
    return {clip_id for clips in tables for clip_id in clips.loc[people.among(clips) != "", "clip_id"]}


def build_held_out_set(
    raw_root: Path,
    subsets_root: Path,
    destination: Path,
    video: VideoConfig,
    share: float,
    detector: KeypointDetector | None,
    limit: int | None,
    *,
    windows: int = 1,
    tombstones: Sequence[Tombstone] = (),
) -> FrozenSet:
    """Freeze clips of held-out people that are in the text subset; shard by shard, memory holds what may be chosen.

    Args:
        raw_root, subsets_root: each holds a folder per shard.
        destination: the set's folder, made or replaced.
        video: buckets and rates.
        share: of all people, as `freeze_snapshot` gets it.
        detector: of the poses, or None.
        limit: at most so many samples, as many people as possible.
        windows: at most so many of a clip.
        tombstones: withdrawals; the clips they name are left out.

    Raises:
        CurationError: fewer than two samples, or a shard of an early version, of which nobody can tell what its clips look like.
    """
    shards, skipped = sorted(path.name for path in raw_root.glob("s-*") if path.is_dir()), dict[str, str]()
    people = find_held_out(clip_tables(raw_root, shards, skipped), share)
    chosen: dict[str, dict[str, SourceClip]] = {}
    for shard, clips in clip_tables(raw_root, shards):
        try:
            of_text = _text_subset(subsets_root / shard)
        except CurationError as error:
            skipped[shard] = str(error)
            continue
        # A copy adds nothing, and what it is a copy of may have been trained on before anybody knew whom it shows.
        usable = (
            clips["clip_id"].isin(of_text) & ~withdrawn(clips, tombstones) & (_column(clips, "near_duplicate_of") == "")
        )
        held = clips.assign(person=people.seen_in(clips))[usable]
        for row in held[held["person"] != ""].to_dict("records"):
            chosen.setdefault(row["person"], {})[row["clip_id"]] = _source_clip(raw_root / shard, row)
        chosen = _fewer(chosen, limit)
    candidates = [clip for clips in chosen.values() for clip in clips.values()]
    met = _met_in_training(candidates, clip_tables(raw_root, shards), people)
    return freeze_set(
        [clip for clip in candidates if clip.clip_id not in met],
        destination,
        video,
        detector,
        skipped | {clip.name: met[clip.clip_id] for clip in candidates if clip.clip_id in met},
        {"kind": HELD_OUT, "disjoint_from": f"clips of everybody but {share:.3g} of all people", "share": share},
        limit=limit,
        windows=windows,
        place=f"the people who are held out in {raw_root} ({share:.3g} of all)",
        remedy=REMEDY,
    )


def _met_in_training(
    candidates: Sequence[SourceClip], shards: Iterable[tuple[str, pd.DataFrame]], people: HeldOutPeople
) -> dict[str, str]:
    """Clip id to reason for candidates that meet a clip which is trained on: another name of the same person, or the same film."""
    rows = pd.DataFrame([vars(clip) for clip in candidates], columns=["clip_id", "name", "sha256", "phash", "identity"])
    met: dict[str, str] = {}
    for shard, clips in shards:
        found = find_overlap(rows, Training(clips[people.among(clips) == ""], shard))
        met |= {clip.clip_id: found[clip.name] for clip in candidates if clip.name in found}
    return met


def _text_subset(folder: Path) -> set[str]:
    subsets = read_table(folder / "subsets.parquet")
    return set(subsets.loc[subsets["text"], "clip_id"])


def _fewer(chosen: dict[str, dict[str, SourceClip]], limit: int | None) -> dict[str, dict[str, SourceClip]]:
    """As many people and clips of each as may be wanted, by their hashes: whoever is left out once is never wanted again."""
    if limit is None:
        return chosen
    most = CANDIDATES * limit
    return {
        who: dict(sorted(clips.items())[:most])
        for who, clips in sorted(chosen.items(), key=lambda entry: _hash(entry[0]))[:most]
    }


def _source_clip(shard: Path, row: dict[str, Any]) -> SourceClip:
    return SourceClip(
        clip_id=row["clip_id"],
        name=row["source_name"],
        sha256=row["source_sha256"],
        phash=row["phash"],
        identity=row["person"],
        caption=row["caption"],
        width=int(row["width"]),
        height=int(row["height"]),
        seconds=float(row["seconds"]),
        has_audio=bool(row["has_audio"]),
        read=partial(read_clip, shard, row["clip_id"]),
    )


def _people(clips: pd.DataFrame) -> Iterator[set[str]]:
    columns = (_column(clips, name) for name in ("source_name", "identity", "source_sha256"))
    for name, identity, sha256 in zip(*columns, strict=True):
        yield identities_of(name, identity, sha256)


def _groups(clips: pd.DataFrame) -> Iterator[tuple[str, str]]:
    return zip(clips["clip_id"], _column(clips, "near_duplicate_of"), strict=True)


def _column(clips: pd.DataFrame, name: str) -> pd.Series:
    """Shards of before have not all of them; a file was a clip then."""
    return clips[name] if name in clips else clips["sha256"] if name == "source_sha256" else pd.Series("", clips.index)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

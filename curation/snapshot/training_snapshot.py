"""The training snapshot: a frozen list of samples and hashes. Training depends on it, never on "all shards"."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from curation.bucket import bucket_names
from curation.features.feature_files import features_digest
from curation.snapshot.held_out_people import HeldOutPeople, clip_tables, find_held_out
from curation.snapshot.withdrawals import Tombstone, withdrawn
from curation.subsets.nested_subsets import made_with, predicates_of
from curation.tables.contracts import SNAPSHOT
from curation.tables.quarantine import quarantined_clips, violations_in
from curation.tables.storage import CurationError, read_table, read_table_metadata, write_table
from media import whole_directory
from media.features.hash_store import HashStore
from media.features.places import file_named
from media.records import EncodersRecord, RecordError, SnapshotRecord
from profiles import Profile
from profiles.conditions import SUBSETS

SNAPSHOT_SCHEMA = pa.schema(
    [("sample_id", pa.string()), ("clip_id", pa.string()), ("shard", pa.string()), ("bucket", pa.string())]
    + [("row", pa.int64())]
    + [(name, pa.bool_()) for name in (*SUBSETS, "reference_outside", "has_motion")]
)


DIGEST_ROWS = 100_000


@dataclass(frozen=True)
class _LeftOut:
    """Clips of held-out people: whom they show, how many, and how many samples would have been made of them."""

    people: frozenset[str] = frozenset()
    clips: int = 0
    samples: int = 0


@dataclass(frozen=True)
class _Shard:
    """One shard that can be trained on: its samples in the text subset, and what it was made with."""

    name: str
    samples: pd.DataFrame
    clips: int
    features_sha256: str
    encoders: dict[str, Any]
    held_out: _LeftOut = _LeftOut()


def freeze_snapshot(
    shards: Sequence[str],
    raw_root: Path,
    subsets_root: Path,
    features_root: Path,
    destination: Path,
    profile: Profile,
    tombstones: Sequence[Tombstone] = (),
    held_out_share: float = 0.0,
    hashes: Path | None = None,
) -> str:
    """Write `destination/` snapshot.json, samples.parquet and card.md; returns the digest.

    A shard whose pieces are missing, unreadable, or do not belong together is listed as excluded with its reason and
    blocks nobody. Only samples of the text subset are listed: the other subsets lie inside it.

    Args:
        shards: names of all shards that exist.
        raw_root, subsets_root, features_root: each holds a folder per shard.
        destination: the snapshot's folder.
        profile: predicates and buckets that every shard must have been made with.
        tombstones: withdrawals; the clips they name are left out.
        held_out_share: of all people, whose clips are left out, so that models can be judged by them
            (`curation.snapshot.held_out_people`).
        hashes: file in which hashes of feature files are kept, so that one that nobody touched is hashed once in its life; None
            hashes all.

    Raises:
        CurationError: not one sample is left; the message lists why.
    """
    usable, excluded, known = [], [], HashStore(hashes)
    people = find_held_out(clip_tables(raw_root, shards) if held_out_share else (), held_out_share)
    for name in sorted(set(shards)):
        try:
            shard = _read_shard(name, raw_root / name, subsets_root / name, features_root / name, profile, known)
            usable.append(_without(shard, raw_root / name, tombstones, people))
        except CurationError as error:
            excluded.append(
                {"shard": name, "reason": _without_roots(str(error), raw_root, subsets_root, features_root)}
            )
    encoders = _usual_encoders(usable)
    for shard in [shard for shard in usable if shard.encoders != encoders]:
        usable.remove(shard)
        excluded.append({"shard": shard.name, "reason": _difference(shard.encoders, encoders)})
    excluded.sort(key=lambda entry: entry["shard"])
    samples = pd.concat([shard.samples for shard in usable]) if usable else pd.DataFrame(columns=SNAPSHOT_SCHEMA.names)
    samples = samples.drop_duplicates("sample_id").sort_values("sample_id")
    if samples.empty:
        reasons = (
            "; ".join(f"{entry['shard']}: {entry['reason']}" for entry in excluded) or "no clip is in the text subset"
        )
        raise CurationError(f"no sample to train on in {len(set(shards))} shards ({reasons})")
    snapshot = _describe(usable, excluded, samples, encoders, profile, held_out_share)
    with whole_directory(destination) as folder:
        write_table(samples, folder / "samples.parquet", SNAPSHOT_SCHEMA, {"digest": snapshot.digest}, SNAPSHOT)
        snapshot.write(folder)
        (folder / "card.md").write_text(_card(snapshot, samples, profile))
    return snapshot.digest


def _without(shard: _Shard, raw: Path, tombstones: Sequence[Tombstone], people: HeldOutPeople) -> _Shard:
    """The shard without clips that are withdrawn, or that show people who are held out."""
    clips = read_table(raw / "clips.parquet")
    gone = withdrawn(clips, tombstones)
    who = people.among(clips)[~gone]
    who = who[who != ""]
    held = shard.samples["clip_id"].isin(clips.loc[who.index, "clip_id"])
    samples = shard.samples[~held & ~shard.samples["clip_id"].isin(clips.loc[gone, "clip_id"])]
    left_out = _LeftOut(frozenset(who), len(who), int(held.sum()))
    return replace(shard, samples=samples, clips=shard.clips - int(gone.sum()) - len(who), held_out=left_out)


def _without_roots(message: str, *roots: Path) -> str:
    """A snapshot is the same bytes wherever its workspace stands: `/a/b/raw_clips/s-1` becomes `raw_clips/s-1`."""
    for root in roots:
        message = message.replace(str(root), root.name)
    return message


def _read_shard(name: str, raw: Path, subsets_dir: Path, features: Path, profile: Profile, hashes: HashStore) -> _Shard:
    clips = read_table(raw / "clips.parquet")
    subsets = read_table(subsets_dir / "subsets.parquet")
    samples = read_table(features / "samples.parquet")
    for folder, table in ((subsets_dir, "subsets.parquet"), (features, "samples.parquet")):
        found = violations_in(folder, table)
        if found.share > profile.curation.violations_max:
            raise CurationError(f"{found}; repair what its quarantine names, or raise curation.violations_max")
    if set(subsets["clip_id"]) | set(quarantined_clips(subsets_dir)) != set(clips["clip_id"]):
        raise CurationError("its subsets are those of other clips; select the subsets again")
    if not set(samples["clip_id"]) <= set(clips["clip_id"]):
        raise CurationError("its features are those of other clips; build the features again")
    if read_table_metadata(subsets_dir / "subsets.parquet") != made_with(profile.curation):
        raise CurationError("its subsets come from other predicates than the profile's; select the subsets again")
    encoders = _read_encoders(features)
    buckets, wanted = encoders.buckets, bucket_names(profile.video)
    if buckets != wanted:
        raise CurationError(f"its features have buckets {buckets}, the profile {wanted}; build them again")
    digest = _checked_features(features, hashes)
    left_out = read_table_metadata(features / "samples.parquet").get("left_out", [])
    lacking = set(left_out) & set(subsets.loc[subsets["text"], "clip_id"])
    if lacking:
        raise CurationError(
            f"its features lack {len(lacking)} clips that its subsets keep (such as {min(lacking)}); build the features again"
        )
    samples["shard"] = name
    joined = samples.merge(subsets[["clip_id", *SUBSETS]], on="clip_id", validate="many_to_one")
    listed = joined.loc[joined["text"], SNAPSHOT_SCHEMA.names]
    broken = SNAPSHOT.violations(listed)
    if (broken != "").any():
        raise CurationError(
            f"{(broken != '').sum()} of its samples break the rule {broken[broken != ''].iloc[0]}; build the features again"
        )
    return _Shard(name, listed, len(clips), digest, dict(encoders.values))


def _read_encoders(features: Path) -> EncodersRecord:
    try:
        return EncodersRecord.read(features)
    except RecordError as error:
        raise CurationError(str(error)) from error
    except OSError as error:
        raise CurationError(f"{EncodersRecord.FILE} cannot be read ({error}); build the features again") from error


def _checked_features(features: Path, hashes: HashStore) -> str:
    made = read_table_metadata(features / "samples.parquet")
    for name, expected in made.get("files", {}).items():
        path = file_named(features, name)
        if not path.is_file() or hashes.sha256(path) != expected:
            raise CurationError(
                f"{path.name} is missing or is not the file that samples.parquet describes; build it again"
            )
    return made.get("features_sha256") or features_digest({})


def _usual_encoders(shards: list[_Shard]) -> dict[str, Any]:
    """What most samples were encoded with; one training run cannot mix encoders."""
    votes: Counter[str] = Counter()
    for shard in shards:
        votes[json.dumps(shard.encoders, sort_keys=True)] += len(shard.samples)
    return json.loads(max(sorted(votes), key=lambda text: votes[text])) if votes else {}


def _difference(encoders: dict[str, Any], usual: dict[str, Any]) -> str:
    keys = sorted(key for key in encoders.keys() | usual.keys() if encoders.get(key) != usual.get(key))
    return f"its features were made with another {', '.join(keys)} than most samples; build the features again"


def _describe(
    shards: list[_Shard],
    excluded: list[dict[str, str]],
    samples: pd.DataFrame,
    encoders: dict[str, Any],
    profile: Profile,
    held_out_share: float,
) -> SnapshotRecord:
    flags = (*SUBSETS, "reference_outside", "has_motion")
    counts = {"clips": sum(shard.clips for shard in shards), **{name: int(samples[name].sum()) for name in flags}}
    in_buckets = samples["bucket"].value_counts()
    listed = [
        {"name": s.name, "features_sha256": s.features_sha256, "clips": s.clips, "samples": len(s.samples)}
        for s in shards
    ]
    predicates = predicates_of(profile.curation)
    made_of = [[(shard.name, shard.features_sha256) for shard in shards], predicates, encoders]
    values = {
        "digest": samples_digest(samples, made_of),
        "shards": listed,
        "excluded": excluded,
        "predicates": predicates,
        "counts": counts,
        "buckets": {name: int(in_buckets.get(name, 0)) for name in encoders["buckets"]},
        "encoders": encoders,
    }
    if held_out_share:
        values["held_out"] = {
            "share": held_out_share,
            "people": len(frozenset().union(*(shard.held_out.people for shard in shards))),
            "clips": sum(shard.held_out.clips for shard in shards),
            "samples": sum(shard.held_out.samples for shard in shards),
        }
    return SnapshotRecord(values)


def samples_digest(samples: pd.DataFrame, made_of: list[Any], rows: int = DIGEST_ROWS) -> str:
    """sha256 of the JSON of `[samples, *made_of]`, ids and flags of the samples, `rows` of it in memory at a time."""
    digest = hashlib.sha256(b"[[")
    for start in range(0, len(samples), rows):
        part = samples[["sample_id", *SUBSETS]].iloc[start : start + rows].to_dict("records")
        digest.update((", " if start else "").encode() + json.dumps(part, sort_keys=True)[1:-1].encode())
    digest.update(b"], " + json.dumps(made_of, sort_keys=True)[1:].encode())
    return digest.hexdigest()


def _card(snapshot: SnapshotRecord, samples: pd.DataFrame, profile: Profile) -> str:
    counts, video = snapshot.counts, profile.video
    seconds = samples["bucket"].map({video.name_of(b): b.frames / video.fps for b in video.all_buckets})
    minutes = {name: float(seconds[samples[name].astype(bool)].sum()) / 60 for name in SUBSETS}
    lines = [
        f"# Training snapshot {snapshot.digest[:12]}",
        "",
        f"{counts['clips']} clips in {len(snapshot.shards)} shards, profile `{profile.name}`, buckets "
        f"{', '.join(f'{name} ({count} samples)' for name, count in snapshot.buckets.items())}.",
        f"Of {counts['text']} samples, {counts['reference_outside']} have their reference from outside the window and "
        f"{counts['has_motion']} have motion frames before it.",
        *_held_out_line(snapshot),
        "",
        "| subset | samples | minutes | predicate (each subset also needs the ones above it) |",
        "| --- | ---: | ---: | --- |",
        *(f"| {n} | {counts[n]} | {minutes[n]:.1f} | `{snapshot.predicates[n]}` |" for n in SUBSETS),
        "",
        "## Shards",
        *(
            f"- {s['name']}: {s['samples']} samples of {s['clips']} clips, features sha256 {s['features_sha256'][:12]}"
            for s in snapshot.shards
        ),
        "",
        "## Excluded shards",
        *([f"- {entry['shard']}: {entry['reason']}" for entry in snapshot.excluded] or ["None."]),
        "",
        "## Encoders",
        *(f"- {key}: {value}" for key, value in sorted(snapshot.encoders.items())),
        "",
    ]
    return "\n".join(lines)


def _held_out_line(snapshot: SnapshotRecord) -> list[str]:
    held = snapshot.held_out
    if not held:
        return []
    return [
        f"{held['clips']} clips of {held['people']} people are held out as a benchmark ({held['share']:.3g} of all people) and not in it: "
        f"{held['samples']} samples."
    ]

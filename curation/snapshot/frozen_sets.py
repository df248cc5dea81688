"""Frozen test sets out of local copies: windows of real clips with everything that a model is given, disjoint from training.

Disjoint by content (sha256), by near-duplicate hash, and by identity. Overlap is refused, not passed over in silence. What lies in
a set's folder: `media.frozen_set`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pandas as pd

from curation.errors import CurationError
from curation.intake.clip_table import printable
from curation.intake.inbox import candidate_files, fingerprint
from curation.intake.inspect_file import Examined, Limits, examine, lost
from curation.intake.sidecar import Sidecar, read_sidecar
from curation.people.keypoints import KeypointDetector
from curation.snapshot.frozen_windows import SourceClip, Window, spread_windows, write_windows
from curation.snapshot.identities import KINDS, identity_by_name, why_not
from curation.snapshot.overlap import Training, find_overlap
from curation.workers import map_over_clips
from media import MediaError, whole_directory
from media.frozen_set import FrozenSample, FrozenSet, load_frozen_set, write_manifest
from profiles.schema import VideoConfig

Entry = TypeVar("Entry")
FEWEST = 2  # samples: sound of one is given to another to see what it is worth
LOOK_AHEAD = 64  # files that are decoded before it is asked whether there are enough


def build_test_set(
    local: Path,
    destination: Path,
    kind: str,
    video: VideoConfig,
    training: Training,
    detector: KeypointDetector | None = None,
    limit: int | None = None,
    exclude_overlap: bool = False,
    windows: int = 1,
) -> FrozenSet:
    """Freeze windows of a folder's clips as `destination/`, in the form of `media.frozen_set`.

    Args:
        local: the set's local copy; nothing in it is changed.
        destination: the test set's folder, made or replaced.
        kind: one of `KINDS`; says how files are named and who is in them.
        video: buckets, rate and sample rate.
        training: what it must not meet.
        detector: finds the pose of each sample; without it samples have none.
        limit: at most so many samples, as many people as possible; no more files are decoded than that takes.
        exclude_overlap: leave out files that meet training data instead of refusing.
        windows: at most so many of a clip, without overlap.

    Raises:
        CurationError: an unknown kind, overlap with training, or fewer than two samples.
    """
    if kind not in KINDS:
        raise CurationError(f"unknown kind of test set {kind!r}; choose one of {', '.join(KINDS)}")
    if not local.is_dir():
        raise CurationError(f"no folder {local}; give the local copy of the set")
    found = _look_through(local, kind, video, training, limit)
    if found.overlap and not exclude_overlap:
        shown = "; ".join(f"{name}: {why}" for name, why in list(found.overlap.items())[:5])
        raise CurationError(
            f"{len(found.overlap)} of {found.looked_at} files of {local} meet {training.name} ({shown}); take them out of the "
            "training data, or build with --exclude-overlap"
        )
    return freeze_set(
        list(found.clips.values()),
        destination,
        video,
        detector,
        found.skipped | found.overlap,
        {"kind": kind, "disjoint_from": training.name, "files": found.files, "files_looked_at": found.looked_at},
        limit=limit,
        windows=windows,
        place=str(local),
    )


def freeze_set(
    clips: Sequence[SourceClip],
    destination: Path,
    video: VideoConfig,
    detector: KeypointDetector | None,
    skipped: Mapping[str, str],
    record: Mapping[str, str | int | float],
    *,
    limit: int | None,
    windows: int,
    place: str,
    remedy: str = "give more clips, or take more windows of a long one (--windows)",
) -> FrozenSet:
    """Write the set of some clips, one clip at a time; one that cannot be decoded after all is left out with its reason.

    Args:
        clips: to choose windows of.
        destination: the set's folder, made or replaced.
        video: buckets and rates.
        detector: of the poses, or None.
        skipped: what was left out before, and why.
        record: `kind` and `disjoint_from`, and what else is to be recorded.
        limit: at most so many samples, as many people as possible.
        windows: at most so many of a clip.
        place, remedy: where the clips are from, and what to do about too few, for the error.

    Raises:
        CurationError: fewer than two samples are left.
    """
    left_out, samples = dict(skipped), list[FrozenSample]()
    with whole_directory(destination) as folder:
        for clip, chosen in _spread(clips, video, limit, windows):
            try:
                samples += write_windows(clip, chosen, folder, video, detector)
            except MediaError as error:
                left_out[clip.name] = f"{error.reason}: {error}"
                _remove(folder, chosen)
        if len(samples) < FEWEST:
            reasons = (
                "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:5]) or "there is no other clip"
            )
            raise CurationError(
                f"{len(samples)} samples are left of {place}, and a benchmark needs {FEWEST} or more ({reasons}); {remedy}"
            )
        write_manifest(
            folder,
            samples,
            {
                **record,
                "pose_detector": f"{detector.name} {detector.version}" if detector is not None else None,
                "skipped": dict(sorted((left_out | _without(samples, detector)).items())),
            },
        )
    return load_frozen_set(destination)


NO_SOUND = "it has none, or silence, or none up to the end of the window; such a sample is judged without sound"


def _without(samples: Sequence[FrozenSample], detector: KeypointDetector | None) -> dict[str, str]:
    """Clips whose samples lack something that was looked for, and why; of a clip of which only some windows do, which."""
    looked_for = {"audio": ("sound", NO_SOUND)}
    if detector is not None:
        nobody = f"{detector.name} finds nobody in it, so it has no pose; for people set `encoders.keypoints: mediapipe`, or a published detector's folder"
        looked_for["pose"] = ("pose", nobody)
    missing = {}
    for column, (what, why) in looked_for.items():
        for name in dict.fromkeys(sample.name for sample in samples if not getattr(sample, column)):
            of_clip = [sample for sample in samples if sample.name == name]
            without = [sample.sample_id for sample in of_clip if not getattr(sample, column)]
            which = "" if len(without) == len(of_clip) else f" in {', '.join(without)}"
            missing[f"{name}, its {what}{which}"] = why
    return missing


@dataclass
class _Looked:
    """What was found in a folder: usable clips by their files' sha256, and by name why others are not used, or meet training data."""

    clips: dict[str, SourceClip] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    overlap: dict[str, str] = field(default_factory=dict)
    files: int = 0
    looked_at: int = 0


def _look_through(local: Path, kind: str, video: VideoConfig, training: Training, limit: int | None) -> _Looked:
    """Decode a folder's files from end to end, one person's first clip after another's, until there are `limit` usable ones."""
    shortest = min(bucket.frames for bucket in video.all_buckets)
    limits = Limits(shortest / video.fps, video.fps, shortest, "none")
    names = {path: printable(path.relative_to(local)) for path in candidate_files(local)}
    seen = _Looked(files=len(names))
    seen.skipped = {name: why for name in names.values() if (why := why_not(kind, name))}
    order = _one_of_each([path for path in names if names[path] not in seen.skipped], names, kind)
    step = max(1, len(order) if limit is None else max(LOOK_AHEAD, limit))
    for start in range(0, len(order), step):
        fresh: dict[str, SourceClip] = {}
        for found in map_over_clips(examine, limits, order[start : start + step], lost=lost):
            name = names[found.path]
            if found.reason:
                seen.skipped[name] = f"{found.reason}: {found.message}"
            elif found.sha256 in seen.clips | fresh:
                seen.skipped[name] = f"duplicate: it is the same file as {(seen.clips | fresh)[found.sha256].name}"
            else:
                fresh[found.sha256] = _clip_of(found, name, kind)
        keys = ["name", "sha256", "phash", "identity"]
        met = find_overlap(pd.DataFrame([vars(clip) for clip in fresh.values()], columns=keys), training)
        seen.overlap |= met
        seen.clips |= {sha256: clip for sha256, clip in fresh.items() if clip.name not in met}
        seen.looked_at = min(start + step, len(order))
        if limit is not None and len(seen.clips) >= limit:
            break
    return seen


def _one_of_each(files: Sequence[Path], names: Mapping[Path, str], kind: str) -> list[Path]:
    """The files in an order that their content alone decides: one of each person, then a second of each."""
    order = sorted((fingerprint(path), path) for path in files)
    ranked = _by_rank(order, lambda entry: _identity(kind, names[entry[1]], read_sidecar(entry[1]), entry[0]))
    return [path for _, path in ranked]


def _identity(kind: str, name: str, sidecar: Sidecar, sha256: str) -> str:
    # Nobody named: each file is taken for a person of its own, and only content can tell it from training data.
    return sidecar.identity or identity_by_name(kind, name) or f"file:{sha256[:16]}"


def _clip_of(found: Examined, name: str, kind: str) -> SourceClip:
    assert found.probe is not None
    sidecar = read_sidecar(found.path)
    return SourceClip(
        clip_id=found.sha256[:16],
        name=name,
        sha256=found.sha256,
        phash=found.pieces[0].phash.hex(),
        identity=_identity(kind, name, sidecar, found.sha256),
        caption=sidecar.caption,
        width=found.probe.width,
        height=found.probe.height,
        seconds=found.probe.duration,
        has_audio=found.probe.has_audio,
        read=found.path.read_bytes,
    )


def _spread(
    clips: Sequence[SourceClip], video: VideoConfig, limit: int | None, most: int
) -> list[tuple[SourceClip, list[Window]]]:
    """One window of each person, then a second of each, in an order that the content alone decides; by clip."""
    windows = [
        (number, clip.clip_id, clip, window)
        for clip in clips
        for number, window in enumerate(spread_windows(clip, video, most))
    ]
    order = _by_rank(sorted(windows, key=lambda entry: entry[:2]), lambda entry: entry[2].identity)
    chosen: dict[str, tuple[SourceClip, list[Window]]] = {}
    for _, clip_id, clip, window in order[:limit]:
        chosen.setdefault(clip_id, (clip, []))[1].append(window)
    return list(chosen.values())


def _by_rank(order: Sequence[Entry], identity: Callable[[Entry], str]) -> list[Entry]:
    """The first of each identity, then the second of each, each time in the order given."""
    rank: dict[str, int] = {}
    ranked = []
    for entry in order:
        who = identity(entry)
        rank[who] = rank.get(who, -1) + 1
        ranked.append((rank[who], entry))
    return [entry for _, entry in sorted(ranked, key=lambda pair: pair[0])]


def _remove(folder: Path, windows: Sequence[Window]) -> None:
    for window in windows:
        for path in folder.glob(f"*/{window.sample_id}.*"):
            path.unlink()

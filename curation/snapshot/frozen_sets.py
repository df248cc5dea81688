"""Frozen test sets out of local copies: windows of real clips with everything that a model is given, disjoint from training.

Disjoint by content (sha256), by near-duplicate hash, and by identity. Overlap is refused, not passed over in silence. What lies in
a set's folder: `media.frozen_set`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from curation.errors import CurationError
from curation.intake.clip_table import printable
from curation.intake.inbox import candidate_files
from curation.intake.inspect_file import Examined, Limits, examine, lost
from curation.intake.sidecar import read_sidecar
from curation.people.keypoints import KeypointDetector
from curation.snapshot.frozen_windows import SourceClip, Window, choose_windows, write_windows
from curation.snapshot.identities import KINDS, identity_by_name, why_not
from curation.snapshot.overlap import Training, find_overlap
from curation.workers import map_over_clips
from media import MediaError, whole_directory
from media.frozen_set import FrozenSample, FrozenSet, load_frozen_set, write_manifest
from profiles.schema import VideoConfig

FEWEST = 2  # samples: sound of one is given to another to see what it is worth


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
        limit: at most so many samples, as many people as possible.
        exclude_overlap: leave out files that meet training data instead of refusing.
        windows: at most so many of a clip, without overlap.

    Raises:
        CurationError: an unknown kind, overlap with training, or fewer than two samples.
    """
    if kind not in KINDS:
        raise CurationError(f"unknown kind of test set {kind!r}; choose one of {', '.join(KINDS)}")
    if not local.is_dir():
        raise CurationError(f"no folder {local}; give the local copy of the set")
    clips, skipped = _clips_of(local, kind, video)
    overlap = find_overlap(pd.DataFrame([vars(clip) for clip in clips], columns=_KEYS), training)
    if overlap and not exclude_overlap:
        shown = "; ".join(f"{name}: {why}" for name, why in list(overlap.items())[:5])
        raise CurationError(
            f"{len(overlap)} of {len(clips)} files of {local} meet {training.name} ({shown}); take them out of the "
            "training data, or build with --exclude-overlap"
        )
    return freeze_set(
        [clip for clip in clips if clip.name not in overlap],
        destination,
        video,
        detector,
        skipped | overlap,
        {"kind": kind, "disjoint_from": training.name},
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
    record: Mapping[str, str | float],
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


_KEYS = ["name", "sha256", "phash", "identity"]


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


def _clips_of(local: Path, kind: str, video: VideoConfig) -> tuple[list[SourceClip], dict[str, str]]:
    shortest = min(bucket.frames for bucket in video.all_buckets)
    limits = Limits(shortest / video.fps, video.fps, shortest, "none")
    files, skipped = {}, {}
    for path in candidate_files(local):
        name = printable(path.relative_to(local))
        if problem := why_not(kind, name):
            skipped[name] = problem
        else:
            files[path] = name
    usable: dict[str, SourceClip] = {}
    for found in map_over_clips(examine, limits, list(files), lost=lost):
        name = files[found.path]
        if found.reason:
            skipped[name] = f"{found.reason}: {found.message}"
        elif found.sha256 in usable:
            skipped[name] = f"duplicate: it is the same file as {usable[found.sha256].name}"
        else:
            usable[found.sha256] = _clip_of(found, name, kind)
    return list(usable.values()), skipped


def _clip_of(found: Examined, name: str, kind: str) -> SourceClip:
    assert found.probe is not None
    sidecar = read_sidecar(found.path)
    return SourceClip(
        clip_id=found.sha256[:16],
        name=name,
        sha256=found.sha256,
        phash=found.pieces[0].phash.hex(),
        # Nobody named: each file is taken for a person of its own, and only content can tell it from training data.
        identity=sidecar.identity or identity_by_name(kind, name) or f"file:{found.sha256[:16]}",
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
    order: list[tuple[int, str, SourceClip, Window]] = []
    for clip in clips:
        order += [
            (number, clip.clip_id, clip, window) for number, window in enumerate(choose_windows(clip, video, most))
        ]
    rank: dict[str, int] = {}
    ranked = []
    for entry in sorted(order, key=lambda entry: entry[:2]):
        identity = entry[2].identity
        rank[identity] = rank.get(identity, -1) + 1
        ranked.append((rank[identity], *entry))
    chosen: dict[str, tuple[SourceClip, list[Window]]] = {}
    for *_, clip, window in sorted(ranked, key=lambda entry: entry[:3])[:limit]:
        chosen.setdefault(clip.clip_id, (clip, []))[1].append(window)
    return list(chosen.values())


def _remove(folder: Path, windows: Sequence[Window]) -> None:
    for window in windows:
        for path in folder.glob(f"*/{window.sample_id}.*"):
            path.unlink()

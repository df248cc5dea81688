"""`omnihuman testset build`: a frozen test set out of a local copy, out of the packaged real clips, or of the workspace's held-out people."""

from pathlib import Path

from assets.core.workspace import Workspace
from curation.errors import CurationError
from curation.people.keypoints import KeypointDetector
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.held_out_people import build_held_out_set
from curation.snapshot.overlap import training_content
from curation.snapshot.packaged_set import WINDOWS, build_packaged_set
from curation.snapshot.withdrawals import read_tombstones
from media.frozen_set import HELD_OUT, FrozenSet
from media.records import SnapshotRecord
from media.user_error import UserError
from profiles.judging import PACKAGED


def build(
    workspace: Workspace,
    kind: str,
    local: Path | None,
    name: str | None,
    limit: int | None,
    exclude: bool,
    pose: bool,
    windows: int | None,
) -> FrozenSet:
    """Build `data/test_sets/NAME`, disjoint from the training snapshot.

    Raises:
        CurationError: no local copy, packaged clips that cannot be fetched, or overlap with training.
    """
    video = workspace.profile.video
    if kind == HELD_OUT:
        return _build_held_out(workspace, name or kind, limit, pose, windows or 1)
    training = training_content(workspace.data("raw_clips"), workspace.data("training_snapshot"))
    detector = _detector(workspace, pose)
    destination = workspace.data("test_sets") / (name or kind)
    if kind != PACKAGED:
        if local is None:
            raise CurationError(f"a test set of kind {kind} needs the folder of its local copy")
        return build_test_set(local, destination, kind, video, training, detector, limit, exclude, windows or 1)
    return build_packaged_set(destination, video, training, detector, limit, exclude, windows or WINDOWS)


def _build_held_out(workspace: Workspace, name: str, limit: int | None, pose: bool, windows: int) -> FrozenSet:
    share = workspace.profile.evaluation.held_out_people
    snapshot = SnapshotRecord.read_if_there(workspace.data("training_snapshot"))
    left_out = share if snapshot is None else float(snapshot.held_out.get("share", 0.0))
    if not share or left_out < share:
        raise CurationError(
            f"{workspace.data('training_snapshot')} leaves out {left_out:.3g} of all people, and the set would take {share:.3g}: "
            "set evaluation.held_out_people in the profile and materialise training_snapshot before anything is trained"
        )
    return build_held_out_set(
        workspace.data("raw_clips"),
        workspace.data("filtered_subsets"),
        workspace.data("test_sets") / name,
        workspace.profile.video,
        share,
        _detector(workspace, pose),
        limit,
        windows=windows,
        tombstones=read_tombstones(workspace.tombstones),
    )


def _detector(workspace: Workspace, pose: bool) -> KeypointDetector | None:
    from assets.kinds.detectors import keypoint_detector

    try:
        return keypoint_detector(workspace.profile) if pose else None
    except UserError as error:
        raise CurationError(f"{error}; --no-pose builds a set without poses") from error

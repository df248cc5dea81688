"""`omnihuman testset build`: a frozen test set out of a local copy, or out of the packaged real clips."""

import tempfile
from pathlib import Path

from assets.core.workspace import Workspace
from curation.errors import CurationError
from curation.intake.real_clips import BENCHMARK_CLIPS, fetch_real_clips
from curation.snapshot.frozen_sets import TestSet, build_test_set, training_content

PACKAGED = "packaged"


def build(
    workspace: Workspace, kind: str, local: Path | None, name: str | None, limit: int | None, exclude: bool, pose: bool
) -> TestSet:
    """Build `data/test_sets/NAME`, disjoint from the training snapshot.

    Raises:
        CurationError: no local copy, packaged clips that cannot be fetched, or overlap with training.
    """
    from assets.kinds.detectors import keypoint_detector

    profile = workspace.profile
    training = training_content(workspace.data("raw_clips"), workspace.data("training_snapshot"))
    detector = keypoint_detector(profile) if pose else None
    destination = workspace.data("test_sets") / (name or kind)
    if kind != PACKAGED:
        if local is None:
            raise CurationError(f"a test set of kind {kind} needs the folder of its local copy")
        return build_test_set(local, destination, kind, profile.video, training, detector, limit, exclude)
    with tempfile.TemporaryDirectory() as folder:
        fetched = fetch_real_clips(Path(folder), BENCHMARK_CLIPS)
        if not fetched.paths:
            raise CurationError(f"no packaged clip could be had ({fetched.note}); check the network")
        return build_test_set(Path(folder), destination, kind, profile.video, training, detector, limit, exclude)

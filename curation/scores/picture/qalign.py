"""Q-Align's columns: quality and aesthetics of a clip's pictures, by the network that evaluation calls IQA and ASE (Wu et al. 2023)."""

from pathlib import Path
from typing import TYPE_CHECKING

from curation.errors import CurationError
from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, digest, floats
from curation.weights import kept, weights_version
from profiles.scores import QAlignConfig

if TYPE_CHECKING:
    from networks.qalign import QAlign

COLUMNS = ("qalign_quality", "qalign_aesthetics")


def _error(error: Exception) -> CurationError:
    return CurationError(f"curation.scores.qalign.weights: {error}, or set it to null")


@kept
def _network(folder: str, device: str) -> "QAlign":
    from networks.qalign import QAlign
    from networks.weights import NetworkError

    try:
        return QAlign(Path(folder), device)
    except NetworkError as error:
        raise _error(error) from error


def version(config: QAlignConfig) -> str:
    """16 hex over weights, configuration, tokenizer and preprocessing.

    Raises:
        CurationError: the folder holds no weights.
    """
    from networks.qalign import weight_files
    from networks.weights import NetworkError

    folder = Path(config.weights)
    try:
        files = [*weight_files(folder), *sorted(folder.glob("*.json"))]
    except NetworkError as error:
        raise _error(error) from error
    return digest({file.name: weights_version(file) for file in files})


def score(material: Material, config: QAlignConfig) -> Values:
    """Both columns, 1 (bad) to 5 (excellent): the mean over the pictures at the source's size.

    Raises:
        CurationError: no weights, or other ones.
    """
    levels = _network(config.weights, version(config), material.bench.device).levels(material.native)
    return dict(zip(COLUMNS, levels.mean(axis=0).tolist(), strict=True))


QALIGN = Score("qalign", "1", floats(*COLUMNS), ("native",), score, version)

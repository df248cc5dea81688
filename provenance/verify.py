"""`omnihuman verify` and the page's drop-zone: what each layer says of a file. Needs neither a model nor torch."""

from collections.abc import Sequence
from pathlib import Path

from provenance.certificates import anchors, own_certificates
from provenance.outcomes import FileVerdict
from provenance.settings import read_settings
from provenance.signature import Trust, read_signature
from provenance.watermark.read import read_watermark


def whom_we_trust(certificate: Path | None = None) -> Trust:
    """Signatures that are ours: this machine's and `$OMNIHUMAN_TRUSTED`, or those of one certificate alone. Nothing is made.

    Raises:
        ProvenanceError: a file that is named holds no certificate.
    """
    if certificate is not None:
        return Trust.in_file(certificate)
    settings = read_settings()
    return Trust(tuple(own_certificates(settings)), anchors(settings))


def verify_files(paths: Sequence[Path], certificate: Path | None = None) -> list[FileVerdict]:
    """What is to be said of each file, in order.

    Raises:
        OSError: a file cannot be read.
        ProvenanceError: as `whom_we_trust`.
    """
    trust = whom_we_trust(certificate)
    return [FileVerdict(path, (read_signature(path, trust), read_watermark(path))) for path in paths]

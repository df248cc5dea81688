"""`omnihuman verify` and the page's drop-zone: what each layer says of a file. Needs neither a model nor torch."""

from collections.abc import Sequence
from pathlib import Path

from provenance.certificates import anchors, own_certificates
from provenance.outcomes import FileVerdict
from provenance.settings import ProvenanceError, read_settings
from provenance.signature import Trust, read_signature
from provenance.watermark.backend import marks_looked_for
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
        ProvenanceError: one is not there or is a folder, the network that a setting names cannot be used, or as `whom_we_trust`.
    """
    for path in paths:
        if path.is_dir():
            raise ProvenanceError(f"{path} is a folder; name its files, such as {path / '*.png'}")
        if not path.exists():
            raise ProvenanceError(f"there is no file {path}; name one that is there")
    trust, marks = whom_we_trust(certificate), marks_looked_for(read_settings())
    return [FileVerdict(path, (read_signature(path, trust), read_watermark(path, marks))) for path in paths]

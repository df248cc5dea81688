"""`omnihuman verify` and the page's drop-zone: what each layer says of a file. Needs neither a model nor torch."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from media.user_error import UserError
from provenance.certificates import anchors, own_certificates
from provenance.outcomes import FileVerdict, Unread
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
        ProvenanceError: one is not there, is no file or cannot be read, the network that a setting names cannot be used, or as `whom_we_trust`.
    """
    verdicts = []
    for answer in verify_each(paths, certificate):
        if isinstance(answer, Unread):
            raise ProvenanceError(answer.error)
        verdicts.append(answer)
    return verdicts


def verify_each(paths: Sequence[Path], certificate: Path | None = None) -> Iterator[FileVerdict | Unread]:
    """The same file by file; one that cannot be read does not keep the others from their answers.

    Raises:
        ProvenanceError: the network that a setting names cannot be used, or as `whom_we_trust`.
    """
    trust, marks = whom_we_trust(certificate), marks_looked_for(read_settings())
    for path in paths:
        try:
            _refuse_what_is_no_file(path)
            yield FileVerdict(path, (read_signature(path, trust), read_watermark(path, marks)))
        except UserError as error:
            yield Unread(path, str(error))
        except OSError as error:
            yield Unread(
                path, f"{path} cannot be read ({error.strerror or error}); look at its permissions and its disk"
            )


def _refuse_what_is_no_file(path: Path) -> None:
    if path.is_dir():
        raise ProvenanceError(f"{path} is a folder; name its files, such as {path / '*.png'}")
    if not path.exists():
        raise ProvenanceError(f"there is no file {path}; name one that is there")
    if not path.is_file():
        raise ProvenanceError(f"{path} is a pipe or a device, which cannot be read twice; write it to a file first")

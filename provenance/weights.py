"""Folders of weights, signed and verified by OpenSSF's `model-signing`; one changed, missing or added file is told by name.

Beside the weights lie `model.sig`, the library's bundle, and `registration.json`, which the bundle covers as any file: what the tags of the version say.
With a key that the library does not sign with (RSA, Ed25519), and in versions of before, it is `signature.json` (`provenance/signed_list.py`).
"""

import json
import logging
import os
import tempfile
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path

from provenance import signed_list
from provenance.certificates import Credentials, common_name, own_certificates
from provenance.settings import SigningSettings
from provenance.signed_list import SignedFolder, TamperedFiles

logger = logging.getLogger(__name__)
BUNDLE, REGISTRATION = "model.sig", "registration.json"
KIND = "omnihuman.registration.v1"
REMEDY = "bring the files back from a backup or the DVC remote, or register the model anew"


def sign_folder(folder: Path, about: Mapping[str, str], credentials: Credentials) -> dict[str, bytes]:
    """Files to be put beside those of `folder`, by name, the signature first.

    Args:
        folder: it may have folders.
        about: what else is said, such as the digest of the snapshot.
        credentials: who says it.

    Raises:
        TamperedFiles: the folder has something in it that is no file, or the key is none that `model-signing` signs with and it has a bundle of an earlier registration.
    """
    from provenance.openssf import can_sign, sign

    if not can_sign(credentials):
        return _sign_by_list(folder, about, credentials)
    said = {"kind": KIND, "time": datetime.now(UTC).isoformat(timespec="seconds"), "about": dict(sorted(about.items()))}
    registration = json.dumps(said, indent=1).encode()
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / REGISTRATION).write_bytes(registration)
        files = files_of(folder, (BUNDLE, REGISTRATION))
        bundle = sign(folder, files.values(), Path(place), credentials)
    return {BUNDLE: bundle, REGISTRATION: registration}


def files_of(folder: Path, without: Collection[str] = ()) -> dict[str, Path]:
    """Every file of a folder, by its name in it; what links to folders hold is in it too, since whoever loads or copies the folder follows them.

    Args:
        folder: of weights.
        without: names that are left out.

    Raises:
        TamperedFiles: something that is neither file nor folder, a link to a folder that it lies in itself, a name that is no UTF-8.
    """
    found: dict[str, Path] = {}
    for above, folders, names in os.walk(folder, followlinks=True, onerror=_refuse_unreadable):
        place = Path(above)
        loops = [place / name for name in folders if place.resolve().is_relative_to((place / name).resolve())]
        for path in [*loops, *(place / name for name in names)]:
            name = path.relative_to(folder).as_posix()
            if path in loops or not path.is_file():
                kind = "a link to a folder that it lies in itself" if path in loops else "neither a file nor a folder"
                raise TamperedFiles(f"{path} is {kind}, so nothing can be signed of it; remove it, or {REMEDY}")
            if _not_utf8(name):
                raise TamperedFiles(f"{name!r} in {folder} is a name that is no UTF-8; rename it, or {REMEDY}")
            if name not in without:
                found[name] = path
    return dict(sorted(found.items()))


def statement_of(folder: Path) -> Path | None:
    """The file that signs a folder; None where nothing does."""
    return next((folder / name for name in (BUNDLE, signed_list.FILE) if (folder / name).is_file()), None)


def verify_folder(folder: Path, settings: SigningSettings) -> SignedFolder:
    """Compare a folder of weights with its signature, and the signer with who may sign.

    Where a certificate is named in the settings, it and those of `$OMNIHUMAN_TRUSTED` alone are taken, an authority there for all that it issued.
    Without one the development certificate of another machine is taken with a warning: nobody vouches for it, but the files are those that it signed.

    Raises:
        TamperedFiles: a file that was changed, added or is gone; a signature that is none, does not fit, or is of a stranger.
    """
    bundle = statement_of(folder)
    if bundle is None:
        raise TamperedFiles(
            f"{folder} is not signed: it has neither {BUNDLE} nor, of before, {signed_list.FILE}; {REMEDY}"
        )
    files = files_of(folder, (bundle.name,))
    if bundle.name == signed_list.FILE:
        return signed_list.verify_signed_files(files, str(folder), bundle, settings, REMEDY)
    from provenance.openssf import NO_BUNDLE, BadSignature, Mismatch, UnknownSigner, signed_hashes, signer_of, verify

    try:
        signer = signer_of(bundle)
        trusted = own_certificates(settings)
        if signer not in trusted and signed_list.is_anothers_development(signer, str(folder), settings):
            trusted = [signer]
        verify(folder, files.values(), bundle, trusted)
        said = json.loads((folder / REGISTRATION).read_bytes())
        return SignedFolder(common_name(signer), str(said["time"]), dict(said["about"]), signed_hashes(bundle))
    except UnknownSigner as error:
        raise TamperedFiles(signed_list.stranger(signer, str(folder))) from error
    except BadSignature as error:
        raise TamperedFiles(f"{bundle} was changed after it was signed; {REMEDY}") from error
    except Mismatch as error:
        signed_list.compare(signed_hashes(bundle), signed_list.hashes_of(files), str(folder), REMEDY)
        raise TamperedFiles(f"{folder} is not as it was signed: {error}; {REMEDY}") from error
    except OSError as error:
        raise TamperedFiles(f"{error.filename or folder} cannot be read ({error.strerror}); {REMEDY}") from error
    except NO_BUNDLE as error:
        raise TamperedFiles(f"{bundle} is no signature by a certificate of ours ({error!r}); {REMEDY}") from error


def _sign_by_list(folder: Path, about: Mapping[str, str], credentials: Credentials) -> dict[str, bytes]:
    logger.warning(
        f"OpenSSF's model-signing signs with keys on the curves P-256, P-384 and P-521, and that of {credentials.source} is none "
        f"({credentials.algorithm}): the version is signed by a list of our own, {signed_list.FILE}, which its command does not read"
    )
    if (folder / BUNDLE).is_file():
        raise TamperedFiles(f"{folder / BUNDLE} is of an earlier registration; remove it, and register again")
    files = files_of(folder, (signed_list.FILE,))
    return {signed_list.FILE: signed_list.sign_files(files, about, credentials)}


def _not_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return True
    return False


def _refuse_unreadable(error: OSError) -> None:
    raise TamperedFiles(f"{error.filename} cannot be read ({error.strerror}); {REMEDY}") from error

"""A folder of weights with a signed list of its files: one changed, missing or added byte is told by name before anything is loaded."""

import base64
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from media import sha256_of_file
from provenance.certificates import Credentials, common_name, is_development, own_certificates
from provenance.settings import TRUSTED, ProvenanceError, SigningSettings

logger = logging.getLogger(__name__)
FILE = "signature.json"
KIND = "omnihuman.signed_folder.v1"
REMEDY = "bring the files back from a backup or the DVC remote, or register the model anew"
# As C2PA pairs curves and hashes (technical specification 2.2, section 13.2).
HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}


class TamperedWeights(ProvenanceError):
    """Files that are not those that were signed, or that somebody else signed; the message names them."""


@dataclass(frozen=True)
class SignedFolder:
    """What `verify_folder` found: the signer's name, when, and what was said of the folder."""

    signer: str
    time: str
    about: Mapping[str, str]


def sign_folder(folder: Path, about: Mapping[str, str], credentials: Credentials) -> bytes:
    """A statement over every file of `folder`, to be kept in it as `FILE`.

    Args:
        folder: it may have folders.
        about: what else is said, such as the digest of the snapshot.
        credentials: who says it.
    """
    payload = {
        "kind": KIND,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "about": dict(sorted(about.items())),
        "files": _hashes(folder),
    }
    signed = _canonical(payload)
    statement = {
        "payload": payload,
        "certificates": credentials.chain.decode(),
        "signature": base64.b64encode(_sign(credentials, signed)).decode(),
    }
    return json.dumps(statement, indent=1).encode()


def verify_folder(folder: Path, settings: SigningSettings) -> SignedFolder:
    """Compare the folder with its statement, and the statement with who may sign.

    Where a certificate is named in the settings, it and those of `$OMNIHUMAN_TRUSTED` alone are taken. Without one the development certificate
    of another machine is taken with a warning: nobody vouches for it, but the files are those that it signed.

    Raises:
        TamperedWeights: a file that was changed, added or is gone; a statement that is none, does not fit its signature, or is of a stranger.
    """
    try:
        statement = json.loads((folder / FILE).read_bytes())
        payload, signature = statement["payload"], base64.b64decode(statement["signature"])
        signer = x509.load_pem_x509_certificates(statement["certificates"].encode())[0]
        files, about, time = dict(payload["files"]), dict(payload["about"]), str(payload["time"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TamperedWeights(f"{folder / FILE} is no signed list of files ({error!r}); {REMEDY}") from error
    try:
        _check(signer, signature, _canonical(payload))
    except InvalidSignature as error:
        raise TamperedWeights(f"{folder / FILE} was changed after it was signed; {REMEDY}") from error
    _check_signer(signer, folder, settings)
    _compare(files, _hashes(folder), folder)
    return SignedFolder(common_name(signer), time, about)


def _hashes(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder) != Path(FILE))
    return {path.relative_to(folder).as_posix(): sha256_of_file(path) for path in paths}


def _canonical(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _compare(signed: Mapping[str, str], present: Mapping[str, str], folder: Path) -> None:
    for name in sorted(signed.keys() | present.keys()):
        if name not in present:
            raise TamperedWeights(f"{folder / name} was signed and is gone; {REMEDY}")
        if name not in signed:
            raise TamperedWeights(
                f"{folder / name} was added after the folder was signed; remove it, or register the model anew"
            )
        if signed[name] != present[name]:
            raise TamperedWeights(f"{folder / name} is not the file that was signed: its bytes were changed; {REMEDY}")


def _check_signer(signer: x509.Certificate, folder: Path, settings: SigningSettings) -> None:
    if signer in own_certificates(settings):
        return
    name = common_name(signer) or "somebody"
    if settings.certificate is None and settings.trusted is None and is_development(signer):
        logger.warning(
            f"{folder} was signed by the development certificate of another machine, for which nobody vouches; its files are as it signed them"
        )
        return
    raise TamperedWeights(
        f"{folder} was signed by {name}, whose certificate is none of ours; name it by {TRUSTED} if it should be"
    )


def _sign(credentials: Credentials, data: bytes) -> bytes:
    key = credentials.key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(data, ec.ECDSA(HASHES[key.curve.name]()))
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, _pss(), hashes.SHA256())
    return key.sign(data)


def _check(certificate: x509.Certificate, signature: bytes, data: bytes) -> None:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in HASHES:
        key.verify(signature, data, ec.ECDSA(HASHES[key.curve.name]()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, _pss(), hashes.SHA256())
    elif isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, data)
    else:
        raise InvalidSignature


def _pss() -> padding.PSS:
    return padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)

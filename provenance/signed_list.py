"""A signed list of files, kept beside what must not change, or of before in a folder of weights: one changed, missing or added byte is told by name."""

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
# As C2PA pairs curves and hashes (technical specification 2.2, section 13.2).
HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "secp256r1": hashes.SHA256,
    "secp384r1": hashes.SHA384,
    "secp521r1": hashes.SHA512,
}


class TamperedFiles(ProvenanceError):
    """Files that are not those that were signed, or that somebody else signed; the message names them."""


@dataclass(frozen=True)
class SignedFolder:
    """What was found: the signer's name, when, what was said of the files, and the sha256 of each, which they have."""

    signer: str
    time: str
    about: Mapping[str, str]
    files: Mapping[str, str]


def sign_files(files: Mapping[str, Path], about: Mapping[str, str], credentials: Credentials) -> bytes:
    """A statement over files, to be kept as `FILE`.

    Args:
        files: by their names, wherever they lie.
        about: what else is said, such as the digest of the snapshot.
        credentials: who says it.
    """
    payload = {
        "kind": KIND,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "about": dict(sorted(about.items())),
        "files": hashes_of(files),
    }
    signed = _canonical(payload)
    statement = {
        "payload": payload,
        "certificates": credentials.chain.decode(),
        "signature": base64.b64encode(_sign(credentials, signed)).decode(),
    }
    return json.dumps(statement, indent=1).encode()


def verify_signed_files(
    files: Mapping[str, Path], place: str, statement: Path, settings: SigningSettings, remedy: str
) -> SignedFolder:
    """Compare files with their statement, and the statement with who may sign.

    Where a certificate is named in the settings, it and those of `$OMNIHUMAN_TRUSTED` alone are taken. Without one the development certificate
    of another machine is taken with a warning: nobody vouches for it, but the files are those that it signed.

    Args:
        files: by the names that were signed.
        place: of the files, for messages.
        statement: the file of `sign_files`.
        settings: who may sign.
        remedy: what to do where something does not fit.

    Raises:
        TamperedFiles: a file that was changed, added or is gone; a statement that is none, does not fit its signature, or is of a stranger.
    """
    try:
        said = json.loads(statement.read_bytes())
        payload, signature = said["payload"], base64.b64decode(said["signature"])
        signer = x509.load_pem_x509_certificates(said["certificates"].encode())[0]
        signed, about, time = dict(payload["files"]), dict(payload["about"]), str(payload["time"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TamperedFiles(f"{statement} is no signed list of files ({error!r}); {remedy}") from error
    try:
        _check(signer, signature, _canonical(payload))
    except InvalidSignature as error:
        raise TamperedFiles(f"{statement} was changed after it was signed; {remedy}") from error
    refuse_strangers(signer, place, settings)
    compare(signed, hashes_of(files), place, remedy)
    return SignedFolder(common_name(signer), time, about, signed)


def hashes_of(files: Mapping[str, Path]) -> dict[str, str]:
    """The sha256 of each file, by its name."""
    return {name: sha256_of_file(path) for name, path in files.items()}


def compare(signed: Mapping[str, str], present: Mapping[str, str], place: str, remedy: str) -> None:
    """Name the first file whose sha256 is not the signed one. Raises TamperedFiles."""
    for name in sorted(signed.keys() | present.keys()):
        if name not in present:
            raise TamperedFiles(f"{place}/{name} was signed and is gone; {remedy}")
        if name not in signed:
            raise TamperedFiles(f"{place}/{name} was added after the others were signed; remove it, or {remedy}")
        if signed[name] != present[name]:
            raise TamperedFiles(f"{place}/{name} is not the file that was signed: its bytes were changed; {remedy}")


def refuse_strangers(signer: x509.Certificate, place: str, settings: SigningSettings) -> None:
    """Take our certificates, and where none is named another machine's development certificate with a warning. Raises TamperedFiles."""
    if signer not in own_certificates(settings) and not is_anothers_development(signer, place, settings):
        raise TamperedFiles(stranger(signer, place))


def is_anothers_development(signer: x509.Certificate, place: str, settings: SigningSettings) -> bool:
    """Whether it is another machine's development certificate and no setting names whose are taken; said as a warning."""
    if settings.certificate is not None or settings.trusted is not None or not is_development(signer):
        return False
    logger.warning(
        f"{place} was signed by the development certificate of another machine, for which nobody vouches; its files are as it signed them"
    )
    return True


def stranger(signer: x509.Certificate, place: str) -> str:
    """What is said of a signer whom nothing names."""
    name = common_name(signer) or "somebody"
    return f"{place} was signed by {name}, whose certificate is none of ours; name it by {TRUSTED} if it should be"


def _canonical(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


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

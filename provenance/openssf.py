"""Signatures of folders in the form of OpenSSF's Model Signing, made and verified by its library, `model-signing`.

Imported where weights are signed or verified and nowhere else: it takes 0.8 s.
"""

import base64
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, manifest, signing, verifying
from OpenSSL.crypto import X509StoreContextError, X509StoreFlags

from provenance.certificates import PEM, Credentials

# What the library raises of a bundle that is none, or is signed in another way than it verifies by a certificate.
NO_BUNDLE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    RecursionError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
)


class Mismatch(Exception):
    """The signature is good and the files are not those that were signed."""


class BadSignature(Exception):
    """What is signed is not what the signature was made over."""


class UnknownSigner(Exception):
    """No certificate that is trusted leads to the signer's."""


class _Listed(hashing.Config):
    """Hashes these files of a folder; by itself the library passes over what a link to a folder holds."""

    def __init__(self, files: Iterable[Path]):
        super().__init__()
        self.set_allow_symlinks(True)  # DVC may link what it keeps; what is registered are copies
        self._files = list(files)

    def hash(
        self, model_path: hashing.PathLike, *, files_to_hash: Iterable[hashing.PathLike] | None = None
    ) -> manifest.Manifest:
        # Here, since before it verifies the library adds the paths that a bundle says to be ignored.
        self.set_ignored_paths(paths=[], ignore_git_paths=False)
        return super().hash(model_path, files_to_hash=self._files)


class _WithMore(_Listed):
    """Hashes them as if the files of `more` lay in the folder too."""

    def __init__(self, files: Iterable[Path], more: Path):
        super().__init__(files)
        self._more = more

    def hash(
        self, model_path: hashing.PathLike, *, files_to_hash: Iterable[hashing.PathLike] | None = None
    ) -> manifest.Manifest:
        parts = [super().hash(model_path), _Listed(self._more.iterdir()).hash(self._more)]
        items = [
            manifest.FileManifestItem(path=PurePosixPath(one.identifier), digest=one.digest)
            for part in parts
            for one in part.resource_descriptors()
        ]
        return manifest.Manifest(
            parts[0].model_name, items, manifest.SerializationType.from_args(parts[1].serialization_type)
        )


def can_sign(credentials: Credentials) -> bool:
    """The library signs with elliptic curves of NIST and with nothing else that C2PA knows."""
    return isinstance(credentials.key, ec.EllipticCurvePrivateKey)


def sign(folder: Path, files: Iterable[Path], more: Path, credentials: Credentials) -> bytes:
    """A Sigstore bundle over these files of `folder` and every one of `more`, by the method "certificate".

    Args:
        folder: of weights.
        files: under it, by paths that begin with `folder`.
        more: a folder of what is to be put beside them.
        credentials: of a kind that `can_sign`.
    """
    with tempfile.TemporaryDirectory() as place:
        above, bundle = Path(place) / "chain.pem", Path(place) / "bundle"
        chain = x509.load_pem_x509_certificates(credentials.chain)
        # The library reads at least one: of a certificate that nobody stands above, itself.
        above.write_bytes(b"".join(one.public_bytes(PEM) for one in chain[1:] or chain))
        config = signing.Config().use_certificate_signer(
            private_key=credentials.key_source,
            signing_certificate=credentials.source,
            certificate_chain=[above],
        )
        config.set_hashing_config(_WithMore(files, more)).sign(folder, bundle)
        return bundle.read_bytes()


def signer_of(bundle: Path) -> x509.Certificate:
    """Who says to have signed. Raises one of `NO_BUNDLE`."""
    material = json.loads(bundle.read_bytes())["verificationMaterial"]
    raw = material["x509CertificateChain"]["certificates"][0]["rawBytes"]
    return x509.load_der_x509_certificate(base64.b64decode(raw))


def signed_hashes(bundle: Path) -> dict[str, str]:
    """The sha256 that the bundle has of each file; believed by who verified it before. Raises one of `NO_BUNDLE`."""
    payload = json.loads(base64.b64decode(json.loads(bundle.read_bytes())["dsseEnvelope"]["payload"]))
    return {str(one["name"]): str(one["digest"]) for one in payload["predicate"]["resources"]}


def verify(folder: Path, files: Iterable[Path], bundle: Path, trusted: Iterable[x509.Certificate]) -> None:
    """Ask the library whether the folder is as it was signed.

    Args:
        folder: of weights.
        files: all under it but the bundle, by paths that begin with `folder`.
        bundle: the signature.
        trusted: certificates that sign, or authorities; each is believed by itself, whoever issued it.

    Raises:
        Mismatch, BadSignature, UnknownSigner: as they say.
        OSError: a file cannot be read.
        Exception: one of `NO_BUNDLE`, of what is no bundle.
    """
    pems = b"".join(one.public_bytes(PEM) for one in trusted)
    if not pems:  # the library would ask the certificates that come with certifi
        raise UnknownSigner("no certificate is trusted")
    with tempfile.TemporaryDirectory() as place:
        roots = Path(place) / "trusted.pem"
        roots.write_bytes(pems)
        config = verifying.Config().use_certificate_verifier(certificate_chain=[roots])
    # Without it the library asks for the whole chain up to a root, also of a certificate that is named as trusted; it has no setting of its own for that.
    verifier: Any = config._verifier
    verifier._store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
    config.set_hashing_config(_Listed(files))
    try:
        config.verify(folder, bundle)
    except X509StoreContextError as error:
        raise UnknownSigner(str(error)) from error
    except InvalidSignature as error:
        raise BadSignature(str(error)) from error
    except ValueError as error:
        if str(error).startswith("Signature mismatch"):
            raise Mismatch(str(error)) from error
        raise

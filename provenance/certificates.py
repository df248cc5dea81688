"""Certificate and key that sign: the operator's own by path, or a development certificate that is made on first use."""

import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from media import write_atomically
from media.access import others_may_read
from provenance.settings import CERTIFICATE, KEY, ProvenanceError, SigningSettings

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
DEVELOPMENT = "OmniHuman pipeline, development certificate"
DEVELOPMENT_FILE, PUBLIC_FILE = "development.pem", "certificate.pem"
WEIGHTS_FILE = "development-weights.pem"  # OpenSSF's model-signing signs with no Ed25519 key
YEARS = 10  # of the development certificate: without time stamps, what it signed can be checked for that long
# C2PA technical specification 2.2, section 13.2: allowed signature algorithms, by curve.
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Credentials:
    """What signs.

    Attributes:
        chain: certificates in PEM, the signing one first.
        key_pem: its private key, PKCS #8 in PEM.
        algorithm: as C2PA names it, such as `es256`.
        key: the private key.
        certificate: the signing one.
        source: file of the certificate.
        key_source: file of the key.
    """

    chain: bytes
    key_pem: bytes
    algorithm: str
    key: PrivateKey
    certificate: x509.Certificate
    source: Path
    key_source: Path

    @property
    def development(self) -> bool:
        """Whether nobody but this machine vouches for it."""
        return is_development(self.certificate)


def load_credentials(settings: SigningSettings) -> Credentials:
    """Read the certificate and key of `settings`; the development certificate is made where there is none yet.

    Raises:
        ProvenanceError: they cannot be read, do not go together, are not valid today or not of C2PA's profile, or others may read the key.
    """
    if settings.certificate is not None and settings.key is not None:
        certificate, key = settings.certificate, settings.key
    else:
        certificate = key = settings.folder / DEVELOPMENT_FILE
        if not certificate.is_file():
            _make_development(settings.folder)
    return _read_valid(certificate, key)


def load_weights_credentials(settings: SigningSettings) -> Credentials:
    """Those of `load_credentials` where they are of an elliptic curve of NIST or are the operator's own; else a second development certificate of one.

    Raises:
        ProvenanceError: as `load_credentials`.
    """
    exports = load_credentials(settings)
    if settings.certificate is not None or isinstance(exports.key, ec.EllipticCurvePrivateKey):
        return exports
    file = settings.folder / WEIGHTS_FILE
    if not file.is_file():
        _make_development(settings.folder, WEIGHTS_FILE)
    return _read_valid(file, file)


def own_certificates(settings: SigningSettings) -> list[x509.Certificate]:
    """What counts as ours: each signing certificate of this machine and those of `settings.trusted`, as far as they are there; nothing is made.

    Raises:
        ProvenanceError: a file that is named holds no certificate.
    """
    development = [settings.folder / name for name in (DEVELOPMENT_FILE, WEIGHTS_FILE)]
    files = [*([settings.certificate] if settings.certificate else development), settings.trusted]
    named = [settings.certificate, settings.trusted]
    found: list[x509.Certificate] = []
    for file in files:
        if file is not None and (file in named or file.is_file()):
            chain = _certificates(file)
            # Of a chain the first signs; a file of trusted certificates has only such.
            found += chain if file == settings.trusted else chain[:1]
    return found


def anchors(settings: SigningSettings) -> bytes:
    """PEM of what a signature must lead to: the own certificates, and of an own chain its upper ones too."""
    pems = [certificate.public_bytes(PEM) for certificate in own_certificates(settings)]
    if settings.certificate is not None:
        pems += [certificate.public_bytes(PEM) for certificate in _certificates(settings.certificate)[1:]]
    return b"".join(pems)


def _read_valid(certificate: Path, key: Path) -> Credentials:
    credentials = _read(certificate, key, _state(certificate), _state(key))
    _check_today(credentials)
    return credentials


def _state(file: Path) -> tuple[int, ...]:
    """Another one where a file was written anew or its permissions were changed; nothing of a file that is not there."""
    try:
        found = file.stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@lru_cache(8)
def _read(certificate: Path, key: Path, *states: tuple[int, ...]) -> Credentials:
    """Read and check a pair; once in this process for as long as both files stay as they are, which `states` tell."""
    chain = _certificates(certificate)
    _refuse_open(key)
    try:
        loaded = serialization.load_pem_private_key(key.read_bytes(), None)
    except TypeError as error:
        raise ProvenanceError(
            f"the key {key} is locked by a password; give one without, readable by you alone"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ProvenanceError(
            f"{key} holds no private key in PEM ({error}); {KEY} names the key of {CERTIFICATE}"
        ) from error
    if not isinstance(loaded, PrivateKey):
        raise ProvenanceError(f"{key} is a {type(loaded).__name__}; C2PA signs with EC, RSA or Ed25519 keys")
    pem = loaded.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain_pem = b"".join(one.public_bytes(PEM) for one in chain)
    credentials = Credentials(chain_pem, pem, _algorithm(loaded, key), loaded, chain[0], certificate, key)
    _check(credentials)
    return credentials


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ProvenanceError(
            f"no certificate can be read at {file} ({error}); give a PEM file, the signing one first"
        ) from error


def _refuse_open(key: Path) -> None:
    """A key that others may read is no key."""
    try:
        is_open = others_may_read(key)
    except OSError as error:
        raise ProvenanceError(f"the key {key} cannot be read ({error}); {KEY} names it") from error
    if is_open:
        raise ProvenanceError(f"others may read the key {key}; `chmod 600 {key}`, and think of making a new one")


def _algorithm(key: PrivateKey, file: Path) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        if key.curve.name not in CURVES:
            raise ProvenanceError(f"the key {file} is on curve {key.curve.name}; C2PA takes {', '.join(CURVES)}")
        return CURVES[key.curve.name]
    return "ps256" if isinstance(key, rsa.RSAPrivateKey) else "ed25519"


def _check(credentials: Credentials) -> None:
    """Refuse before anything is made what would be refused after minutes of work."""
    certificate, source = credentials.certificate, credentials.source
    spki = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if certificate.public_key().public_bytes(*spki) != credentials.key.public_key().public_bytes(*spki):
        raise ProvenanceError(
            f"the key is not that of the certificate {source}; {CERTIFICATE} and {KEY} must go together"
        )
    if missing := _missing_of_profile(certificate):
        raise ProvenanceError(
            f"the certificate {source} lacks {missing}, which C2PA asks of one that signs; have one issued with it"
        )


def _check_today(credentials: Credentials) -> None:
    """A certificate may expire while a server runs."""
    certificate, source, now = credentials.certificate, credentials.source, datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        until = f"{certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
        renewed = "remove the file and a new one is made" if credentials.development else "have it renewed"
        raise ProvenanceError(f"the certificate {source} is valid from {until}, not today; {renewed}")


def _missing_of_profile(certificate: x509.Certificate) -> str:
    """Of C2PA technical specification 2.2, section 14.5.1: what a signing certificate must say."""
    extensions = certificate.extensions
    try:
        if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return "CA:FALSE"
    except x509.ExtensionNotFound:
        pass  # absent means no authority
    try:
        if not extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature:
            return "digitalSignature among its key usages"
        extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound as error:
        return f"the extension {error.oid._name}"
    return ""


def _make_development(folder: Path, name: str = DEVELOPMENT_FILE) -> None:
    """One file with key and certificate, so that two processes that begin together end with one pair; and the certificates alone, to give away."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Of C2PA's kinds of keys its library signs fastest with Ed25519.
        of_weights = name == WEIGHTS_FILE
        key = ec.generate_private_key(ec.SECP256R1()) if of_weights else ed25519.Ed25519PrivateKey.generate()
        certificate = _self_signed(key)
        private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        handle, made = tempfile.mkstemp(dir=folder, prefix=".tmp-")  # readable by its owner alone
        draft = Path(made)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(certificate.public_bytes(PEM) + private)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, folder / name)
            made_here = [folder / one for one in (DEVELOPMENT_FILE, WEIGHTS_FILE) if (folder / one).is_file()]
            public = b"".join(_certificates(one)[0].public_bytes(PEM) for one in made_here)
            write_atomically(folder / PUBLIC_FILE, public)
        except FileExistsError:
            pass  # another process was first; its pair is the one
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise ProvenanceError(
            f"no development certificate can be made in {folder} ({error}); make the folder writable, or name a certificate by {CERTIFICATE} and {KEY}"
        ) from error


def _self_signed(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "not verified"),
            x509.NameAttribute(NameOID.COMMON_NAME, DEVELOPMENT),
        ]
    )
    now = datetime.now(UTC)
    usages = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign"),
        False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, encipher_only=False, decipher_only=False, **usages), critical=True
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())
    )


def is_development(certificate: x509.Certificate) -> bool:
    """Whether it calls itself one: a name that anybody can give himself, so it lets nobody in by itself."""
    return common_name(certificate) == DEVELOPMENT


def common_name(certificate: x509.Certificate) -> str:
    """Of its subject; empty without one."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""

"""The first layer, read: is there a C2PA manifest of ours, and does it still fit the file?"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from provenance.media_types import media_type
from provenance.outcomes import CHANGED, NO_MARK, UNTOUCHED, LayerVerdict
from provenance.settings import ProvenanceError
from provenance.signing import STATEMENT

LAYER = "signature"
# Of C2PA technical specification 2.2, section 15.2.2: status codes.
UNTRUSTED, EXPIRED = "signingCredential.untrusted", "signingCredential.expired"
OF_THE_SIGNER = {UNTRUSTED, EXPIRED, "signingCredential.ocsp.skipped"}


@dataclass(frozen=True)
class Trust:
    """Whose signatures are ours.

    Attributes:
        certificates: the signing ones.
        anchors: PEM of what a signature must lead to: they themselves, and the upper ones of their chains.
    """

    certificates: tuple[x509.Certificate, ...]
    anchors: bytes

    @classmethod
    def in_file(cls, file: Path) -> "Trust":
        """Of a PEM file: the first certificate signs, the others are its chain. Raises ProvenanceError."""
        try:
            chain = x509.load_pem_x509_certificates(file.read_bytes())
        except (OSError, ValueError) as error:
            raise ProvenanceError(f"no certificate can be read at {file} ({error}); give a PEM file") from error
        return cls((chain[0],), b"".join(one.public_bytes(serialization.Encoding.PEM) for one in chain))

    @property
    def serials(self) -> Collection[str]:
        """Among what one authority issued a serial number tells its certificates apart."""
        return {str(certificate.serial_number) for certificate in self.certificates}


def read_signature(path: Path, trust: Trust) -> LayerVerdict:
    """What the file's manifest says of it.

    Args:
        path: any file.
        trust: whose signatures are ours.
    """
    kind = media_type(path)
    if kind is None:
        return LayerVerdict(LAYER, NO_MARK, "no_media", "it is no file that could carry a C2PA manifest")
    settings = {
        "trust": {"trust_anchors": trust.anchors.decode()} if trust.anchors else {},
        "verify": {"verify_trust": True, "ocsp_fetch": False, "remote_manifest_fetch": False},
    }
    try:
        with (
            path.open("rb") as content,
            c2pa.Context.from_dict(settings) as context,
            c2pa.Reader(kind, content, context=context) as reader,
        ):
            store: dict[str, Any] = json.loads(reader.json())
    except c2pa.C2paError.ManifestNotFound:
        return LayerVerdict(
            LAYER,
            NO_MARK,
            "none",
            "it carries no C2PA manifest: never signed, or written anew by a program that does not keep one",
        )
    except c2pa.C2paError as error:
        return LayerVerdict(
            LAYER, NO_MARK, "unreadable", f"it is damaged or cut off, so that no manifest can be read ({error})"
        )
    return _judge(store, trust)


def _judge(store: dict[str, Any], trust: Trust) -> LayerVerdict:
    manifest = store["manifests"][store["active_manifest"]]
    results = store.get("validation_results", {})
    failures = _codes(results.get("activeManifest", {}))
    of_inputs = [code for delta in results.get("ingredientDeltas", []) for code in _codes(delta["validationDeltas"])]
    signer = manifest.get("signature_info", {})
    says: dict[str, Any] = next(
        (part["data"] for part in manifest.get("assertions", []) if part["label"] == STATEMENT), {}
    )
    says = says | {"signed_by": signer.get("common_name"), "time_stamp": signer.get("time")}
    ours = signer.get("cert_serial_number") in trust.serials
    broken = [code for code in (*failures, *of_inputs) if code not in OF_THE_SIGNER]
    if ours and EXPIRED in failures:
        told = (
            "signed by a certificate of ours that has expired since, without a time stamp that says it was valid then"
        )
        return LayerVerdict(LAYER, NO_MARK, "expired", told, says)
    if not ours or UNTRUSTED in failures:
        who = signer.get("common_name") or signer.get("issuer") or "somebody"
        told = f"signed by {who}, whose certificate is none of ours; give it by --certificate if it should be"
        return LayerVerdict(LAYER, NO_MARK, "others", told, says)
    if broken:
        return LayerVerdict(
            LAYER, CHANGED, "changed", f"signed by us, and changed since ({', '.join(sorted(set(broken)))})", says
        )
    made = ", ".join(str(says[key]) for key in ("model", "made") if says.get(key))
    told = "signed by us, and not a byte was changed since" + (f": {made}" if made else "")
    return LayerVerdict(LAYER, UNTOUCHED, "intact", told, says)


def _codes(results: dict[str, Any]) -> list[str]:
    return [found["code"] for found in results.get("failure", [])]

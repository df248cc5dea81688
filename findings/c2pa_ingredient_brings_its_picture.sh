#!/usr/bin/env bash
# c2pa-python 0.38.1 (Python 3.11, Linux): naming a portrait as an ingredient puts the portrait into the signed video, and into what is made of it.
#
# Seen: `Builder.add_ingredient` gets a title and a portrait of 768 x 1024, and an mp4 is signed. Its documentation speaks of credentials and says nothing of pictures; the
# mp4 then holds the whole portrait, at its full size (longest side up to 1024) as a JPEG, 0.999 correlated with the original, and any reader takes it out. A video
# as ingredient leaves none. Signed again as the ingredient of a second video, by a builder whose settings say thumbnail off, the portrait is still in: it
# came with the first manifest. With `builder.thumbnail.enabled` false from the start it is in neither. A service that animates people's pictures and names
# its inputs hands out each user's picture with every download, also where the video shows a crop or someone's body only.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install c2pa-python==0.38.1 cryptography==50.0.2 av==18.1.0 pillow==13.0.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - "$work" <<'PY'
import datetime
import io
import json
import sys
from pathlib import Path

import av
import c2pa
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

folder = Path(sys.argv[1])
root, leaf = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())


def certificate(subject: str, public: ec.EllipticCurvePublicKey, ca: bool) -> bytes:
    named = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"), x509.NameAttribute(NameOID.COMMON_NAME, n)]) for n in (subject, "root")]
    day, now = datetime.timedelta(days=1), datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder(*reversed(named), public, x509.random_serial_number(), now - day, now + 30 * day)
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    builder = builder.add_extension(x509.BasicConstraints(ca, None), True)
    builder = builder.add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **dict.fromkeys(others, False)), True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False)
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return builder.sign(root, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


chain = certificate("leaf", leaf.public_key(), False) + certificate("root", root.public_key(), True)
key = leaf.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
OFF = {"builder": {"thumbnail": {"enabled": False}}}
CREATED = {"action": "c2pa.created", "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"}
MANIFEST = {
    "claim_generator_info": [{"name": "example", "version": "1"}],
    "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [CREATED]}}],
}


def signed(name: str, ingredient: str, kind: str, settings: dict) -> Path:
    """`film.mp4` signed, with one ingredient named."""
    target = folder / name
    info = c2pa.C2paSignerInfo(b"es256", chain, key, None)
    with c2pa.Signer.from_info(info) as signer, c2pa.Context.from_dict(settings) as context, c2pa.Builder(MANIFEST, context) as builder:
        with open(folder / ingredient, "rb") as content:
            builder.add_ingredient({"title": "reference", "relationship": "inputTo"}, kind, content)
        with open(folder / "film.mp4", "rb") as source, open(target, "w+b") as output:
            builder.sign(signer, "video/mp4", source, output)
    return target


def pictures(path: Path) -> list[Image.Image]:
    """Those in the manifests of a file, the active one's and older ones'."""
    found = []
    with open(path, "rb") as content, c2pa.Reader("video/mp4", content) as reader:
        store = json.loads(reader.json())
        assert store["validation_state"] == "Valid"
        for label, manifest in store["manifests"].items():
            for ingredient in manifest.get("ingredients", []):
                if "thumbnail" in ingredient:
                    bytes_of, uri = io.BytesIO(), ingredient["thumbnail"]["identifier"]
                    reader.resource_to_stream(uri, bytes_of)
                    found.append(Image.open(bytes_of))
    return found


down, across = np.mgrid[:1024, :768]
portrait = np.stack([120 + 80 * np.sin(across / 60), 120 + 60 * np.cos(down / 45), 128 + 0 * across], -1).astype(np.uint8)
Image.fromarray(portrait).save(folder / "portrait.png")
with av.open(str(folder / "film.mp4"), "w") as output:
    stream = output.add_stream("libx264", rate=25)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for _ in range(5):
        output.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")))
    output.mux(stream.encode())

first = signed("first.mp4", "portrait.png", "image/png", {})
shown = pictures(first)
same = float(np.corrcoef(portrait.ravel(), np.asarray(shown[0].convert("RGB")).ravel())[0, 1])
print(f"portrait as ingredient: {len(shown)} picture of {shown[0].size}, {shown[0].format}, correlation {same:.4f}; the mp4 is {first.stat().st_size - (folder / 'film.mp4').stat().st_size} bytes larger")
assert len(shown) == 1 and shown[0].size == (768, 1024) and same > 0.999, "changed"
later = pictures(signed("second.mp4", "first.mp4", "video/mp4", OFF))
print("that mp4 as ingredient, thumbnails off:", [picture.size for picture in later])
assert [picture.size for picture in later] == [(768, 1024)], "changed"
counts = [
    len(pictures(signed("plain.mp4", "film.mp4", "video/mp4", {}))),
    len(pictures(signed("third.mp4", "portrait.png", "image/png", OFF))),
    len(pictures(signed("fourth.mp4", "third.mp4", "video/mp4", OFF))),
]
print("a video as ingredient; a portrait with thumbnails off; that one as ingredient:", counts)
assert counts == [0, 0, 0], "changed"
PY

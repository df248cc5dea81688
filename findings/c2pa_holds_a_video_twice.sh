#!/usr/bin/env bash
# c2pa-python 0.38.1 (Python 3.11, Linux): signing an mp4 from one open file into another takes twice the video in memory, unless two settings are given.
#
# Seen: an mp4 of 47 MiB is signed by `Builder.sign` from a file opened for reading into one opened for writing, and the process's peak grows by 2.2 times the
# file. With `core.backing_store_memory_threshold_in_mb` at 8 alone it grows by 1.2 times the file. With `core.merkle_tree_chunk_size_in_kb` at 1024 beside it, by
# a quarter of it: pictures are then hashed in pieces. A file signed in any of these ways is valid to the library's own reader.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install c2pa-python==0.38.1 cryptography==50.0.2 av==18.1.0 numpy==2.4.6 2>/dev/null
cat > "$work/prepare.py" <<'PY'
import datetime
import sys

import av
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

folder = sys.argv[1]
key, authority = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
now = datetime.datetime.now(datetime.timezone.utc)


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"), x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, public, ca):
    usage = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"), False)
    built = (
        x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name("root")).public_key(public)
        .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True)
        .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), False)
    )
    if not ca:
        built = built.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
    return built.sign(authority, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


open(f"{folder}/chain.pem", "wb").write(certificate("leaf", key.public_key(), False) + certificate("root", authority.public_key(), True))
open(f"{folder}/key.pem", "wb").write(
    key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
)
noise = np.random.default_rng(0)
with av.open(f"{folder}/in.mp4", "w") as out:
    stream = out.add_stream("mjpeg", rate=16)
    stream.width = stream.height = 512
    stream.pix_fmt = "yuvj420p"
    for _ in range(int(sys.argv[2])):
        frame = av.VideoFrame.from_ndarray(noise.integers(0, 255, (512, 512, 3), np.uint8), format="rgb24")
        out.mux(stream.encode(frame))
    out.mux(stream.encode())
PY
cat > "$work/sign.py" <<'PY'
import json
import re
import sys
from pathlib import Path

import c2pa

folder, core = Path(sys.argv[1]), json.loads(sys.argv[2])


def peak() -> float:
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1024


info = c2pa.C2paSignerInfo(b"es256", (folder / "chain.pem").read_bytes(), (folder / "key.pem").read_bytes(), None)
settings = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False, "verify_trust": False}, "core": core}
manifest = {"claim_generator_info": [{"name": "example", "version": "1"}], "title": "t", "format": "video/mp4", "assertions": [
    {"label": "c2pa.actions.v2", "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCreation"}]}}]}
before = peak()
with open(folder / "in.mp4", "rb") as source, open(folder / "out.mp4", "w+b") as target:
    with c2pa.Signer.from_info(info) as signer, c2pa.Context.from_dict(settings) as context, c2pa.Builder(manifest, context) as builder:
        builder.sign(signer, "video/mp4", source, target)
grown = peak() - before
with open(folder / "out.mp4", "rb") as signed:
    assert json.loads(c2pa.Reader("video/mp4", signed).json())["validation_state"] == "Valid"
print(grown / ((folder / "in.mp4").stat().st_size / 2**20))
PY
"$work/venv/bin/python" -W ignore "$work/prepare.py" "$work" 950
size=$(( $(stat -c %s "$work/in.mp4") / 1048576 ))
plain=$("$work/venv/bin/python" "$work/sign.py" "$work" '{}')
threshold=$("$work/venv/bin/python" "$work/sign.py" "$work" '{"backing_store_memory_threshold_in_mb": 8}')
both=$("$work/venv/bin/python" "$work/sign.py" "$work" '{"backing_store_memory_threshold_in_mb": 8, "merkle_tree_chunk_size_in_kb": 1024}')
printf 'video of %d MiB; memory that signing takes, in videos: by default %.2f, with the threshold %.2f, with pieces too %.2f\n' "$size" "$plain" "$threshold" "$both"
"$work/venv/bin/python" -c "import sys; a, b, c = map(float, sys.argv[1:]); assert a > 1.8 and 0.9 < b < 1.6 and c < 0.5, (a, b, c)" "$plain" "$threshold" "$both"

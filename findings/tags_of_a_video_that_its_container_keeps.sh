#!/usr/bin/env bash
# av 18.1.0 (libavformat 62.12, Python 3.11): of the same seven tags mp4, mov and Matroska keep another set each, and none says which.
#
# Seen: title, artist, comment, description, date, model and seed are given to each file. mp4 keeps the first five and drops model and seed; mov keeps
# model, and drops description and seed; Matroska keeps all seven, six of them under names in capital letters. With movflags=use_metadata_tags mp4 keeps all seven by their
# own names. No call fails or warns, so a generated video's provenance that was written as tags is gone or renamed when it is looked for.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import io

import av
import numpy as np

TAGS = {name: f"the {name}" for name in ("title", "artist", "comment", "description", "model", "seed")} | {"date": "2026-11-29"}


def kept(container: str, **options: str) -> list[str]:
    """Names under which a file of four pictures gives the tags back."""
    data = io.BytesIO()
    with av.open(data, "w", format=container, options=options) as file:
        file.metadata.update(TAGS)
        stream = file.add_stream("libx264", 16)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for _ in range(4):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        file.mux(stream.encode())
    data.seek(0)
    with av.open(data) as file:
        return sorted(name for name, value in file.metadata.items() if value in TAGS.values())


seen = {
    "mp4": kept("mp4"),
    "mov": kept("mov"),
    "matroska": kept("matroska"),
    "mp4, use_metadata_tags": kept("mp4", movflags="use_metadata_tags"),
}
for container, names in seen.items():
    print(f"{container:24} {names}")
assert seen["mp4"] == ["artist", "comment", "date", "description", "title"]
assert seen["mov"] == ["artist", "comment", "date", "model", "title"]
assert seen["matroska"] == ["ARTIST", "COMMENT", "DATE", "DESCRIPTION", "MODEL", "SEED", "title"]
assert seen["mp4, use_metadata_tags"] == sorted(TAGS)
PY

"""Pictures within the credentials of a file: C2PA keeps a thumbnail beside what it was made of, at up to 1024 pixels, and it goes wherever the credentials go."""

import json
import mmap
from collections.abc import Iterable
from pathlib import Path

import c2pa

LABEL = "c2pa.thumbnail."  # of the claim's own picture and of each ingredient's (C2PA specification, "Thumbnail")
REASON = "c2pa.PII.present"


Held = dict[str, frozenset[str]]


def thumbnails_in(path: Path, kind: str) -> Held:
    """Addresses of the pictures in each manifest of a file, older ones too; none of a manifest whose pictures were left out before.

    A file that never had any is not read by the library, and its manifests are not in the answer.

    Args:
        path: of a file with credentials or without.
        kind: its MIME type.

    Raises:
        c2pa.C2paError: there are pictures, and its credentials cannot be read.
    """
    if not _names_some(path):
        return {}
    with path.open("rb") as content, c2pa.Reader(kind, content) as reader:
        manifests = json.loads(reader.detailed_json())["manifests"]
    return {
        manifest: frozenset(
            f"self#jumbf=/c2pa/{manifest}/c2pa.assertions/{label}"
            for label in held.get("assertion_store", {})
            if label.startswith(LABEL)
        )
        for manifest, held in manifests.items()
    }


def to_leave_out(inputs: Iterable[Held]) -> list[str]:
    """What a manifest that takes these files for ingredients has to redact (C2PA specification, "Redaction of assertions").

    Where two of them hold one manifest, and one has left its pictures out, the library keeps that one, and what is gone cannot be redacted.
    """
    found: Held = {}
    for held in inputs:
        for manifest, pictures in held.items():
            found[manifest] = found.get(manifest, pictures) & pictures
    return sorted(frozenset().union(*found.values()))


def _names_some(path: Path) -> bool:
    """Labels stand in the file as they are read."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(LABEL.encode()) >= 0

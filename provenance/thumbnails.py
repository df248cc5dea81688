"""Pictures within the credentials of a file: C2PA keeps a thumbnail beside what it was made of, at up to 1024 pixels, and it goes wherever the credentials go."""

import json
import mmap
from pathlib import Path

import c2pa

LABEL = "c2pa.thumbnail."  # of the claim's own picture and of each ingredient's (C2PA specification, "Thumbnail")
REASON = "c2pa.PII.present"


def thumbnails_in(path: Path, kind: str) -> list[str]:
    """Addresses of the pictures in all manifests of a file, older ones too, by which a manifest that takes the file for an ingredient leaves them out (C2PA specification, "Redaction of assertions").

    A file without any is not read by the library.

    Args:
        path: of a file with credentials or without.
        kind: its MIME type.

    Raises:
        c2pa.C2paError: there are pictures, and its credentials cannot be read.
    """
    if not _names_some(path):
        return []
    with path.open("rb") as content, c2pa.Reader(kind, content) as reader:
        manifests = json.loads(reader.detailed_json())["manifests"]
    return [
        f"self#jumbf=/c2pa/{manifest}/c2pa.assertions/{label}"
        for manifest, held in manifests.items()
        for label in held.get("assertion_store", {})
        if label.startswith(LABEL)
    ]


def _names_some(path: Path) -> bool:
    """Labels stand in the file as they are read."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(LABEL.encode()) >= 0

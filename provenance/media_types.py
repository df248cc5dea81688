"""Which kind of file something is, by how it begins: names lie, and C2PA's library has to be told."""

from pathlib import Path

ISO_BRANDS = {b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif", b"avif": "image/avif", b"qt  ": "video/quicktime", b"M4A ": "audio/mp4"}  # fmt: skip
RIFF_KINDS = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/avi"}
BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)


def media_type(path: Path) -> str | None:
    """The MIME type of a file that can carry a C2PA manifest; None for any other. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return ISO_BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"RIFF":
        return RIFF_KINDS.get(head[8:12])
    return next((kind for beginning, kind in BEGINNINGS if head.startswith(beginning)), None)

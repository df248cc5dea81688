"""A HEIC photograph as phones write it: a grid of tiles, each a picture of its own (ISO 23008-12, section 6.6.2.3)."""

import io
import struct

import numpy as np
from PIL import Image


def heic_of_tiles(picture: np.ndarray, rows: int, columns: int) -> bytes:
    """`(H, W, 3)` uint8 in `rows` x `columns` tiles of equal size. The tiles are encoded by libheif, the grid is put around them."""
    tiles = [tile for row in np.split(picture, rows, axis=0) for tile in np.split(row, columns, axis=1)]
    configurations, data = zip(*map(_encoded, tiles), strict=True)
    height, width = picture.shape[:2]
    grid = struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width, height)
    whole, first = len(tiles) + 1, 1
    infos = [_info(n, b"hvc1", hidden=True) for n in range(first, whole)] + [_info(whole, b"grid")]
    properties = [*configurations, _size(*tiles[0].shape[1::-1]), _size(width, height)]
    sizes = len(tiles) + 1
    owned = [(n, (0x80 | n, sizes)) for n in range(first, whole)] + [(whole, (sizes + 1,))]
    tied = b"".join(struct.pack(">HB", n, len(own)) + bytes(own) for n, own in owned)
    derived = struct.pack(">HH", whole, len(tiles)) + b"".join(struct.pack(">H", n) for n in range(first, whole))

    def meta(begin: int) -> bytes:
        places, offset = b"", begin
        for number, piece in enumerate([*data, grid], start=1):
            places += struct.pack(">HHHII", number, 0, 1, offset, len(piece))
            offset += len(piece)
        return _full(
            b"meta",
            _full(b"hdlr", bytes(4) + b"pict" + bytes(13)),
            _full(b"pitm", struct.pack(">H", whole)),
            _full(b"iinf", struct.pack(">H", len(infos)), *infos, version=0),
            _full(b"iref", _box(b"dimg", derived)),
            _box(b"iprp", _box(b"ipco", *properties), _full(b"ipma", struct.pack(">I", len(owned)), tied)),
            _full(b"iloc", bytes([0x44, 0x00]) + struct.pack(">H", whole), places),
        )

    head = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    return head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", *data, grid)


def _encoded(tile: np.ndarray) -> tuple[bytes, bytes]:
    """A tile's decoder configuration, a box, and its data."""
    import pillow_heif

    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(np.ascontiguousarray(tile))).save(buffer, format="HEIF", quality=95)
    file = buffer.getvalue()
    place = file.index(b"hvcC") - 4
    data = file.index(b"mdat") - 4
    return file[place : place + _length(file, place)], file[data + 8 : data + _length(file, data)]


def _length(file: bytes, place: int) -> int:
    return struct.unpack_from(">I", file, place)[0]


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", len(body) + 8) + name + body


def _full(name: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", version << 24 | flags), *parts)


def _size(width: int, height: int) -> bytes:
    return _full(b"ispe", struct.pack(">II", width, height))


def _info(number: int, kind: bytes, hidden: bool = False) -> bytes:
    return _full(b"infe", struct.pack(">HH", number, 0), kind, bytes(1), version=2, flags=int(hidden))

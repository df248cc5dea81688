"""Pictures as people have them: turned by EXIF, transparent, 16 bits deep, huge, tiny, broken."""

import io

import numpy as np
import pytest
from PIL import Image

from media import MediaError, decode_clip
from media.photographs import is_photograph, read_photograph
from tests.media.heic_tiles import heic_of_tiles


@pytest.fixture
def gradient() -> np.ndarray:
    """`(40, 60, 3)`: rows, columns and channels can be told apart."""
    rows, columns = np.mgrid[0:40, 0:60]
    return np.stack([rows * 6, columns * 4, np.full_like(rows, 90)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda x: x),
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: np.rot90(x, 2)),
        (6, lambda x: np.rot90(x, -1)),
        (8, lambda x: np.rot90(x, 1)),
    ],
)
def test_a_picture_is_turned_as_exif_says(tmp_path, gradient, orientation, turn):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(gradient).save(tmp_path / "a.png", exif=exif)
    assert (read_photograph(tmp_path / "a.png") == turn(gradient)).all()


def test_transparency_lies_on_white(tmp_path, gradient):
    alpha = np.full((40, 60, 1), 255, np.uint8)
    alpha[:20] = 0
    Image.fromarray(np.concatenate([gradient, alpha], axis=-1)).save(tmp_path / "a.png")
    found = read_photograph(tmp_path / "a.png")
    assert (found[:20] == 255).all() and (found[20:] == gradient[20:]).all()


def test_grey_palette_cmyk_and_16_bits_become_8_bit_rgb(tmp_path, gradient):
    grey = gradient[..., 0]
    Image.fromarray(grey).save(tmp_path / "l.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "i16.png")
    Image.fromarray(gradient).convert("CMYK").save(tmp_path / "cmyk.tiff")
    Image.fromarray(grey).convert("P").save(tmp_path / "p.gif")
    for name in ("l.png", "i16.png", "p.gif"):
        assert (read_photograph(tmp_path / name) == grey[..., None]).all(), name
    assert np.abs(read_photograph(tmp_path / "cmyk.tiff").astype(int) - gradient).max() <= 3


def test_a_forty_megapixel_picture_is_read_and_a_larger_one_refused_from_its_header(tmp_path):
    Image.new("L", (8000, 5000), 77).save(tmp_path / "forty.jpg")
    found = read_photograph(tmp_path / "forty.jpg")
    assert found.shape == (5000, 8000, 3) and (found[::500, ::500] == 77).all()
    Image.new("1", (9000, 9000)).save(tmp_path / "large.png")
    with pytest.raises(MediaError, match=r"9000 x 9000 pixels, at most 64,000,000.*scale it down"):
        read_photograph(tmp_path / "large.png")


def test_what_is_no_usable_picture_is_refused(tmp_path, gradient):
    Image.new("RGB", (1, 1)).save(tmp_path / "one.png")
    with pytest.raises(MediaError, match="1 x 1 pixels, a face needs 32"):
        read_photograph(tmp_path / "one.png")
    buffer = io.BytesIO()
    Image.fromarray(gradient).save(buffer, format="JPEG")
    (tmp_path / "half.jpg").write_bytes(buffer.getvalue()[: len(buffer.getvalue()) // 2])
    (tmp_path / "text.png").write_text("no picture")
    for name in ("half.jpg", "text.png"):
        with pytest.raises(MediaError, match=f"{name} is no picture that can be read"):
            read_photograph(tmp_path / name)
    assert is_photograph(tmp_path / "one.png") and not is_photograph(tmp_path / "text.png")


def display_p3() -> bytes:
    """A matrix profile of Display P3 (D65 primaries adapted to D50, sRGB's curve), built byte by byte after ICC.1."""
    curve = b"para" + bytes(4) + (3).to_bytes(2, "big") + bytes(2)
    curve += b"".join(round(v * 65536).to_bytes(4, "big") for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))

    def xyz(*values: float) -> bytes:
        return b"XYZ " + bytes(4) + b"".join(round(v * 65536).to_bytes(4, "big", signed=True) for v in values)

    tags = {
        b"rXYZ": xyz(0.51512, 0.24120, -0.00105),
        b"gXYZ": xyz(0.29198, 0.69225, 0.04189),
        b"bXYZ": xyz(0.15710, 0.06657, 0.78407),
        b"wtpt": xyz(0.96420, 1.0, 0.82491),
        b"rTRC": curve,
        b"gTRC": curve,
        b"bTRC": curve,
        b"desc": b"desc" + bytes(4) + (3).to_bytes(4, "big") + b"P3\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
    }
    table, body, place = len(tags).to_bytes(4, "big"), b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + place.to_bytes(4, "big") + len(value).to_bytes(4, "big")
        body, place = body + value, place + len(value)
    head = bytearray(128)
    head[8:12], head[12:24], head[36:40] = bytes([2, 0x10, 0, 0]), b"mntrRGB XYZ ", b"acsp"
    head[68:80] = xyz(0.9642, 1.0, 0.8249)[8:]
    profile = bytes(head) + table + body
    return len(profile).to_bytes(4, "big") + profile[4:]


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_colours_are_converted_from_the_pictures_own_profile(tmp_path, kind):
    """P3's red is outside sRGB; a skin tone moves by about ten levels."""
    skin = np.full((64, 64, 3), (200, 150, 120), np.uint8)
    Image.fromarray(skin).save(tmp_path / f"a.{kind}", icc_profile=display_p3(), quality=100, subsampling=0)
    seen = read_photograph(tmp_path / f"a.{kind}")[32, 32].astype(int)
    # By the two sets of primaries: linear light times the matrix P3 -> sRGB.
    linear = np.where((v := np.array([200, 150, 120]) / 255) <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    to_srgb = np.array([[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0197, -0.0786, 1.0979]])
    expected = 255 * (1.055 * (to_srgb @ linear) ** (1 / 2.4) - 0.055)
    assert np.abs(seen - expected).max() <= 2 and np.abs(seen - skin[0, 0]).max() >= 6


def test_a_broken_profile_counts_as_none(tmp_path, gradient):
    Image.fromarray(gradient).save(tmp_path / "a.png", icc_profile=b"no profile at all")
    assert (read_photograph(tmp_path / "a.png") == gradient).all()


def test_heic_is_read_whole(tmp_path):
    import pillow_heif

    corners = np.zeros((600, 900, 3), np.uint8)
    corners[:300, :450], corners[300:, 450:] = (200, 30, 30), (30, 30, 200)
    pillow_heif.from_pillow(Image.fromarray(corners)).save(tmp_path / "phone.heic", quality=95)
    assert is_photograph(tmp_path / "phone.heic")
    seen = read_photograph(tmp_path / "phone.heic").astype(int)
    assert seen.shape == (600, 900, 3)
    assert np.abs(seen[100, 100] - (200, 30, 30)).max() < 8 and np.abs(seen[500, 800] - (30, 30, 200)).max() < 8


def test_heic_in_tiles_is_put_together_and_is_no_film(tmp_path):
    """FFmpeg shows each tile as a film: the top left one became the person."""
    corners = np.zeros((128, 192, 3), np.uint8)
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 200, 30)]
    for number, colour in enumerate(colours):
        row, column = divmod(number, 2)
        corners[64 * row : 64 * row + 64, 96 * column : 96 * column + 96] = colour
    path = tmp_path / "phone.heic"
    path.write_bytes(heic_of_tiles(corners, 2, 2))
    seen = read_photograph(path).astype(int)
    assert seen.shape == (128, 192, 3)
    for number, colour in enumerate(colours):
        row, column = divmod(number, 2)
        assert np.abs(seen[64 * row + 32, 96 * column + 48] - colour).max() < 8, number
    with pytest.raises(MediaError, match="is a photograph") as caught:
        decode_clip(path, 16.0)
    assert caught.value.reason == "no_video"


def test_heic_without_its_package_is_refused_with_the_remedy(tmp_path, monkeypatch):
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(64))
    monkeypatch.setattr("media.photographs.importlib.util.find_spec", lambda name: None)
    with pytest.raises(MediaError, match=r"pip install 'omnihuman-pipeline\[heic\]'") as caught:
        read_photograph(tmp_path / "phone.heic")
    assert caught.value.reason == "heic"

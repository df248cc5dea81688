"""Pictures as people have them: turned by EXIF, transparent, 16 bits deep, huge, tiny, broken."""

import io

import numpy as np
import pytest
from PIL import Image

from media import MediaError
from media.photographs import is_photograph, read_photograph


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

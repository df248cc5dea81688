"""Still pictures in and out: upright, opaque, 8-bit sRGB; and PNG files that say where they come from."""

import importlib.util
import io
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from media.containers import MediaError

# No format that runs code or draws vectors.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
# Phones' HEIC, a grid of tiles in an ISO container. Pillow reads it with the package pillow-heif; FFmpeg reads single tiles.
HEIF = "HEIF"
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
# Cameras and phones reach about 50 megapixels; decoding takes 4 bytes for each.
MAX_PIXELS = 64_000_000
MIN_SIDE = 32
# Pillow's modes whose profiles are honoured, and what becomes of each.
PROFILED_MODES = {"RGB": "RGB", "RGBA": "RGBA", "CMYK": "RGB", "L": "RGB"}
BACKGROUND = (255, 255, 255)


def is_photograph(path: Path) -> bool:
    """Whether the file begins like one of `FORMATS` or like HEIC; nothing is decoded."""
    try:
        if is_heif(path):
            return True
        with Image.open(path, formats=FORMATS):
            return True
    except Image.DecompressionBombError:
        return True
    except (UnidentifiedImageError, OSError):
        return False


def is_heif(path: Path) -> bool:
    """Whether the file's first box names a brand of HEIC pictures (ISO 23008-12)."""
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS


def read_photograph(path: Path) -> np.ndarray:
    """`(H, W, 3)` uint8 sRGB as it is to be seen: turned as EXIF says, transparency laid on white, 16 bits brought to 8, colours
    converted from the picture's own profile.

    Raises:
        MediaError: `unreadable`, `too_large` (from the header alone), `too_small`, or `heic` where pillow-heif is not installed.
    """
    try:
        with Image.open(path, formats=_formats(path)) as image:
            _check_size(path, *image.size)
            image.load()
            return upright_rgb(image)
    except Image.DecompressionBombError as error:
        raise MediaError(
            "too_large", f"{path} has too many pixels ({error}); scale it down to {MAX_PIXELS:,} or fewer"
        ) from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise MediaError(
            "unreadable", f"{path} is no picture that can be read ({error}); save it again as PNG or JPEG"
        ) from error


def _formats(path: Path) -> tuple[str, ...]:
    if not is_heif(path):
        return FORMATS
    if importlib.util.find_spec("pillow_heif") is None:
        raise MediaError(
            "heic", f"{path} is a HEIC picture; run `pip install 'omnihuman-pipeline[heic]'`, or save it as JPEG"
        )
    from pillow_heif import register_heif_opener

    register_heif_opener()
    return (HEIF,)


def upright_rgb(image: Image.Image) -> np.ndarray:
    """`(H, W, 3)` uint8 sRGB of an opened picture: turned, in a screen's colours, opaque, 8 bits."""
    return np.array(_opaque(_in_srgb(ImageOps.exif_transpose(image))))


def _in_srgb(image: Image.Image) -> Image.Image:
    """Colours by the profile that is in the file: of a Display P3 photograph skin is up to 10 levels off without it.

    A profile that cannot be used (broken, or for other channels than the picture has) counts as none, as in browsers.
    """
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in PROFILED_MODES:
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(
            image, own, _srgb(), ImageCms.Intent.RELATIVE_COLORIMETRIC, PROFILED_MODES[image.mode]
        )
    except (ImageCms.PyCMSError, OSError):
        return image
    return image if converted is None else converted


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def png_with_text(image: np.ndarray, text: Mapping[str, str]) -> bytes:
    """A PNG of `(H, W, 3)` uint8 with text chunks."""
    info = PngInfo()
    for key, value in text.items():
        info.add_itxt(key, value)
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", pnginfo=info)
    return buffer.getvalue()


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise MediaError(
            "too_large", f"{path} is {width} x {height} pixels, at most {MAX_PIXELS:,} are read; scale it down"
        )
    if min(width, height) < MIN_SIDE:
        raise MediaError(
            "too_small",
            f"{path} is {width} x {height} pixels, a face needs {MIN_SIDE} or more on either side; give a larger picture",
        )


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        levels = np.asarray(image).astype(np.float64)
        # Pillow would cut everything above 255 to white.
        scale = 257.0 if image.mode.startswith("I;16") or levels.max(initial=0.0) > 255 else 1.0
        image = Image.fromarray(np.clip(np.round(levels / scale), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        over = image.convert("RGBA")
        under = Image.new("RGBA", over.size, (*BACKGROUND, 255))
        return Image.alpha_composite(under, over).convert("RGB")
    return image.convert("RGB")

"""Still pictures in and out: upright, opaque, 8-bit RGB; and PNG files that say where they come from."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from media.containers import MediaError

# No format that runs code or draws vectors.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "AVIF")
# Cameras and phones reach about 50 megapixels; decoding takes 4 bytes for each.
MAX_PIXELS = 64_000_000
MIN_SIDE = 32
BACKGROUND = (255, 255, 255)


def is_photograph(path: Path) -> bool:
    """Whether the file begins like one of `FORMATS`; nothing is decoded."""
    try:
        with Image.open(path, formats=FORMATS):
            return True
    except Image.DecompressionBombError:
        return True
    except (UnidentifiedImageError, OSError):
        return False


def read_photograph(path: Path) -> np.ndarray:
    """`(H, W, 3)` uint8 RGB as it is to be seen: turned as EXIF says, transparency laid on white, 16 bits brought to 8.

    Raises:
        MediaError: `unreadable`, `too_large` (from the header alone) or `too_small`.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
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


def upright_rgb(image: Image.Image) -> np.ndarray:
    """`(H, W, 3)` uint8 RGB of an opened picture: turned, opaque, 8 bits."""
    return np.array(_opaque(ImageOps.exif_transpose(image)))


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

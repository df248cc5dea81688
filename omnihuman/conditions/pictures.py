"""Pictures and clips in the forms that a diffusers user has them, to and from the pipeline's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.utils import logging
from diffusers.video_processor import VideoProcessor
from PIL import Image
from torch import Tensor

from media.framing import crop_to, shape_distance
from media.photographs import MAX_PIXELS, read_photograph, upright_rgb
from omnihuman.autoencoder import to_frames
from omnihuman.errors import InputError

One = Image.Image | np.ndarray | Tensor | str | Path
Pictures = One | Sequence[One]
Shape = tuple[int, int]
logger = logging.get_logger(__name__)
LATENTS = ("latents", "latent")
OUTPUT_TYPES = ("frames", "pil", "np", "pt", *LATENTS)


def to_reference(image: Pictures) -> Tensor:
    """One picture or several of one size to `(B, H, W, 3)` uint8.

    Args:
        image: a file's path; PIL (turned as EXIF says, transparency laid on white); an array `(H, W, 3)` or `(B, H, W, 3)`; a tensor of these
            shapes, or channels first. uint8, or float in [0, 1]. Or a list of them.

    Raises:
        InputError: another shape, values out of range, or pictures of different sizes.
        media.MediaError: a file that is no picture.
    """
    if isinstance(image, str | Path):
        return torch.from_numpy(read_photograph(Path(image)))[None]
    if isinstance(image, Image.Image):
        return torch.from_numpy(upright_rgb(image))[None]
    if isinstance(image, np.ndarray | Tensor):
        return _bytes(_channels_last(torch.as_tensor(image)))
    parts = [to_reference(part) for part in image]
    if len({part.shape[1:] for part in parts}) != 1:
        raise InputError(
            f"pictures of one batch have one size, got {', '.join(str(tuple(part.shape[1:3])) for part in parts) or 'none'}"
        )
    return torch.cat(parts)


def fit_reference(
    reference: Tensor | None, height: int | None, width: int | None, known: Sequence[Shape], multiple: int = 16
) -> tuple[Tensor | None, Shape]:
    """The pictures in the size in which the video is made, and that size.

    Args:
        reference: `(B, H, W, 3)` uint8 or None.
        height, width: asked for: the pictures are cut about their centre and brought to it. One alone is refused.
        known: what the model was trained on, `(height, width)`; pictures of another size go to the nearest in shape, which is said.
            Empty where the model does not say.
        multiple: what divides height and width: pixels of a token.

    Raises:
        InputError: no size at all, half of one, one that tokens do not fill, or more pixels than any picture that is read.
    """
    if (height is None) != (width is None):
        raise InputError("give height and width, or neither of them")
    if height is None or width is None:
        if reference is None:
            raise InputError("give a reference image, or height and width")
        height, width = _nearest(reference.shape[1], reference.shape[2], known)
    if height % multiple or width % multiple or height <= 0 or width <= 0:
        raise InputError(
            f"height and width are multiples of {multiple}, whole tokens of this model, got {height}x{width}"
        )
    if height * width > MAX_PIXELS:
        raise InputError(f"a video of {height}x{width} pixels is not made, at most {MAX_PIXELS:,} are; ask for less")
    if reference is not None and tuple(reference.shape[1:3]) != (height, width):
        logger.warning(
            f"the picture of {reference.shape[2]}x{reference.shape[1]} pixels is cut about its centre and brought to {width}x{height}"
        )
        fitted = [crop_to(picture, height, width) for picture in reference.cpu().numpy()]
        reference = torch.from_numpy(np.stack(fitted))
    return reference, (height, width)


def _nearest(height: int, width: int, known: Sequence[Shape]) -> Shape:
    if not known or (height, width) in known:
        return height, width
    return min(known, key=lambda shape: (shape_distance(height, width, *shape), -shape[0] * shape[1]))


def from_pixels(pixels: Tensor, output_type: str) -> Any:
    """`(B, 3, T, H, W)` in [-1, 1] to what was asked for.

    Args:
        pixels: as the autoencoder decodes.
        output_type: "frames" `(B, T, H, W, 3)` uint8; as in diffusers "pil" (a list of lists), "np" `(B, T, H, W, 3)` and "pt"
            `(B, T, 3, H, W)` float in [0, 1].
    """
    if output_type == "frames":
        return to_frames(pixels)
    return VideoProcessor(vae_scale_factor=8).postprocess_video(pixels.float(), output_type)


def _channels_last(image: Tensor) -> Tensor:
    batch = image[None] if image.ndim == 3 else image
    if batch.ndim == 4 and batch.shape[3] != 3 and batch.shape[1] == 3:
        batch = batch.permute(0, 2, 3, 1)
    if batch.ndim != 4 or batch.shape[3] != 3:
        raise InputError(f"a picture is (H, W, 3) or (3, H, W), alone or as a batch, got {tuple(image.shape)}")
    if not batch.numel():
        raise InputError(f"a picture has pixels, this one has none: {tuple(image.shape)}")
    return batch


def _bytes(image: Tensor) -> Tensor:
    if image.dtype == torch.uint8:
        return image
    if not image.is_floating_point() or not ((image >= 0) & (image <= 1)).all():
        raise InputError(
            f"a picture is uint8, or float in [0, 1]; got {image.dtype} from {image.min():g} to {image.max():g}"
        )
    return (image.float() * 255).round().to(torch.uint8)

"""The page's crop tool: two clicks on the picture, one at each of two opposite corners, and that part is the picture.

Gradio's own ImageEditor (6.31) draws what was cropped and hands over the picture as it was before.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image, ImageDraw

from media import MediaError
from media.photographs import MIN_SIDE, read_photograph

FIRST = "Click a corner of the part that you want, then the opposite one."
SECOND = "Now the opposite corner."
SMALL = f"That part is smaller than {MIN_SIDE} pixels; choose a larger one."
LONGER_SIDE = (
    720  # pixels of the picture that is clicked on: gradio 6.31 misplaces clicks on one that the page enlarges
)
Corner = tuple[int, int]
Shown = tuple[np.ndarray | None, str, Corner | None]


def add_crop_tool(image: gr.Image) -> None:
    """Add the fold below the picture; `image` is filled with the part that is chosen."""
    with gr.Accordion("Crop the picture", open=False, elem_id="crop") as fold:
        said = gr.Markdown(FIRST)
        shown = gr.Image(interactive=False, show_label=False, height=360, buttons=[], elem_id="cropper")
    corner = gr.State()
    for begin in (fold.expand, image.upload):
        begin(_begin, image, [shown, said, corner], api_visibility="private", show_progress="hidden")
    shown.select(
        _choose,
        [image, corner],
        [image, shown, said, corner],
        api_visibility="private",
        show_progress="hidden",
    )


def _begin(path: str | None) -> Shown:
    """The picture as it is to be seen, with no corner chosen."""
    try:
        return (None if path is None else _shown(read_photograph(Path(path)))), FIRST, None
    except MediaError as error:  # a film, whose first frame is the picture
        return None, f"This picture cannot be cropped here: {error.reason}.", None


def _choose(path: str | None, first: Corner | None, event: gr.SelectData) -> tuple[Any, Any, str, Corner | None]:
    """A click: the first corner is marked, the second cuts out the part between them."""
    if path is None:
        return None, None, FIRST, None
    picture = read_photograph(Path(path))
    scale = max(picture.shape[:2]) / LONGER_SIDE
    x, y = (round(value * scale) for value in event.index)
    if first is None:
        return gr.skip(), marked(_shown(picture), event.index), SECOND, (x, y)
    (left, right), (top, bottom) = sorted((first[0], x)), sorted((first[1], y))
    if min(right - left, bottom - top) < MIN_SIDE:
        return gr.skip(), _shown(picture), SMALL, None
    part = picture[top:bottom, left:right]
    with tempfile.NamedTemporaryFile("wb", suffix=".png", dir=os.environ["GRADIO_TEMP_DIR"], delete=False) as file:
        Image.fromarray(part).save(file, format="PNG")
    return file.name, _shown(part), FIRST, None


def _shown(picture: np.ndarray) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = LONGER_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def marked(picture: np.ndarray, corner: Sequence[int]) -> np.ndarray:
    """The picture with lines across and down through a corner."""
    image = Image.fromarray(picture)
    height, width = picture.shape[:2]
    draw, thick = ImageDraw.Draw(image), max(1, min(height, width) // 200)
    draw.line([(0, corner[1]), (width, corner[1])], fill=(230, 30, 120), width=thick)
    draw.line([(corner[0], 0), (corner[0], height)], fill=(230, 30, 120), width=thick)
    return np.asarray(image)

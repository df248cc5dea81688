"""Matplotlib figures as PNG, and pictures made small."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def png_bytes(figure: "Figure") -> bytes:
    """PNG bytes, without the writer's version in them: the same figure gives the same bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def in_few_colours(png: bytes, widest: int = 1100) -> bytes:
    """The same picture with 256 colours of its own choice: a plot or a contact sheet in a third of the bytes, for stores that keep
    one for every run; and no wider than the dialog (pixels) that shows it."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        whole = picture.convert("RGB")
        whole.thumbnail((widest, 100 * widest))
        # The highest level takes ten times as long, for a twelfth of the bytes.
        whole.quantize(256, dither=Image.Dither.NONE).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()

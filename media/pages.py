"""Self-contained HTML pages: nothing is loaded from elsewhere. Look and escaping live in the templates, one base for all of them.

A room's own templates lie in its `templates/` and extend `base.html` of this one.
"""

import base64
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from media import write_atomically

# Beside a page what a list of pages shows of it; `comparison.html` has a `comparison.json` of its own.
SUMMARY, THUMBNAIL = ".summary.json", ".summary.webp"
THUMBNAIL_SIZE = (320, 200)  # pixels at most


@dataclass(frozen=True)
class Number:
    """A number that is shown large, and in small letters what it is and what to read it against."""

    value: str
    title: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it: a sentence, large numbers, rows with equal keys, pictures (PNG), each with a caption or none.

    One that is `folded` shows its heading alone until somebody opens it.
    """

    title: str
    note: str = ""
    rows: Sequence[dict[str, Any]] = ()
    pictures: Sequence[bytes] = field(default=(), repr=False)
    captions: Sequence[str] = ()
    numbers: Sequence[Number] = ()
    folded: bool = False

    def captioned(self) -> Iterator[tuple[bytes, str]]:
        """Each picture with its caption, "" where it has none."""
        return zip(self.pictures, self.captions or [""] * len(self.pictures), strict=True)


def write_page(
    path: Path, title: str, sections: Sequence[Section], counts: Mapping[str, int | float | str] | None = None
) -> Path:
    """Write the page, and beside it what a list of pages shows: title, counts and a small picture. Returns `path`.

    Pictures and style are inside the page, nothing is loaded from elsewhere.

    Args:
        path: of the page.
        title: of it.
        sections: one below the other.
        counts: what a list says of it, a few numbers by name.
    """
    page = render("media", "sections.html", title=title, sections=sections)
    pictures = [picture for section in sections for picture in section.pictures]
    if pictures:
        write_atomically(path.with_suffix(THUMBNAIL), _thumbnail(pictures[0]))
    else:
        path.with_suffix(THUMBNAIL).unlink(missing_ok=True)
    summary = {"title": title, "counts": dict(counts or {})}
    write_atomically(path.with_suffix(SUMMARY), json.dumps(summary, ensure_ascii=False).encode())
    write_atomically(path, page.encode())
    return path


def _thumbnail(png: bytes) -> bytes:
    """The upper left of a picture, small: a wide sheet brought to a thumb's width would show nothing."""
    from PIL import Image

    buffer = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        width, height = picture.size
        seen = min(width, 2 * max(height, THUMBNAIL_SIZE[1])), min(height, width)
        small = picture.convert("RGB").crop((0, 0, *seen))
        small.thumbnail(THUMBNAIL_SIZE)
        small.save(buffer, format="WEBP", quality=70)
    return buffer.getvalue()


def render(room: str, template: str, **values: Any) -> str:
    """Fill a template of a room; every value is escaped, and one that is missing is an error.

    Args:
        room: package with a folder `templates`, for example "orchestration.past".
        template: file in it.
        values: what the template names.
    """
    return _environment(room).get_template(template).render(values)


@cache
def _environment(room: str) -> Environment:
    loader = ChoiceLoader([PackageLoader(room), PackageLoader("media")])
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode()
    return environment

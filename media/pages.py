"""Self-contained HTML pages: nothing is loaded from elsewhere. Look and escaping live in the templates, one base for all of them.

A room's own templates lie in its `templates/` and extend `base.html` of this one.
"""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from media import write_atomically


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it: a sentence, rows with equal keys, pictures (PNG), each with a caption or none."""

    title: str
    note: str = ""
    rows: Sequence[dict[str, Any]] = ()
    pictures: Sequence[bytes] = field(default=(), repr=False)
    captions: Sequence[str] = ()

    def captioned(self) -> Iterator[tuple[bytes, str]]:
        """Each picture with its caption, "" where it has none."""
        return zip(self.pictures, self.captions or [""] * len(self.pictures), strict=True)


def write_page(path: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write the page; pictures and style are inside it, nothing is loaded from elsewhere. Returns `path`."""
    write_atomically(path, render("media", "sections.html", title=title, sections=sections).encode())
    return path


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

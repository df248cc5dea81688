"""One self-contained HTML page: headings, sentences, tables and pictures; nothing is loaded from elsewhere."""

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from media import write_atomically

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #222; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #ddd; }
table { border-collapse: collapse; font-size: 13px; } th, td { padding: .2rem .7rem; border-bottom: 1px solid #eee; }
th { text-align: left; background: #f6f6f6; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; } p.note { color: #666; }
nav a { display: inline-block; margin: 0 1rem .3rem 0; font-size: 13px; color: #4477aa; }
figure { margin: .8rem 0; } figcaption { color: #666; font-size: 13px; }
"""


@dataclass(frozen=True)
class Section:
    """A heading with what stands under it: a sentence, rows with equal keys, pictures (PNG), each with a caption or none."""

    title: str
    note: str = ""
    rows: Sequence[dict[str, Any]] = ()
    pictures: Sequence[bytes] = field(default=(), repr=False)
    captions: Sequence[str] = ()


def write_page(path: Path, title: str, sections: Sequence[Section]) -> Path:
    """Write the page; pictures and style are inside it, nothing is loaded from elsewhere. Returns `path`."""
    body = "\n".join(_section(number, section) for number, section in enumerate(sections))
    links = " ".join(
        f'<a href="#s{number}">{html.escape(section.title)}</a>' for number, section in enumerate(sections)
    )
    page = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f"<style>{STYLE}</style></head><body>\n<h1>{html.escape(title)}</h1>\n<nav>{links}</nav>\n{body}\n</body></html>\n"
    )
    write_atomically(path, page.encode())
    return path


def _section(number: int, section: Section) -> str:
    parts = [f'<h2 id="s{number}">{html.escape(section.title)}</h2>']
    if section.note:
        parts.append(f'<p class="note">{html.escape(section.note)}</p>')
    captions = section.captions or [""] * len(section.pictures)
    parts += [_picture(data, section.title, caption) for data, caption in zip(section.pictures, captions, strict=True)]
    if section.rows:
        parts.append(_table(section.rows))
    elif not section.pictures and not section.note:
        parts.append("<p>None.</p>")
    return "\n".join(parts)


def _picture(data: bytes, title: str, caption: str) -> str:
    encoded = base64.b64encode(data).decode()
    image = f'<img alt="{html.escape(f"{title} {caption}".strip(), quote=True)}" src="data:image/png;base64,{encoded}">'
    return f"<figure>{image}<figcaption>{html.escape(caption)}</figcaption></figure>" if caption else f"<p>{image}</p>"


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
    lines = ["".join(_cell(value) for value in row.values()) for row in rows]
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    if isinstance(value, int) and not isinstance(value, bool):
        return f'<td class="number">{value}</td>'
    return f"<td>{html.escape(str(value))}</td>"

"""Markdown for assets' pages."""

import re
from collections.abc import Iterable
from typing import Any


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Write rows with equal keys as a table; what would end a cell or a row stays in its cell."""
    if not rows:
        return "(none)"
    return "\n".join([_line(rows[0]), _line("---" for _ in rows[0]), *(_line(row.values()) for row in rows)])


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(value: Any) -> str:
    # Backslashes before a bar would escape its escape.
    return re.sub(r"(\\*)\|", r"\1\1\\|", " ".join(str(value).splitlines()))

"""Markdown for assets' pages."""

from typing import Any


def markdown_table(rows: list[dict[str, Any]]) -> str:
    """Write rows with equal keys as a table."""
    if not rows:
        return "(none)"
    lines = ["| " + " | ".join(map(str, rows[0])) + " |", "| " + " | ".join("---" for _ in rows[0]) + " |"]
    return "\n".join(lines + ["| " + " | ".join(str(v) for v in row.values()) + " |" for row in rows])

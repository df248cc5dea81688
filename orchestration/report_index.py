"""The list of HTML reports: newest first, by asset, with date, counts and a small picture each; quick with ten thousand of them."""

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from media.pages import SUMMARY, THUMBNAIL

PER_PAGE = 48
PAGE = ".html"


@dataclass(frozen=True)
class Report:
    """A page below the reports: its path there without suffix, and when it was written (nanoseconds since 1970)."""

    name: str
    written: int

    @property
    def asset(self) -> str:
        """The folder that it lies in; empty at the top."""
        return self.name.rpartition("/")[0]


@dataclass(frozen=True)
class Card:
    """A report as the list shows it."""

    title: str
    link: str
    thumbnail: str
    date: str
    counts: dict[str, Any]


@dataclass
class ReportIndex:
    """The reports below `folder`. A folder is read again only when something in it was written, for a write renames a file into place."""

    folder: Path
    _known: dict[str, tuple[int, list[Report], list[str]]] = field(default_factory=dict)

    def reports(self) -> list[Report]:
        """All of them, newest first. Links are not followed."""
        found, waiting, seen = [], [""], set()
        while waiting:
            place = waiting.pop()
            seen.add(place)
            written = os.stat(self.folder / place).st_mtime_ns
            known = self._known.get(place)
            if known is None or known[0] != written:
                known = self._known[place] = (written, *self._read(place))
            found += known[1]
            waiting += known[2]
        self._known = {place: known for place, known in self._known.items() if place in seen}
        return sorted(found, key=lambda report: report.written, reverse=True)

    def _read(self, place: str) -> tuple[list[Report], list[str]]:
        reports, folders = [], []
        with os.scandir(self.folder / place) as entries:
            for entry in entries:
                path = f"{place}/{entry.name}" if place else entry.name
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                elif entry.name.endswith(PAGE) and entry.is_file(follow_symlinks=False):
                    reports.append(Report(path.removesuffix(PAGE), entry.stat().st_mtime_ns))
        return reports, folders

    def page(self, asset: str = "", words: str = "", number: int = 1) -> dict[str, Any]:
        """What the template shows: assets with their counts, and one page of cards.

        Args:
            asset: only its reports; empty for all.
            words: only reports whose name holds this.
            number: of the page, from 1; one that is not there shows the nearest.
        """
        reports = self.reports()
        counts: dict[str, int] = {}
        for report in reports:
            counts[report.asset] = counts.get(report.asset, 0) + 1
        chosen = [r for r in reports if asset in ("", r.asset) and words.lower() in r.name.lower()]
        pages = max(1, -(-len(chosen) // PER_PAGE))
        number = min(max(1, number), pages)
        asked = {"asset": asset, "find": words}

        def link(**other: Any) -> str:
            return "?" + urlencode({key: value for key, value in {**asked, **other}.items() if value})

        return {
            "assets": [
                (name or "(others)", count, link(asset=name, page="")) for name, count in sorted(counts.items())
            ],
            "every": (len(reports), link(asset="", page="")),
            "asset": asset,
            "words": words,
            "found": len(chosen),
            "cards": [self._card(report) for report in chosen[(number - 1) * PER_PAGE : number * PER_PAGE]],
            "number": number,
            "pages": pages,
            "newer": link(page=number - 1) if number > 1 else "",
            "older": link(page=number + 1) if number < pages else "",
        }

    def _card(self, report: Report) -> Card:
        path = self.folder / report.name
        try:
            summary = json.loads(path.with_name(path.name + SUMMARY).read_text())
            title, counts = str(summary["title"]), dict(summary["counts"])
        except (OSError, ValueError, KeyError, TypeError):  # written by an older version, or by somebody else
            title, counts = report.name, {}
        small = quote(report.name + THUMBNAIL) if path.with_name(path.name + THUMBNAIL).is_file() else ""
        date = time.strftime("%Y-%m-%d %H:%M", time.localtime(report.written / 1e9))
        return Card(title, quote(report.name + PAGE), small, date, counts)

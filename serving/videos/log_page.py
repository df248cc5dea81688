"""`/log`: what was served, by version and one by one, and what happened to the versions."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from fastapi import Depends, FastAPI
from starlette.responses import HTMLResponse

from media.pages import Number, Section, render
from serving.http.clients import needs
from serving.http.keys import Right
from serving.versions.served_models import ServedModels
from serving.videos.jobs import COMPLETED
from tracking.served_log import Served, ServedLog

PLACE = "/log"
ROWS = 1000  # that the page counts
SHOWN = 100  # that it lists
NOTHING = "–"
POLICY = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
CHECKED = {
    "face": "face_share",
    "mouth r": "mouth_correlation",
    "identity": "identity_distance",
    "sharpness": "sharpness",
}


def add_log(app: FastAPI, log: ServedLog, models: ServedModels, local: bool) -> None:
    """`local`: on a server that only this machine reaches, no key is asked for where none are given."""

    @app.get(PLACE, include_in_schema=False, dependencies=[Depends(needs(Right.LOG, local))])
    def page() -> HTMLResponse:
        rows = log.latest(ROWS)
        sections = [_summary(rows, log.count()), _by_version(rows), _events(models), _latest(rows)]
        return HTMLResponse(
            render("media", "sections.html", title="What was served", sections=sections), headers=POLICY
        )


def _summary(rows: Sequence[Served], count: int) -> Section:
    done = [row for row in rows if row.outcome == COMPLETED]
    slow = _median([row.work_seconds / row.video_seconds for row in done if row.video_seconds])
    numbers = [
        Number(str(count), "attempts kept", f"the page counts the last {ROWS}"),
        Number(
            _share(done, lambda row: bool(row.failed)),
            "of the videos miss a check",
            "face, mouth, identity or sharpness",
        ),
        Number(NOTHING if slow is None else f"{slow:.2f} s", "of work for a second of video", "median"),
    ]
    return Section("All versions", numbers=numbers)


def _by_version(rows: Sequence[Served]) -> Section:
    table = []
    for model in dict.fromkeys(row.model for row in rows):
        own = [row for row in rows if row.model == model]
        done = [row for row in own if row.outcome == COMPLETED]
        checks = {title: _median(_numbers(done, name)) for title, name in CHECKED.items()}
        table.append(
            {
                "version": model,
                "attempts": len(own),
                "as canary": sum(row.canary for row in own),
                "not completed": len(own) - len(done),
                "miss a check": _share(done, lambda row: bool(row.failed)),
                "work s (median)": _shown(_median([row.work_seconds for row in done])),
                "memory GiB (most)": _shown(max((row.memory_gib for row in own), default=None)),
                **{title: _shown(value) for title, value in checks.items()},
            }
        )
    return Section("By version", "medians of the videos that were completed", rows=table)


def _events(models: ServedModels) -> Section:
    rows = [{"time": _moment(event.time), "what": event.kind, "in words": event.text} for event in models.events]
    now = f"{models.current.name} is served" + (f"; {models.canary.name} is tried" if models.canary else "")
    return Section("Versions since the start", f"{now}. {models.wrong}", rows=rows)


def _latest(rows: Sequence[Served]) -> Section:
    table = [
        {
            "ended": _moment(row.time),
            "video": row.job[:8],
            "client": row.client or NOTHING,
            "version": row.model + (" (canary)" if row.canary else ""),
            "outcome": row.outcome,
            "waited s": f"{row.waited_seconds:.1f}",
            "work s": f"{row.work_seconds:.1f}",
            "video s": f"{row.video_seconds:.2f}",
            "missed checks": ", ".join(row.failed) or NOTHING,
            "output": row.output[:12] or NOTHING,
        }
        for row in rows[:SHOWN]
    ]
    return Section(f"The last {len(table)}", "of inputs there are digests and numbers alone", rows=table)


def _numbers(rows: Sequence[Served], name: str) -> list[float]:
    values: list[Any] = [row.checks.get(name) for row in rows]
    return [value for value in values if isinstance(value, int | float)]


def _median(values: Sequence[float]) -> float | None:
    return median(values) if values else None


def _share(rows: Sequence[Served], holds: Callable[[Served], bool]) -> str:
    return f"{sum(map(holds, rows)) / len(rows):.0%}" if rows else NOTHING


def _shown(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"


def _moment(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(when))

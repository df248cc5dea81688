"""The comparison as one HTML page: scores with intervals, whether each may judge, and the worst samples of every method."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation.baselines.samples import Samples
from evaluation.baselines.sanity import Verdict
from evaluation.baselines.videos import Videos
from evaluation.metrics import Score
from evaluation.metrics.registry import METRICS
from evaluation.pages.report_pictures import strips_picture
from evaluation.scoring.per_clip import BADNESS, worst_first
from evaluation.trial.record import standing
from media.hiding import Hide, as_it_is
from media.pages import Section, write_page

WORST = 3
SCORES_NOTE = "95 % intervals are bootstraps over clips. The ceiling is the real clips' own value, the floor that of the worst known damage."


def write_comparison_page(
    path: Path,
    samples: Samples,
    scores: Mapping[str, Mapping[str, Score]],
    verdicts: Mapping[str, Verdict],
    each: pd.DataFrame,
    methods: Sequence[Videos],
    hide: Hide = as_it_is,
) -> Path:
    """Write the page; returns `path`.

    Args:
        path: of the page.
        samples: the real clips.
        scores: by method and metric.
        verdicts: by metric.
        each: method, sample, metric and value, of single clips.
        methods: whose worst samples are shown.
        hide: what every picture goes through.
    """
    judging = [name for name, verdict in verdicts.items() if verdict.usable]
    sections = [
        Section("Scores", SCORES_NOTE, _score_rows(scores, verdicts)),
        Section(
            "May it judge here?",
            "A metric judges only where it puts known damage in the right order.",
            _verdict_rows(verdicts),
        ),
        *(
            _worst(samples, method, each[(each["method"] == method.title) & each["metric"].isin(judging)], hide)
            for method in methods
        ),
    ]
    counts = {"methods": len(methods), "samples": len(samples)}
    return write_page(path, f"{len(methods)} methods on {len(samples)} samples of {samples.name}", sections, counts)


def _score_rows(scores: Mapping[str, Mapping[str, Score]], verdicts: Mapping[str, Verdict]) -> list[dict[str, Any]]:
    rows = []
    for name, verdict in verdicts.items():
        for title, row in scores.items():
            score = row[name]
            numbers = {
                "value": score.value,
                "low": score.ci_low,
                "high": score.ci_high,
                "ceiling": verdict.ceiling.value,
                "floor": float("nan") if verdict.floor is None else verdict.floor.value,
            }
            shown = {key: "–" if value != value else value for key, value in numbers.items()}
            network = "" if score.network is None else f"{score.network.architecture} {score.network.sha256[:12]}"
            rest = {
                "coverage": score.coverage,
                "may judge": "yes" if verdict.usable else "no",
                "network": network,
                "note": score.warning,
            }
            rows.append({"metric": METRICS[name].directed_title(), "method": title, **shown, **rest})
    return rows


def _verdict_rows(verdicts: Mapping[str, Verdict]) -> list[dict[str, Any]]:
    return [
        {"metric": METRICS[name].directed_title(), "damage, from none to worst": ", ".join(f"{damage} {value:.4g}" for damage, value in verdict.order.items()),
         "may judge": "yes" if verdict.usable else f"no: {verdict.reason}", "on trial": standing(name).verdict}
        for name, verdict in verdicts.items()
    ]  # fmt: skip


def _worst(samples: Samples, method: Videos, rows: pd.DataFrame, hide: Hide) -> Section:
    title = f"Worst samples of {method.title}"
    if rows.empty:
        return Section(title, "No metric of single clips may judge on these samples.")
    wide = rows.pivot(index="sample", columns="metric", values="value")
    ranked = worst_first(wide, {name: name for name in wide}).head(WORST)
    by_name = {sample.name: sample for sample in samples.samples}
    pictures = [
        strips_picture({"real": by_name[str(n)].read(), method.title: method.frames(by_name[str(n)])}, hide=hide)
        for n in ranked.index
    ]
    captions = [
        f"{name}: " + "; ".join(f"{_title(str(column))} {value:.3g}" for column, value in row.items())
        for name, row in ranked.iterrows()
    ]
    return Section(
        title,
        f"{BADNESS}: the mean over metrics that may judge of the share of samples that do no worse.",
        pictures=pictures,
        captions=captions,
    )


def _title(column: str) -> str:
    return column if column == BADNESS else METRICS[column].directed_title()

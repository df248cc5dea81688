"""What a trial looks like: a table of findings, and a picture of every metric under every damage."""

from collections.abc import Mapping

import numpy as np

from evaluation.metrics.registry import METRICS
from evaluation.trial.aspects import ASPECTS
from evaluation.trial.ladder import LADDER, NONE
from evaluation.trial.record import FOLLOWS, PARTLY
from evaluation.trial.run import Trial
from evaluation.trial.verdict import Finding, badness
from media.figures import png_bytes

_PLACE = {FOLLOWS: 0, PARTLY: 1}


def trial_table(findings: Mapping[str, Finding]) -> str:
    """A row per metric as markdown, those that follow the truth first."""
    lines = [
        "| metric | is to follow | rank r | within a clip | order | undamaged | autoencoder | worst | defined on | moved by other damage | verdict |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | --- | --- |",
    ]
    for one in in_order(findings):
        moved = "–" if np.isnan(one.disturbance) else f"{one.disturbance:.0%}, {one.disturber}"
        clear = "" if one.clear else " (not clear)"
        cells = [
            f"{METRICS[one.metric].directed_title()} `{one.metric}`", one.aspect, f"{one.rank:.2f}", f"{one.rank_of_clip:.2f}", f"{one.order:.0%}",
            f"{one.ceiling:.3g}", f"{one.reconstructed:.3g}", f"{one.floor:.3g}, {one.worst}{clear}", f"{one.coverage:.0%} of {one.videos}", moved, one.verdict,
        ]  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("nan", "–") for cell in cells) + " |")
    return "\n".join(lines)


def trial_picture(trial: Trial, findings: Mapping[str, Finding]) -> bytes:
    """A PNG: a row per metric, a column per damage; dark is as bad as the metric's worst damage, framed is what it is to follow."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    shown = in_order(findings)
    steps = [step for step in LADDER if step.name in set(trial.values["step"])]
    means = trial.values.groupby(["metric", "step"])["value"].mean()
    figure = Figure(figsize=(0.30 * len(steps) + 3.2, 0.24 * len(shown) + 2.2), layout="constrained")
    axes = figure.subplots()
    grid = np.full((len(shown), len(steps)), np.nan)
    for row, one in enumerate(shown):
        values = np.array([means.get((one.metric, step.name), np.nan) for step in steps], float)
        bad = badness(METRICS[one.metric], values)
        best, worst = (
            bad[[step.family == NONE for step in steps]][0],
            badness(METRICS[one.metric], np.array([one.floor]))[0],
        )
        if np.isfinite(best) and np.isfinite(worst) and worst > best:
            grid[row] = np.clip((bad - best) / (worst - best), 0, 1)
        for column, step in enumerate(steps):
            if step.family in ASPECTS[one.aspect].families:
                axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="0.25", linewidth=0.5))
    colours = colormaps["viridis_r"].with_extremes(bad="0.9")
    drawn = axes.imshow(grid, cmap=colours, vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(steps)), [step.name for step in steps], rotation=90, fontsize=6)
    axes.set_yticks(range(len(shown)), [f"{METRICS[one.metric].title}: {one.verdict}" for one in shown], fontsize=6)
    figure.colorbar(drawn, ax=axes, shrink=0.6).set_label("0 undamaged, 1 its worst damage", fontsize=6)
    return png_bytes(figure)


def in_order(findings: Mapping[str, Finding]) -> list[Finding]:
    """Those that follow the truth first, then by how well."""
    return sorted(findings.values(), key=lambda one: (_PLACE.get(one.verdict, 2), -np.nan_to_num(one.rank, nan=-2.0)))

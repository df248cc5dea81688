"""A run's curve as a picture, and its end as numbers."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from media import png_bytes


def loss_curves(losses: pd.DataFrame | Path) -> bytes:
    """PNG with one panel per `curve_columns` over steps, from a table or its parquet file; dots where few were logged."""
    table = pd.read_parquet(losses) if isinstance(losses, Path) else losses
    columns = curve_columns(table)
    rows = max(1, -(-len(columns) // 3))
    height = 2.1 * rows
    figure = Figure(figsize=(9, height))  # a layout engine would draw every panel twice, and many ticks a third time
    figure.subplots_adjust(
        left=0.055, right=0.99, bottom=0.25 / height, top=1 - 0.25 / height, wspace=0.22, hspace=0.35
    )
    for place, column in enumerate(columns, start=1):
        axes = figure.add_subplot(rows, 3, place)
        known = table[["step", column]].dropna()
        axes.plot(known["step"], known[column], linewidth=0.9, marker="." if len(known) < len(table) / 2 else "")
        axes.set_title(column, fontsize=8)
        axes.tick_params(labelsize=6)
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_locator(MaxNLocator(5))
    return png_bytes(figure)


def curve_columns(table: pd.DataFrame) -> list[str]:
    """Logged quantities that are worth a curve: a constant is none, unless everything is constant."""
    logged = [c for c in table.select_dtypes("number").columns if c != "step" and table[c].notna().any()]
    return [c for c in logged if table[c].nunique() > 1] or logged


def last_losses(losses: Path) -> dict[str, float]:
    """Each loss that the run logged, averaged over the last tenth of its steps: one step's alone says little."""
    table = pd.read_parquet(losses)
    end = table.tail(max(1, len(table) // 10))
    names = [c for c in table.columns if (c == "loss" or c.endswith(("_loss", "/loss"))) and table[c].notna().any()]
    return {
        f"last_{name}": float(end[name].mean() if end[name].notna().any() else table[name].dropna().iloc[-1])
        for name in names
    }

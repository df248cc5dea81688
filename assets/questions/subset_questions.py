"""Questions to the scores of all shards: how much each condition has, and what each threshold costs."""

import csv
import io
import time
from pathlib import Path

import pyarrow.dataset as ds

from assets.core.markdown import markdown_table
from assets.core.workspace import Workspace
from curation.pages.figures import sweep_chart, sweep_rows
from curation.subsets.selection import caption_sources, gather_scores, open_scores, repeated_captions, select
from curation.subsets.threshold_sweep import sweep
from media import write_atomically
from media.pages import Section, write_page
from profiles.conditions import SUBSETS


def scores_of_all_shards(workspace: Workspace) -> ds.Dataset:
    """Every scored shard, gathered under `var/score_table`.

    Raises:
        curation.tables.storage.CurationError: no shard is scored.
    """
    tables = {
        shard: workspace.data("clip_scores", shard) / "scores.parquet" for shard in workspace.shards("clip_scores")
    }
    whole = {shard: path for shard, path in tables.items() if path.is_file()}
    return open_scores(gather_scores(whole, workspace.var / "score_table"))


def count_lines(workspace: Workspace) -> list[str]:
    """One line per condition: clips, hours, share of all of them; then where captions come from, and which repeat."""
    scores = scores_of_all_shards(workspace)
    found = select(scores, workspace.profile.curation)
    lines = [f"{'all':<6} {found.clips:>12,} clips {_long(found.hours)}"]
    for name in SUBSETS:
        clips, hours = found.subset_clips[name], found.subset_hours[name]
        lines.append(f"{name:<6} {clips:>12,} clips {_long(hours)}  {found.keep_rate(name):6.1%} of all")
    if "caption_source" not in scores.schema.names:
        return [
            *lines,
            "captions are not known: the shards were scored by an older version; materialise clip_scores again",
        ]
    lines.append(
        "captions by source: " + ", ".join(f"{source} {count:,}" for source, count in caption_sources(scores).items())
    )
    repeated = repeated_captions(scores)
    if repeated.captions:
        lines.append(
            f"{repeated.captions} captions stand at more than one clip, the most frequent at {repeated.times}: {repeated.most_frequent[:80]!r}"
        )
    return lines


def _long(hours: float) -> str:
    """A small inbox is minutes long."""
    return f"{hours:>12,.2f} h  " if hours >= 1 else f"{60 * hours:>12,.1f} min"


def write_sweep(workspace: Workspace, folder: Path) -> list[str]:
    """Write sweep.png, sweep.csv and sweep.html into `folder`; returns what to print."""
    started = time.monotonic()
    found = sweep(scores_of_all_shards(workspace), workspace.profile.curation)
    seconds = time.monotonic() - started
    picture, rows = sweep_chart(found), sweep_rows(found)
    write_atomically(folder / "sweep.png", picture)
    write_atomically(folder / "sweep.csv", _csv(rows).encode())
    note = f"{found.selection.clips:,} clips, {found.selection.hours:,.2f} hours; no score was computed."
    write_page(folder / "sweep.html", "Thresholds", [Section("Share of all hours", note, rows, [picture])])
    return [markdown_table(rows), f"{note} {seconds:.2f} s; {folder / 'sweep.html'}, sweep.png, sweep.csv"]


def _csv(rows: list[dict]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()

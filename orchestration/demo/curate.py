"""From the inbox to subsets, and no further: what of one's own clips would train what, without any training."""

import time
from collections import Counter

import pandas as pd

from assets.core.workspace import Workspace
from assets.kinds.detectors import unread_people
from assets.questions.subset_questions import count_lines
from media.user_error import UserError
from orchestration.demo.console import DemoConsole
from orchestration.demo.main import hold_alone, make_assets, set_up_repository

SHOWN = 10  # quarantined files that are named
CURATED = ("raw_clips", "clip_scores", "filtered_subsets")


class NothingToCurate(UserError):
    """There is no clip; the message says where clips go."""


def run_curation(workspace: Workspace) -> None:
    """Make shards, scores and subsets of what is in the inbox, as far as they are not current, and print what came out.

    Raises:
        NothingToCurate: there is no clip, in the inbox or in a shard.
        orchestration.demo.main.DemoError: an asset failed. What was finished stays; starting again goes on from there.
    """
    started, console = time.monotonic(), DemoConsole()
    with hold_alone(workspace):
        set_up_repository(workspace, console)
        made, seen = make_assets(workspace, console, CURATED)
    if not seen:
        raise NothingToCurate(
            f"there is no clip in {workspace.inbox}; bring some with `omnihuman ingest FOLDER`, or drop files there"
        )
    for line in outcome(workspace):
        console.line(line)
    console.line(f"{made} of {seen} assets computed in {time.monotonic() - started:.0f} s; nothing was trained")


def outcome(workspace: Workspace) -> list[str]:
    """What is known of the clips of all shards: quarantined files by reason, clips and hours of each condition, people whom the profile's
    detector does not know, and where to look."""
    shards = workspace.shards("clip_scores")
    scores = [pd.read_parquet(workspace.data("clip_scores", shard) / "scores.parquet") for shard in shards]
    lines = _quarantined(workspace)
    if sum(map(len, scores)):
        lines += count_lines(workspace)
        if note := unread_people(workspace.profile, pd.concat(scores)):
            lines.append(f"note: {note}")
    pages = workspace.report_page("filtered_subsets", "s").parent
    return [*lines, f"pages            {pages}", "why of a clip    omnihuman subsets explain CLIP_ID"]


def _quarantined(workspace: Workspace) -> list[str]:
    tables = [pd.read_parquet(path) for path in sorted(workspace.data("raw_clips").glob("s-*/quarantine.parquet"))]
    found = [row for table in tables for row in table.itertuples()]
    if not found:
        return []
    counts = Counter(row.reason for row in found).most_common()
    lines = [f"quarantined: {', '.join(f'{reason} {count}' for reason, count in counts)}"]
    lines += [f"  {row.source_name}: {row.message}" for row in found[:SHOWN]]
    return [*lines, f"  and {len(found) - SHOWN} more"] if len(found) > SHOWN else lines

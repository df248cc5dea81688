"""Score every method on the same samples with the same instruments, and write the tables."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.baselines.page import write_comparison_page
from evaluation.baselines.published import PORTRAIT_SETS
from evaluation.baselines.samples import BaselineError, Samples
from evaluation.baselines.sanity import Verdict, judge_metrics, material, score_videos
from evaluation.baselines.tables import comparison_page
from evaluation.baselines.videos import RealVideos, Videos, in_one_frame
from evaluation.metrics import ClipMean, Score
from evaluation.panel import Instruments, Panel, Unmeasured, measurable
from media import whole_directory, write_atomically
from media.hiding import Hide, as_it_is

SANITY_SAMPLES = 32
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class BaselineComparison:
    """`scores`: title to metric to score, the real clips first; `verdicts`: metric to what became of it on these samples;
    `each`: one row per method, clip and metric that a single clip has a number of; `unmeasured`: the metrics that could not be had."""

    samples: Samples
    scores: dict[str, dict[str, Score]]
    verdicts: dict[str, Verdict]
    each: pd.DataFrame
    unmeasured: list[Unmeasured]


def compare_baselines(
    methods: Sequence[Videos],
    samples: Samples,
    instruments: Instruments,
    destination: Path,
    resamples: int = 200,
    seed: int = 0,
    published_set: str = "celebv-hq",
    progress: Progress | None = None,
    hide: Hide = as_it_is,
) -> BaselineComparison:
    """Write `comparison.md`, `comparison.html`, `comparison.json`, `scores.parquet` and `samples.parquet` into `destination`.

    Args:
        methods: videos of the same samples.
        samples: the real clips.
        instruments: what looks at them.
        destination: folder, made or replaced.
        resamples: of the bootstrap over clips; each one of a Fréchet distance costs a decomposition.
        seed: of the bootstrap.
        published_set: whose published numbers stand beside Table 1: `celebv-hq` or `ravdess`.
        progress: called with (sets of videos done, sets, title).
        hide: what pictures of the page go through.

    Raises:
        BaselineError: fewer than two samples, two methods of one name, or an unknown set of published numbers.
        evaluation.metrics.MetricError: a clip that a metric cannot take.
    """
    if published_set not in PORTRAIT_SETS:
        raise BaselineError(f"no published numbers on {published_set!r}; choose one of {', '.join(PORTRAIT_SETS)}")
    if len(samples) < 2:
        raise BaselineError(f"{samples.name} has {len(samples)} samples; distances and floors need two or more")
    samples = in_one_frame(samples, methods)
    everyone = [RealVideos(), *methods]
    titles = [videos.title for videos in everyone]
    if len(set(titles)) < len(titles):
        raise BaselineError(f"two methods have one name ({', '.join(titles)}); name each NAME=FOLDER differently")
    scores, each = {}, []
    for done, videos in enumerate(everyone, start=1):
        panel = score_videos(videos, samples, instruments)
        scores[videos.title] = {name: metric.compute(resamples, seed) for name, metric in panel.metrics.items()}
        each += list(_each_sample(videos.title, panel))
        if progress is not None:
            progress(done, len(everyone) + 1, videos.title)
    few = Samples(samples.name, samples.samples[:SANITY_SAMPLES], samples.digest)
    table = pd.DataFrame(each, columns=["method", "sample", "metric", "value"])
    verdicts = judge_metrics(instruments, few, resamples, seed)
    unmeasured = measurable(instruments, material(samples, instruments))[1]
    comparison = BaselineComparison(samples, scores, verdicts, table, unmeasured)
    if progress is not None:
        progress(len(everyone) + 1, len(everyone) + 1, "known damage")
    _write(comparison, destination, published_set, methods, hide)
    return comparison


def _each_sample(title: str, panel: Panel) -> Iterator[tuple[str, str, str, float]]:
    for name, metric in panel.metrics.items():
        if isinstance(metric, ClipMean):
            for place, clip in enumerate(metric.clips):
                yield title, clip, name, metric(np.array([place]))


def _write(
    comparison: BaselineComparison, destination: Path, published_set: str, methods: Sequence[Videos], hide: Hide
) -> None:
    with whole_directory(destination) as folder:
        record = {
            "samples": {
                "name": comparison.samples.name,
                "clips": len(comparison.samples),
                "digest": comparison.samples.digest,
            },
            "scores": {title: {n: asdict(s) for n, s in row.items()} for title, row in comparison.scores.items()},
            "sanity": {name: asdict(verdict) for name, verdict in comparison.verdicts.items()},
            "unmeasured": [asdict(metric) for metric in comparison.unmeasured],
        }
        write_atomically(
            folder / "comparison.json", json.dumps(_without_nan(record), indent=1, ensure_ascii=False).encode()
        )
        page = comparison_page(
            comparison.samples, comparison.scores, comparison.verdicts, published_set, comparison.unmeasured
        )
        write_atomically(folder / "comparison.md", page.encode())
        score_table(comparison).to_parquet(folder / "scores.parquet", index=False)
        comparison.each.to_parquet(folder / "samples.parquet", index=False)
        write_comparison_page(
            folder / "comparison.html",
            comparison.samples,
            comparison.scores,
            comparison.verdicts,
            comparison.each,
            methods,
            hide,
        )


def score_table(comparison: BaselineComparison) -> pd.DataFrame:
    """Long: method, metric, unit, value, ci_low, ci_high, clips, coverage, usable, network, network_sha256, warning."""
    rows = []
    for title, scores in comparison.scores.items():
        for name, score in scores.items():
            row = asdict(score) | {"method": title, "usable": comparison.verdicts[name].usable}
            network = row.pop("network") or {}
            rows.append(row | {"network": network.get("architecture", ""), "network_sha256": network.get("sha256", "")})
    return pd.DataFrame(rows)


def _without_nan(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    return None if isinstance(value, float) and not isfinite(value) else value

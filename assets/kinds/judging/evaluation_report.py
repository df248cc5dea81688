"""The page of `benchmark_scores`, with an error analysis against the clips of the snapshot where they are at hand."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.core.catalogue import STEPS
from assets.core.versions import source_version
from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import shown_faces
from assets.kinds.judging.generated_videos import judging_autoencoder, shown_mode
from curation.pages.figures import thresholds
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import STUDENT, generation_plan
from evaluation.kept_records import KeptRecords
from evaluation.pages.report_page import Evaluated, write_evaluation_page
from evaluation.scoring.criteria import limits
from evaluation.scoring.error_analysis import TrainingClips, analyse_errors, latent_features
from evaluation.scoring.per_clip import BADNESS, ranked_samples
from evaluation.scoring.score_table import of_benchmark
from evaluation.scoring.tables import Tables
from media.features.places import parts_of
from networks.on_device import one_thread
from omnihuman.autoencoder import encode_video, to_pixels
from profiles.judging import benchmark_folder
from training.data.feature_rows import FeatureRows

CLIPS_COMPARED = 20_000  # of the snapshot, evenly spread: neighbours are searched one by one
ROWS_AT_ONCE = 512
# Columns that are properties of the file, not of what it shows.
NO_SCORES = ("width", "height", "fps", "frames", "seconds", "keypoints_offset", "keypoints_frames")


def evaluated(workspace: Workspace, benchmark: Benchmark, tables: Tables) -> Evaluated:
    """What a benchmark's page says, from the scores that stand."""
    profile, name = workspace.profile, benchmark.name
    root = workspace.of_benchmark("generated_videos", name)
    samples = of_benchmark(tables.samples, name)
    meta = json.loads((root / STUDENT / shown_mode(benchmark) / "meta.json").read_text())
    training, why = training_clips(workspace)
    analysis = None
    if training is not None:
        ranked = ranked_samples(samples, STUDENT)[BADNESS]
        numbers = [clip for clip, sample in enumerate(benchmark.names) if sample in ranked.index]
        badness = ranked.loc[[benchmark.names[clip] for clip in numbers]].to_numpy()
        features = true_features(workspace, benchmark, numbers)
        analysis = analyse_errors(badness, features, training, thresholds(profile.curation))
    return Evaluated(
        of_benchmark(tables.scores, name), of_benchmark(tables.slices, name), samples, benchmark, root, generation_plan(profile.evaluation, benchmark),
        STUDENT, meta["weights"], limits(profile.gate, name), analysis, [] if training is None else training.names, why,
        of_benchmark(tables.unmeasured, name).drop(columns="benchmark").to_dict("records"), shown_faces(workspace, benchmark),
        of_benchmark(tables.fitness, name),
    )  # fmt: skip


def write_report(workspace: Workspace, found: Evaluated) -> Path:
    """Write a benchmark's page below `var/reports/benchmark_scores/`: `whole.html` for the profile's first, the others by name; returns its path."""
    name = found.benchmark.name
    place = None if name == workspace.profile.evaluation.benchmarks[0] else benchmark_folder(name)
    return write_evaluation_page(workspace.report_page("benchmark_scores", place), found)


def true_features(workspace: Workspace, benchmark: Benchmark, clips: Sequence[int]) -> np.ndarray:
    """`(N, D)` of samples' true clips, encoded one at a time, and once: they stay in `var/true_features` until benchmark or autoencoder is another."""
    source = workspace.profile.encoders.autoencoder
    told = f"{STEPS['benchmark_scores'].version} {benchmark.digest} {source_version(source)}"
    made_of = hashlib.sha256(told.encode()).hexdigest()[:16]
    folder = workspace.var / "true_features" / benchmark_folder(benchmark.name)
    for stale in folder.glob("*"):
        if stale.name != made_of:
            shutil.rmtree(stale)
    kept, autoencoder = KeptRecords(folder / made_of), cache(lambda: judging_autoencoder(workspace.profile))

    def encoded(clip: int) -> np.ndarray:
        pixels = to_pixels(benchmark.sample(clip).frames[None])
        with one_thread():
            return latent_features(encode_video(autoencoder(), pixels).float().cpu().numpy())

    return np.concatenate([kept.get(benchmark.names[clip], partial(encoded, clip)) for clip in clips])


def training_clips(workspace: Workspace) -> tuple[TrainingClips | None, str]:
    """One sample of each clip of the snapshot, with its scores; None, and why, where the snapshot or what it names is not here."""
    file = workspace.data("training_snapshot") / "samples.parquet"
    if not file.is_file():
        return None, f"No {file}: there are no training clips to compare the samples with."
    bucket = workspace.profile.video.name_of(workspace.profile.video.main)
    samples = pd.read_parquet(file)
    clips = samples[samples["bucket"] == bucket].drop_duplicates("clip_id").reset_index(drop=True)
    absent = [s for s in clips["shard"].unique() if not parts_of(workspace.data("condition_features", s), bucket)]
    if absent or clips.empty:
        return (
            None,
            f"The features of {', '.join(absent) or f'bucket {bucket}'} are not here; bring them back with `dvc checkout` or `omnihuman restore`.",
        )
    chosen = clips.iloc[np.unique(np.linspace(0, len(clips) - 1, min(len(clips), CLIPS_COMPARED)).round().astype(int))]
    rows, places = (
        FeatureRows(workspace.data("condition_features")),
        list(zip(chosen["shard"], chosen["row"].astype(int), strict=True)),
    )
    parts = [places[start : start + ROWS_AT_ONCE] for start in range(0, len(places), ROWS_AT_ONCE)]
    features = np.concatenate([latent_features(rows.gather(part, bucket, "latents").numpy()) for part in parts])
    return TrainingClips(list(chosen["clip_id"]), features, _scores_of(workspace, chosen), len(clips)), ""


def _scores_of(workspace: Workspace, clips: Any) -> Any:
    """The score columns of these clips, in their order."""
    tables = [
        pd.read_parquet(path)
        for shard in clips["shard"].unique()
        if (path := workspace.data("clip_scores", shard) / "scores.parquet").is_file()
    ]
    if not tables:
        return pd.DataFrame(index=range(len(clips)))
    scores = pd.concat(tables, ignore_index=True).drop_duplicates("clip_id").set_index("clip_id")
    numbers = scores.select_dtypes("number").drop(columns=list(NO_SCORES), errors="ignore")
    return numbers.reindex(clips["clip_id"]).reset_index(drop=True)

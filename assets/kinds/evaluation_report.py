"""The page of `benchmark_scores`, with an error analysis against the clips of the snapshot where they are at hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.core.workspace import Workspace
from curation.pages.figures import thresholds
from evaluation.benchmark.benchmark_plan import STUDENT, generation_plan
from evaluation.benchmark.puppet_benchmark import Benchmark
from evaluation.pages.report_page import Evaluated, write_evaluation_page
from evaluation.scoring.error_analysis import TrainingClips, analyse_errors, latent_features
from evaluation.scoring.gate import limits
from evaluation.scoring.per_clip import BADNESS, ranked_samples
from evaluation.scoring.score_table import load_scores
from omnihuman.autoencoder import encode_video, to_pixels
from training.data.feature_rows import FeatureRows

CLIPS_COMPARED = 20_000  # of the snapshot, evenly spread: neighbours are searched one by one
ROWS_AT_ONCE = 512
# Columns that are properties of the file, not of what it shows.
NO_SCORES = ("width", "height", "fps", "frames", "seconds", "keypoints_offset", "keypoints_frames")


def write_report(workspace: Workspace, benchmark: Benchmark, autoencoder: Any) -> Path:
    """Write `var/reports/benchmark_scores/whole.html` from the scores that stand; returns its path."""
    profile, folder, root = workspace.profile, workspace.data("benchmark_scores"), workspace.data("generated_videos")
    samples = pd.read_parquet(folder / "samples.parquet")
    meta = json.loads((root / STUDENT / "audio" / "meta.json").read_text())
    training, why = training_clips(workspace)
    analysis = None
    if training is not None:
        badness = ranked_samples(samples, STUDENT)[BADNESS].loc[list(benchmark.names)].to_numpy()
        analysis = analyse_errors(badness, _features_of(autoencoder, benchmark), training, thresholds(profile.curation))
    found = Evaluated(
        load_scores(folder), pd.read_parquet(folder / "slices.parquet"), samples, benchmark, root, generation_plan(profile.evaluation), STUDENT,
        meta["weights"], limits(profile.gate), analysis, [] if training is None else training.names, why,
    )  # fmt: skip
    return write_evaluation_page(workspace.report_page("benchmark_scores"), found)


def _features_of(autoencoder: Any, benchmark: Benchmark) -> Any:
    batches = benchmark.frames.split(16)
    return latent_features(
        np.concatenate([encode_video(autoencoder, to_pixels(batch)).float().numpy() for batch in batches])
    )


def training_clips(workspace: Workspace) -> tuple[TrainingClips | None, str]:
    """One sample of each clip of the snapshot, with its scores; None, and why, where the snapshot or what it names is not here."""
    file = workspace.data("training_snapshot") / "samples.parquet"
    if not file.is_file():
        return None, f"No {file}: there are no training clips to compare the samples with."
    bucket = workspace.profile.video.name_of(workspace.profile.video.main)
    samples = pd.read_parquet(file)
    clips = samples[samples["bucket"] == bucket].drop_duplicates("clip_id").reset_index(drop=True)
    absent = [
        s
        for s in clips["shard"].unique()
        if not (workspace.data("condition_features", s) / f"features-{bucket}.safetensors").is_file()
    ]
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

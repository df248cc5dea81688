"""What is looked at while a stage trains: the loss on held-out clips, and sample videos, with the same noise each time.

Both are of the weights as they are at that step, not of their average.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from media import encode_clip, png_bytes, write_atomically
from omnihuman.autoencoder import decode_video, load_autoencoder, to_frames
from profiles import resolve_source
from profiles.conditions import CONDITIONS, SUBSETS
from profiles.schema import StageConfig
from training.data.conditions import Conditions
from training.data.loader import Batch, SnapshotData
from training.engine.deepspeed_engine import compute_dtype
from training.flow_matching import sample_timesteps, trajectory_end
from training.run.jobs import TrainingJob
from training.run.recorder import Recorder
from training.run.validation import Validation
from training.stages.flow_matching_step import velocity_losses

SCALE = 4
SHEET_FRAMES = 5


class HeldOutValidation(Validation):
    """Measures one stage's model on clips that no training run of any snapshot ever sees."""

    def __init__(self, job: TrainingJob, stage: StageConfig, held_out: SnapshotData | None, engine: Any):
        """`held_out` reads the held-out part of the stage's subset; None where there is none, and nothing is looked at."""
        self.engine = engine
        self.job, self.stage, self.config, self.data = job, stage, stage.watch, held_out
        self.sets = [] if held_out is None else list(self._sets(held_out))

    def due(self, step: int) -> bool:
        """Whether to look after `step` steps: every `every`, and at the end."""
        return bool(self.sets) and (step % self.config.every == 0 or step == self.stage.steps)

    def measure(self, done: int, saving: bool, recorder: Recorder) -> dict[str, float]:
        """After `done` steps, when it is due: the held-out losses; sample videos go to MLflow."""
        self.score = None
        if not self.due(done):
            return {}
        self.engine.eval()
        try:
            if self.config.videos:
                self.videos(done, recorder)
            row = self.held_out_losses()
        finally:
            self.engine.train()
        self.score = row["held_out/loss"]
        return row

    @torch.no_grad()
    def held_out_losses(self) -> dict[str, float]:
        """`held_out/<condition set>/<quantile>` for each set that the stage trains, and their mean `held_out/loss`.

        Quantiles are those of the stage's timestep law, so that the mean estimates its loss on these sets.
        """
        row: dict[str, float] = {}
        for label, conditions, rows in self.sets:
            losses: dict[float, list[Tensor]] = {quantile: [] for quantile in self.config.quantiles}
            for part in self._parts(rows, conditions):
                for quantile, seen in losses.items():
                    uniform = torch.full((len(part.labels),), quantile)
                    t = sample_timesteps(uniform, self.stage.timestep_law, self.stage.timestep_shift)
                    seen.append(velocity_losses(self.engine, part, t.to(part.latents.device), self.stage.mouth_weight))
            row |= {
                f"held_out/{label}/q{quantile:.2f}": float(torch.cat(seen).mean()) for quantile, seen in losses.items()
            }
        return row | {"held_out/loss": sum(row.values()) / len(row)}

    def _sets(self, data: SnapshotData) -> Iterator[tuple[str, Conditions, list[int]]]:
        """Each condition set that the stage trains, with held-out samples of the main bucket that may use it."""
        video = self.job.profile.video
        main = (data.table["bucket"] == video.name_of(video.main)).to_numpy()
        for count, name in enumerate(CONDITIONS, start=1):
            eligible = np.flatnonzero(main & data.table[name].to_numpy() if name in SUBSETS else main)
            if getattr(self.stage.ratios, name) > 0 and len(eligible):
                on = {condition: condition in CONDITIONS[:count] for condition in CONDITIONS}
                yield name, Conditions(**on), eligible[: self.config.samples].tolist()

    def _batch(self, rows: list[int], conditions: Conditions) -> Batch:
        assert self.data is not None, "there are no sets without data"
        return self.data.chosen(rows, conditions).to(self.engine.device, compute_dtype(self.engine))

    def _parts(self, rows: list[int], conditions: Conditions) -> Iterator[Batch]:
        """As many samples at a time as are trained on at a time: more might not fit."""
        size = self.engine.train_micro_batch_size_per_gpu()
        for start in range(0, len(rows), size):
            yield self._batch(rows[start : start + size], conditions)

    @torch.no_grad()
    def videos(self, step: int, recorder: Recorder) -> Path:
        """Sample `videos` clips under the strongest set of the stage; mp4s and a contact sheet beside the truth."""
        label, conditions, rows = self.sets[-1]
        shift = self.job.profile.evaluation.sampling.shift
        parts = list(self._parts(rows[: self.config.videos], conditions))
        steps = self.config.video_steps
        ends = [trajectory_end(self.engine, part.noise, part.conditions(), steps, shift) for part in parts]
        latents = torch.cat(ends)
        clips, shown = [clip for part in parts for clip in part.clip_ids], torch.cat([part.latents for part in parts])
        autoencoder = load_autoencoder(resolve_source(self.job.profile.encoders.autoencoder)).to(self.engine.device)
        made, truth = (_decoded(autoencoder, x) for x in (latents, shown))
        folder = recorder.work / "videos" / f"step-{step:07d}"
        if recorder.master:
            for clip, frames in zip(clips, made, strict=True):
                big = frames.repeat(SCALE, axis=1).repeat(SCALE, axis=2) if frames.shape[1] < 256 else frames
                data = encode_clip(
                    big, self.job.profile.video.fps, None, self.job.profile.video.sample_rate, pixel_format="yuv420p"
                )
                write_atomically(folder / f"{clip}.mp4", data)
            title = f"{self.job.name}, step {step}, driven by {label}, {self.config.video_steps} Euler steps, shift {shift:g}"
            write_atomically(folder / "contact_sheet.png", contact_sheet(truth, made, title))
            recorder.artifact(folder, f"videos/{folder.name}")
        return folder


def _decoded(autoencoder: Any, latents: Tensor) -> np.ndarray:
    """`(N, T, H, W, 3)` uint8, one video after another."""
    return torch.cat([to_frames(decode_video(autoencoder, one[None])).cpu() for one in latents]).numpy()


def contact_sheet(truth: np.ndarray, made: np.ndarray, title: str) -> bytes:
    """PNG of `(N, T, H, W, 3)` uint8 videos: a row per clip, five frames of the truth, five of the sample."""
    times = np.linspace(0, truth.shape[1] - 1, SHEET_FRAMES).round().astype(int)
    figure = Figure(figsize=(11, 1.2 * len(truth) + 0.8), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(len(truth), 2, squeeze=False)
    for row, pair in zip(axes, zip(truth, made, strict=True), strict=True):
        for axis, name, frames in zip(row, ("ground truth", "sample"), pair, strict=True):
            axis.imshow(np.concatenate(list(frames[times]), axis=1), interpolation="nearest")
            axis.set_title(name, fontsize=8)
            axis.set_axis_off()
    return png_bytes(figure)

"""What of the streaming student's recipe matters: `python -m benchmarks.training.streaming_variants HOME [--seeds 2] [--seconds 80]`.

HOME is a copy of a finished demo's home: its asset `streaming_student` is made again for every variant and seed, through DeepSpeed as always, and each
student is kept in `HOME/var/streaming_variants`. Each is measured as the asset measures it, then over a long video, then with its past spoiled.
Ended and started again, it goes on.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from assets.core.markdown import markdown_table
from assets.core.names import TRANSFORMER
from assets.core.workspace import Workspace
from assets.kinds.streaming_student import NAME, SCORES
from evaluation.questions.long_segments import STREAM, segments_of
from evaluation.questions.long_video_drift import SegmentScore, latched, measure_drift
from evaluation.questions.recovery import RecoveryRow, measure_recovery
from evaluation.questions.streaming_student import STREAM as STUDENT
from media import write_atomically
from media.records import ProductRecord
from omnihuman.pipeline import build_pipeline
from profiles import load_profile

RECIPE = "the recipe"
# One update of both is the least that the phase takes: of the average it is a thirtieth.
VARIANTS: dict[str, tuple[str, ...]] = {
    RECIPE: (),
    "no later windows": ("streaming.rounds=0",),
    "teacher forcing alone": ("streaming.critic_warmup=0", "streaming.steps=1"),
    "no sink": ("streaming.sink=false",),
}


@dataclass(frozen=True)
class Measured:
    """One student.

    Attributes:
        variant, seed: which.
        short: its row in the asset's own table.
        drift: its long video, segment by segment.
        recovery: for each way to spoil it.
    """

    variant: str
    seed: int
    short: dict[str, float]
    drift: list[SegmentScore]
    recovery: list[RecoveryRow]

    def row(self) -> dict[str, object]:
        """For the table."""
        first, last = self.drift[0], self.drift[-max(1, len(self.drift) // 4) :]
        colour, mouth, detail = (
            float(np.nanmean([getattr(segment, name) for segment in last]))
            for name in ("colour_error", "mouth_correlation", "detail")
        )
        return {
            "trained": self.variant,
            "seed": self.seed,
            "mouth r": f"{self.short['mouth_correlation']:.3f}",
            "posed: joints missing, error px": f"{self.short['missing_joints']:.3f}, {self.short['joint_error']:.2f}",
            "colour error: first segment, last quarter": f"{first.colour_error:.3f}, {colour:.3f}",
            "mouth r: first segment, last quarter": f"{first.mouth_correlation:.3f}, {mouth:.3f}",
            "detail, last quarter / first segment": f"{detail / first.detail:.2f}",
            "joints that never return": latched(self.drift),
            "segments to recover: soft, colours": ", ".join(
                "never" if spoiled.segments is None else str(spoiled.segments) for spoiled in self.recovery
            ),
        }


def student_of(home: Path, profile: str, variant: str, seed: int) -> Path:
    """Its folder, trained where it is not there yet."""
    kept = home / "var" / "streaming_variants" / f"{variant.replace(' ', '_')}-{seed}"
    if not (kept / SCORES).exists():
        overrides = " ".join((*VARIANTS[variant], f"streaming.seed={seed}"))
        environment = os.environ | {
            "OMNIHUMAN_HOME": str(home),
            "OMNIHUMAN_PROFILE": profile,
            "OMNIHUMAN_SET": overrides,
        }
        subprocess.run([sys.executable, "-m", "assets", NAME], env=environment, check=True)
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(home / "data" / NAME, kept, ignore=lambda _, names: [SCORES] if SCORES in names else [])
        write_atomically(kept / SCORES, (home / "data" / NAME / SCORES).read_bytes())
    return kept


def measure(workspace: Workspace, folder: Path, variant: str, seed: int, clips: int, seconds: float) -> Measured:
    """Short, long and spoiled."""
    profile = workspace.profile
    pipeline = build_pipeline(profile, folder / TRANSFORMER, 1, ProductRecord.read(folder).require("streaming"))
    (short,) = (row for row in json.loads((folder / SCORES).read_text())["rows"] if row["made"] == STUDENT)
    frames, first = profile.video.frames, profile.evaluation.seed
    segments = segments_of(seconds, frames, profile.video.fps)
    drift = [row for row in measure_drift(pipeline, clips, segments, frames, first) if row.made == STREAM]
    return Measured(variant, seed, short, drift, measure_recovery(pipeline, clips, frames, first))


def main(given: Sequence[str] | None = None) -> None:
    """Print a row for each student as soon as it is measured, then all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="copy of a finished demo's home")
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="all by default")
    parser.add_argument("--clips", type=int, default=8, help="of the long videos")
    parser.add_argument("--seconds", type=float, default=80.0, help="of the long videos")
    arguments = parser.parse_args(given)
    torch.set_num_threads(1)
    workspace = Workspace(arguments.home.resolve(), load_profile(arguments.profile))
    rows = []
    for seed in range(arguments.seeds):
        for variant in arguments.variant or VARIANTS:
            folder = student_of(workspace.root, arguments.profile, variant, seed)
            rows.append(measure(workspace, folder, variant, seed, arguments.clips, arguments.seconds).row())
            print(*rows[-1].values(), sep=" | ", flush=True)
    print(markdown_table(rows))


if __name__ == "__main__":
    main()

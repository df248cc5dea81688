"""What of the streaming student's recipe matters: `python -m benchmarks.training.streaming_variants HOME [--seeds 2] [--seconds 80]`.

HOME is a copy of a finished demo's home: its asset `streaming_student` is made again for every variant and seed, through DeepSpeed as always, and each
student is kept in `HOME/var/streaming_variants`. Each is measured as the asset measures it, then over a long video, then with its past spoiled.
Ended and started again, it goes on. `--set streaming.teacher_forcing=150` changes the recipe of all of them, `--measure-seeds 3` makes every long
video with three noises.

No update of teacher forcing reads how long the later parts are (`LATER`). So variants that differ in nothing else have these updates in common: they
are done once for each seed, and each variant goes on from their checkpoint. A training goes on from a checkpoint of its own settings alone, so the
copy is signed with the variant's: the first part's folder has the name of every setting else that such a signature is of, and a test holds weights
and losses, to the last bit, to those of a training from its beginning. Other are: where the probe looks, which it does at every checkpoint, so also at the
first part's; MLflow's curve of such a run, which begins where it goes on; and its seconds, which are those of its own updates.
"""

import argparse
import hashlib
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

from assets.core.catalogue import STEPS
from assets.core.markdown import markdown_table
from assets.core.names import TRANSFORMER
from assets.core.versions import fingerprint
from assets.core.workspace import Workspace
from assets.kinds.checkpoints import training_job, work_folder
from assets.kinds.streaming_student import NAME, SCORES
from evaluation.questions.drift_over_seeds import measure_drift_over_seeds
from evaluation.questions.kept_videos import holding_alone, kept_name
from evaluation.questions.long_segments import STREAM, segments_of
from evaluation.questions.long_video_drift import SegmentScore, latched
from evaluation.questions.recovery import RecoveryRow, measure_recovery
from evaluation.questions.streaming_student import STREAM as STUDENT
from media import write_atomically
from media.records import ProductRecord, SnapshotRecord
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from training.run.fingerprint import job_fingerprint
from training.run.jobs import TrainingJob
from training.run.launch import training_process

RECIPE = "the recipe"
# One update of both is the least that the phase takes: of the average it is a thirtieth.
VARIANTS: dict[str, tuple[str, ...]] = {
    RECIPE: (),
    "no later windows": ("streaming.rounds=0",),
    "teacher forcing alone": ("streaming.critic_warmup=0", "streaming.steps=1"),
    "no sink": ("streaming.sink=false",),
}
# Settings that say how long the later parts are, and nothing before them: the shortest that a section takes.
LATER = {"critic_warmup": 0, "steps": 1, "rounds": 0}
CURVE = ("losses.jsonl", "events.jsonl")


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
            "posed: joints missing, error px": f"{self.short['missing_joints']:.4f}, {self.short['joint_error']:.2f}",
            "colour error: first segment, last quarter": f"{first.colour_error:.3f}, {colour:.3f}",
            "mouth r: first segment, last quarter": f"{first.mouth_correlation:.3f}, {mouth:.3f}",
            "detail, last quarter / first segment": f"{detail / first.detail:.2f}",
            "joints that never return": latched(self.drift),
            "segments to recover: soft, colours": ", ".join(
                "never" if spoiled.segments is None else str(spoiled.segments) for spoiled in self.recovery
            ),
        }


@dataclass(frozen=True)
class Ablation:
    """Where students are trained, and by what.

    Attributes:
        home: copy of a finished demo's home.
        profile: its name.
        changed: `KEY=VALUE` of the profile, for all variants.
    """

    home: Path
    profile: str
    changed: tuple[str, ...] = ()

    @property
    def root(self) -> Path:
        """Of the students that are kept: a folder for each profile and what is changed of it, in its order, for of two values of one key the
        last wins."""
        recipe = json.dumps([self.profile, *self.changed])
        name = f"{Path(self.profile).stem}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        return self.home / "var" / "streaming_variants" / name

    def overrides(self, variant: str, seed: int) -> list[str]:
        """All that is said beside the profile; what a variant is wins over what all have."""
        return [*self.changed, *VARIANTS[variant], f"streaming.seed={seed}"]

    def workspace(self, variant: str, seed: int) -> Workspace:
        """That which trains it."""
        return Workspace(self.home, load_profile(self.profile, self.overrides(variant, seed)))

    def student(self, variant: str, seed: int) -> Path:
        """Its folder, trained where it is not there yet."""
        kept = self.root / f"{variant.replace(' ', '_')}-{seed}"
        if not (kept / SCORES).exists():
            self._prepare(variant, seed)
            environment = os.environ | {
                "OMNIHUMAN_HOME": str(self.home),
                "OMNIHUMAN_PROFILE": self.profile,
                "OMNIHUMAN_SET": " ".join(self.overrides(variant, seed)),
            }
            subprocess.run([sys.executable, "-m", "assets", NAME], env=environment, check=True)
            shutil.rmtree(kept, ignore_errors=True)
            shutil.copytree(
                self.home / "data" / NAME, kept, ignore=lambda _, names: [SCORES] if SCORES in names else []
            )
            write_atomically(kept / SCORES, (self.home / "data" / NAME / SCORES).read_bytes())
        return kept

    def _prepare(self, variant: str, seed: int) -> None:
        """Where another variant has the same first part: have the asset's training, unless it has begun, go on from that."""
        workspace = self.workspace(variant, seed)
        work = work_folder(workspace, NAME, fingerprint(workspace, STEPS[NAME], None, STEPS))
        first = self._first(variant, seed)
        shared = any(self._first(other, seed) == first for other in VARIANTS if other != variant)
        if not shared or (work / "checkpoints" / "latest.json").is_file():
            return
        if not Path(first.output).is_dir():
            process = training_process(first.write(Path(first.work) / "job.json"), workspace.profile.engine)
            subprocess.run(process.command, env=process.environment, check=True)
        if not go_on_from(first, training_job(workspace, NAME, workspace.data, workspace.data(NAME), work)):
            print(
                f"{variant}, seed {seed}: no sound checkpoint ends the first part, so it is trained from its beginning"
            )

    def _first(self, variant: str, seed: int) -> TrainingJob:
        workspace = self.workspace(variant, seed)
        return first_part(training_job(workspace, NAME, workspace.data, self.root, self.root), self.root)


def first_part(job: TrainingJob, root: Path) -> TrainingJob:
    """The teacher forcing of a streaming student's job, and one update after it: the least that can be trained. Jobs that differ in `LATER` alone have
    the same. A checkpoint lies where it ends.

    Args:
        job: the student's.
        root: for the folder of its work and of its product, which has the name of its settings.
    """
    section, engine = job.profile_values[job.section], job.profile_values["engine"]
    forcing = section["teacher_forcing"]
    every = max((n for n in range(1, engine["checkpoint_every"] + 1) if forcing % n == 0), default=1)
    values = {
        **job.profile_values,
        job.section: {**section, **LATER},
        "engine": {**engine, "checkpoint_every": every},
    }
    first = job.model_copy(update={"profile_values": values, "tracking_uri": "", "progress": ""})
    folder = root / f"first-{job_fingerprint(first, SnapshotRecord.read(Path(job.snapshot)).digest)}"
    return first.model_copy(update={"output": str(folder / "student"), "work": str(folder / "work")})


def go_on_from(first: TrainingJob, job: TrainingJob) -> bool:
    """Put the checkpoint that ends the finished `first` where `job`, which has not begun, looks for its own; False where there is none to go
    on from: an update was not finite there, or had to be taken back, and then what follows depends on the whole plan.

    Raises:
        ValueError: `first` is not the first part of `job`.
    """
    if first.work != first_part(job, Path(first.work).parents[1]).work:
        raise ValueError(
            f"{first.work} is no first part of {job.work}: their settings differ in more than {', '.join(LATER)}"
        )
    source, target = Path(first.work), Path(job.work)
    record = json.loads((source / "checkpoints" / "latest.json").read_text())
    forcing = job.profile_values[job.section]["teacher_forcing"]
    sound = json.loads((source / "checkpoints" / "sound.json").read_text())
    if not record["step"] == sound["step"] == forcing or record["state"]["rollbacks"]:
        return False
    shutil.copytree(source / "checkpoints" / record["tag"], target / "checkpoints" / record["tag"], dirs_exist_ok=True)
    for name in CURVE:
        if (source / name).is_file():
            write_atomically(target / name, (source / name).read_bytes())
    own = job_fingerprint(job, SnapshotRecord.read(Path(job.snapshot)).digest)
    signed = json.dumps({**record, "fingerprint": own}, indent=1).encode()
    for name in ("sound.json", "latest.json"):  # which the training looks for first
        write_atomically(target / "checkpoints" / name, signed)
    return True


def measure(
    workspace: Workspace, folder: Path, variant: str, seed: int, clips: int, noises: int, seconds: float
) -> Measured:
    """Short, long and spoiled. What the long videos show is kept beside the student, one after the other."""
    profile = workspace.profile
    pipeline = build_pipeline(profile, folder / TRANSFORMER, 1, ProductRecord.read(folder).require("streaming"))
    (short,) = (row for row in json.loads((folder / SCORES).read_text())["rows"] if row["made"] == STUDENT)
    frames, first = profile.video.frames, profile.evaluation.seed
    segments = segments_of(seconds, frames, profile.video.fps)
    kept = folder / f"long-videos-of-{segments}-{kept_name(pipeline, segments, frames, first, None)}"
    with holding_alone(kept):
        rows = measure_drift_over_seeds(pipeline, clips, noises, segments, frames, first, kept)
    drift = [row for row in rows if row.made == STREAM]
    return Measured(variant, seed, short, drift, measure_recovery(pipeline, clips, frames, first))


def main(given: Sequence[str] | None = None) -> None:
    """Print a row for each student as soon as it is measured, then all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path, help="copy of a finished demo's home")
    parser.add_argument("--profile", default="laptop")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of the profile, for all variants"
    )
    parser.add_argument("--seeds", type=int, default=2, help="of the training")
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="all by default")
    parser.add_argument("--clips", type=int, default=8, help="of the long videos")
    parser.add_argument("--measure-seeds", type=int, default=1, help="of the noise, for each clip of the long videos")
    parser.add_argument("--seconds", type=float, default=80.0, help="of the long videos")
    arguments = parser.parse_args(given)
    torch.set_num_threads(1)
    ablation = Ablation(arguments.home.resolve(), arguments.profile, tuple(arguments.set))
    rows = []
    for seed in range(arguments.seeds):
        for variant in arguments.variant or VARIANTS:
            folder, workspace = ablation.student(variant, seed), ablation.workspace(variant, seed)
            measured = measure(
                workspace, folder, variant, seed, arguments.clips, arguments.measure_seeds, arguments.seconds
            )
            rows.append(measured.row())
            print(*rows[-1].values(), sep=" | ", flush=True)
    print(markdown_table(rows))
    said = ", ".join(arguments.set) or "as it stands"
    print(
        f"\nThe recipe of profile {arguments.profile} {said}; long videos of {arguments.seconds:g} s, {arguments.clips} clips with "
        f"{arguments.measure_seeds} noises each."
    )


if __name__ == "__main__":
    main()

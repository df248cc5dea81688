"""The loop that every training runs in: step, guard, average, validation, curve, checkpoints, resume, product."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.engine.checkpoint import Checkpoints
from training.engine.deepspeed_engine import data_replicas
from training.engine.ema import ExponentialMovingAverage
from training.engine.step_guard import EngineStep, NonFiniteLoss, StepGuard
from training.engine.throughput import Throughput, peak_tflops
from training.run.fingerprint import job_fingerprint
from training.run.jobs import TrainingJob
from training.run.recorder import Recorder
from training.run.stopping import of_rank_0
from training.run.validation import Validation


@dataclass(frozen=True)
class Step:
    """What one step of a training came to.

    Attributes:
        row: numbers for the curve, the same on every rank.
        note: what the progress bar shows.
        engines: the optimiser step of each engine that took part, by name.
        tokens: that this rank's samples have; 0 where they are not counted.
        flops: says those of one forward of them, where that is what the step needs; None leaves the utilisation out. Asked only where the
            device's peak is known.
    """

    row: dict[str, float]
    note: str
    engines: Mapping[str, EngineStep]
    tokens: int = 0
    flops: Callable[[], float] | None = None


class Training(ABC):
    """What one kind of training is of its own: its step, its state, its product.

    Attributes:
        job: the job.
        digest: of the data.
        steps: of the whole run.
        engines: DeepSpeed's, by name.
        averaged: the engine of whose weights `average` is; it is those that are written.
        average: moves whenever that engine has stepped.
        validation: what is looked at meanwhile.
    """

    job: TrainingJob
    digest: str
    steps: int
    engines: dict[str, Any]
    averaged: str
    average: ExponentialMovingAverage
    validation: Validation

    @abstractmethod
    def step(self, number: int) -> Step:
        """Do step `number`, counted from 0, on this rank's samples, through `take_step`."""

    def accept(self, number: int) -> None:  # noqa: B027 - most kinds count nothing
        """Note that step `number` was applied."""

    def state(self, done: int) -> dict[str, Any]:
        """JSON values for the checkpoint after `done` steps."""
        return {}

    def load(self, state: dict[str, Any]) -> None:  # noqa: B027 - most kinds keep nothing
        """Take over what `state` gave before the interruption; {} at a first start."""

    def record(self) -> dict[str, Any]:
        """Numbers of this kind of training for its record."""
        return {}

    @abstractmethod
    def write(self, weights: dict[str, Tensor], recorder: Recorder, record: dict[str, Any]) -> dict[str, Any]:
        """Write the product from averaged weights, on rank 0; returns the whole record."""


class Loop:
    """Trains to the end, or goes on where it stopped."""

    def __init__(self, training: Training):
        job, engine = training.job, training.job.profile.engine
        self.training, self.validation, self.engine_config = training, training.validation, engine
        self.averages = {training.averaged: training.average}
        self.checkpoints = Checkpoints(Path(job.work), job_fingerprint(job, training.digest), engine.keep_checkpoints)
        self.step, state = self.checkpoints.load(training.engines, self.averages)
        self.saved = state.get("saved", self.step - self.step % engine.checkpoint_every)
        training.load(state)
        self.validation.load(state)
        self.recorder = Recorder(job, training.steps, training.digest)
        self.recorder.resume_at(self.step)
        self.guard = StepGuard(engine, self.recorder, state.get("guard", {}))
        self.replicas = data_replicas(training.engines[training.averaged].loss_factor)
        self.written = time.monotonic()  # the last checkpoint of this attempt
        self.throughput = Throughput(peak_tflops(engine.peak_tflops), torch.distributed.get_world_size())

    def run(self) -> dict[str, Any]:
        """Train, write the product and return its record.

        Raises:
            NonFiniteLoss: too many steps in a row were not finite; the last good checkpoint is kept.
            training.run.stopping.Stopped: it was asked to end; the checkpoint is written.
        """
        with self.recorder:
            if self.validation.begin():
                self._save(sound=True)
            while self.step < self.training.steps:
                self._advance()
            self.recorder.flush()
            return self._finish()

    def _advance(self) -> None:
        number, started = self.step, time.perf_counter()
        due = number + 1 - self.saved >= self.engine_config.checkpoint_every and number + 1 < self.training.steps
        result = self.training.step(number)
        self.step, reason = number + 1, None
        try:
            applied = self.guard.accepts(number, result.engines)
        except NonFiniteLoss as error:
            if not self.validation.rolls_back:
                raise
            applied, reason = False, error.reason
        if applied:
            reason = self._apply(number, result, due, started)
        if reason is not None:
            self._roll_back(reason)
        else:
            self._save_when_due(due, looked=applied and due)

    def _apply(self, number: int, result: Step, due: bool, started: float) -> str | None:
        """What follows from a step that was applied; returns why it must be taken back, if it must."""
        if self.training.averaged in result.engines:
            self.training.average.update()
        self.training.accept(number)
        seconds = time.perf_counter() - started
        flops = None
        if result.flops is not None and self.throughput.peak is not None:
            flops = result.flops() * self.replicas
        measured = self.throughput.row(seconds, result.tokens * self.replicas, flops)
        row = result.row | self.validation.measure(number + 1, due, self.recorder)
        reason = self.validation.verdict(row)
        self.recorder.log(number, row, result.note, measured)
        return reason

    def _save_when_due(self, due: bool, looked: bool) -> None:
        """By steps, never in the middle of steps that are not finite; by time, and when the run is asked to stop, whatever came last: an
        update of a large model takes an hour."""
        if self.step == self.training.steps:
            return
        asked = self.checkpoints.stop.asked()
        late = of_rank_0(lambda: time.monotonic() - self.written >= 60 * self.engine_config.checkpoint_minutes)
        sound = self.guard.in_a_row == 0 and self.validation.sound(looked)
        if due and sound:
            self.saved = self.step
        if asked or late or (due and sound):
            self._save(sound)
        if asked:
            self.checkpoints.stop.leave(self.step, self.training.steps)

    def _save(self, sound: bool) -> None:
        self.recorder.flush()
        state = {**self.training.state(self.step), **self.validation.state()}
        state |= {"guard": self.guard.state(), "saved": self.saved}
        self.checkpoints.save(
            self.step, self.training.engines, self.averages, state, self.validation.score, sound=sound
        )
        self.written = time.monotonic()

    def _roll_back(self, reason: str) -> None:
        """Back to the last sound checkpoint: engines, average, guard.

        MLflow keeps the failed attempt's numbers, the curve goes on from the checkpoint. A run that is killed
        before its next checkpoint comes here again with the same numbers, so the count needs no file of its own.
        """
        self.recorder.flush()
        details = self.validation.go_back(self.step, self.saved, reason)
        self.step, state = self.checkpoints.load(self.training.engines, self.averages, "sound")
        self.guard = StepGuard(self.engine_config, self.recorder, state.get("guard", {}))
        self.recorder.resume_at(self.step)
        self.recorder.event(self.step, "roll-back", **details)

    def _finish(self) -> dict[str, Any]:
        if self.guard.skipped == self.training.steps:  # fewer than the guard's limit, so it did not end the run
            raise NonFiniteLoss(f"none of the {self.guard.skipped} steps was finite", self.checkpoints.root)
        record = {
            "steps": self.training.steps,
            "snapshot_digest": self.training.digest,
            "skipped_steps": self.guard.skipped,
            "events": self.recorder.event_count(),
            "tokens_per_second": self.throughput.median(),
            **self.training.record(),
        }
        weights = self.training.average.whole()
        return self.training.write(weights, self.recorder, record) if self.recorder.master else record

"""The look at an adversarial phase: fixed samples are probed, and a collapse sends it back to the last sound checkpoint."""

from typing import Any

from profiles.schema import AdversarialConfig
from training.distillation.collapse import CollapseWatch
from training.distillation.critic_probe import Probe
from training.engine.deepspeed_engine import computing
from training.engine.ema import ExponentialMovingAverage
from training.engine.process_group import mean_over_ranks
from training.run.recorder import Recorder
from training.run.validation import Validation


class ProbeValidation(Validation):
    """Diversity of the generator and following of its average, and the watch over them.

    Attributes:
        watch: counts what may be a collapse, and the roll-backs.
    """

    def __init__(self, config: AdversarialConfig, probe: Probe, engine: Any, average: ExponentialMovingAverage):
        """`average` is that of `engine`'s generator."""
        self.config, self.probe, self.engine, self.average = config, probe, engine, average
        self.watch = CollapseWatch(config.collapse)
        self.rolls_back = config.collapse.max_rollbacks > 0

    def begin(self) -> bool:
        """Measure the diversity that the phase starts with, once; the start is the first checkpoint to go back to."""
        if self.watch.start:
            return False
        self.watch.start = self._diversity()
        return self.rolls_back

    def measure(self, done: int, saving: bool, recorder: Recorder) -> dict[str, float]:
        """Probe every `probe.every` updates, at the end and before each checkpoint; count the roll-backs."""
        # Never a checkpoint whose diversity nobody looked at.
        due = saving or done % self.config.probe.every == 0 or done == self.config.updates
        row = mean_over_ranks(self._probe(), self.engine.device) if due else {}
        return row | {"rollbacks": float(len(self.watch.rollbacks))}

    def _diversity(self) -> dict[str, float]:
        with computing(self.engine):
            return self.probe.diversity(self.engine.module)

    def _probe(self) -> dict[str, float]:
        diversity = self._diversity()
        with self.average.in_place(self.engine), computing(self.engine):
            following = self.probe.following(self.engine.module)
        return {name: value / self.watch.start[name] for name, value in diversity.items()} | following

    def verdict(self, row: dict[str, float]) -> str | None:
        """The reason why this update is a collapse, if it is one."""
        return self.watch.observe(row)

    def sound(self, looked: bool) -> bool:
        """Only what was probed while no rule was counting."""
        return looked and self.watch.healthy

    def go_back(self, step: int, saved: int, reason: str) -> dict[str, Any]:
        """Count the roll-back.

        Raises:
            training.distillation.collapse.Collapsed: it was one too many; the last good checkpoint is kept.
        """
        message = self.watch.note(step, saved, reason)
        return {"count": len(self.watch.rollbacks), "what": message}

    def state(self) -> dict[str, Any]:
        """The watch's."""
        return self.watch.state()

    def load(self, state: dict[str, Any]) -> None:
        """Go on counting."""
        if state:
            self.watch.load(state)

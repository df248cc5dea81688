"""What a training asks about itself while it runs: numbers for its curve, and whether it must go back."""

from typing import Any

from training.run.recorder import Recorder


class Validation:
    """Looks at nothing and is content with everything: a training that measures its loss alone.

    Attributes:
        score: of the last step that was looked at, the lower the better; None where nothing was scored then.
        rolls_back: whether a training that has gone wrong can go back to a checkpoint.
    """

    score: float | None = None
    rolls_back: bool = False

    def begin(self) -> bool:
        """Look before the first step; returns whether the start is to be kept as a checkpoint."""
        return False

    def measure(self, done: int, saving: bool, recorder: Recorder) -> dict[str, float]:
        """Numbers for the row of a step that was applied, after `done` steps; `saving` where a checkpoint is due."""
        return {}

    def verdict(self, row: dict[str, float]) -> str | None:
        """Say why the training must go back after a step with these numbers; None where it may go on."""
        return None

    def sound(self, looked: bool) -> bool:
        """Whether a checkpoint made now is one to go back to; `looked`: `measure` was asked with `saving`."""
        return True

    def go_back(self, step: int, saved: int, reason: str) -> dict[str, Any]:
        """Note a roll-back from `step` to the checkpoint of `saved`; returns what the event says.

        Raises:
            RuntimeError: this kind of training never goes back.
        """
        raise RuntimeError(f"this training cannot go back from step {step} to {saved}: {reason}")

    def state(self) -> dict[str, Any]:
        """JSON values for the checkpoint."""
        return {}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave before the interruption; {} at a first start."""

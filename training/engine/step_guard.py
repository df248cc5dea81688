"""Guard of a training loop: non-finite steps are counted and end a run that has too many in a row, unusual gradients are noted."""

import math
import statistics
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from media.user_error import UserError
from profiles.schema import EngineConfig
from training.run.recorder import Recorder

WINDOW = 64
MODEL = "model"  # the name of a training's only engine


class NonFiniteLoss(UserError):
    """Too many non-finite steps in a row; the message names the clips of the last one.

    Attributes:
        reason: the message without its advice.
    """

    def __init__(self, reason: str, checkpoints: Path):
        super().__init__(
            f"{reason}; the last good checkpoint is kept in {checkpoints}. Look at these clips, or lower the learning rate"
        )
        self.reason = reason


@dataclass(frozen=True)
class EngineStep:
    """One optimiser step of one engine.

    Attributes:
        gradient_norm: global, before clipping. One that is not finite was applied by no rank (`take_step`).
        clip_ids: this rank's samples.
    """

    gradient_norm: float
    clip_ids: tuple[str, ...]


class StepGuard:
    """Looks at each step's gradient norms; its state goes into the checkpoint.

    Attributes:
        skipped: steps that were not applied, of the whole run.
        in_a_row: the last ones of them without an applied one between.
    """

    def __init__(self, config: EngineConfig, recorder: Recorder, state: dict[str, Any]):
        """`state` is what `state()` returned before the interruption, or {}."""
        self.limit, self.factor, self.recorder = config.nonfinite_limit, config.abnormal_gradient, recorder
        self.skipped, self.in_a_row = int(state.get("skipped", 0)), int(state.get("in_a_row", 0))
        self.norms: dict[str, deque[float]] = {MODEL: deque(state.get("norms", []), maxlen=WINDOW)}
        for name, norms in state.get("norms_of", {}).items():
            self.norms[name] = deque(norms, maxlen=WINDOW)

    def accepts(self, step: int, engines: Mapping[str, EngineStep]) -> bool:
        """Whether every engine that took part in the step applied it.

        Raises:
            NonFiniteLoss: this many steps in a row were not finite; nothing was written since the last checkpoint.
        """
        broken = {name: taken for name, taken in engines.items() if not math.isfinite(taken.gradient_norm)}
        if not broken:
            for name, taken in engines.items():
                self._compare(step, name, taken)
            self.in_a_row = 0
            return True
        self.skipped += 1
        self.in_a_row += 1
        clips = of_all_ranks(clip for taken in broken.values() for clip in taken.clip_ids)
        self.recorder.event(step, f"non-finite step{_of(*broken)} skipped", clips=clips)
        if self.in_a_row >= self.limit:
            raise NonFiniteLoss(
                f"{self.in_a_row} steps in a row had a non-finite loss or gradient, the last at step {step}{_of(*broken)} with clips {clips}",
                self.recorder.work / "checkpoints",
            )
        return False

    def _compare(self, step: int, name: str, taken: EngineStep) -> None:
        norm, norms = taken.gradient_norm, self.norms.setdefault(name, deque(maxlen=WINDOW))
        if len(norms) >= WINDOW // 4 and norm > self.factor * (median := statistics.median(norms)):
            clips = of_all_ranks(taken.clip_ids)
            self.recorder.event(step, f"abnormal gradient norm{_of(name)}", norm=norm, median=median, clips=clips)
        norms.append(norm)

    def state(self) -> dict[str, Any]:
        """JSON values for the checkpoint."""
        state = {"skipped": self.skipped, "in_a_row": self.in_a_row, "norms": list(self.norms[MODEL])}
        others = {name: list(norms) for name, norms in self.norms.items() if name != MODEL}
        return state | ({"norms_of": others} if others else {})


def _of(*names: str) -> str:
    """Which engine an event is of, where a training has several."""
    return "".join(f" of the {name}" for name in names if name != MODEL)


def of_all_ranks(clip_ids: Iterable[str]) -> list[str]:
    """Every rank's clips, in order. The norm is global, so all ranks come here together."""
    gathered: list[tuple[str, ...]] = [()] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, tuple(clip_ids))
    return [clip for part in gathered for clip in part]

"""Guards of a training loop: non-finite steps are skipped and counted, unusual gradients are noted."""

import math
import statistics
from collections import deque
from typing import Any

import torch

from profiles.schema import EngineConfig
from training.engine.deepspeed_engine import NonFiniteLoss
from training.run.recorder import Recorder

WINDOW = 64


class Guard:
    """Looks at each step's gradient norm; its state goes into the checkpoint."""

    def __init__(self, config: EngineConfig, recorder: Recorder, state: dict[str, Any]):
        """`state` is what `state()` returned before the interruption, or {}."""
        self.limit, self.factor, self.recorder = config.nonfinite_limit, config.abnormal_gradient, recorder
        self.skipped, self.in_a_row = int(state.get("skipped", 0)), int(state.get("in_a_row", 0))
        self.norms: deque[float] = deque(state.get("norms", []), maxlen=WINDOW)

    def accepts(self, step: int, norm: float, clip_ids: tuple[str, ...]) -> bool:
        """Whether the step was applied.

        Raises:
            NonFiniteLoss: this many steps in a row were not finite; nothing was written since the last checkpoint.
        """
        if math.isfinite(norm):
            self._compare(step, norm, clip_ids)
            self.norms.append(norm)
            self.in_a_row = 0
            return True
        self.skipped += 1
        self.in_a_row += 1
        clips = of_all_ranks(clip_ids)
        self.recorder.event(step, "non-finite step skipped", clips=clips)
        if self.in_a_row >= self.limit:
            raise NonFiniteLoss(
                f"{self.in_a_row} steps in a row had a non-finite loss or gradient, the last at step {step} with clips {clips}; "
                f"the last good checkpoint is kept in {self.recorder.work / 'checkpoints'}. Look at these clips, or lower the learning rate"
            )
        return False

    def _compare(self, step: int, norm: float, clip_ids: tuple[str, ...]) -> None:
        if len(self.norms) < WINDOW // 4:
            return
        median = statistics.median(self.norms)
        if norm > self.factor * median:
            self.recorder.event(step, "abnormal gradient norm", norm=norm, median=median, clips=of_all_ranks(clip_ids))

    def state(self) -> dict[str, Any]:
        """JSON values for the checkpoint."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row, "norms": list(self.norms)}


def of_all_ranks(clip_ids: tuple[str, ...]) -> list[str]:
    """Every rank's clips, in order. The norm is global, so all ranks come here together."""
    gathered: list[tuple[str, ...]] = [()] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, clip_ids)
    return [clip for part in gathered for clip in part]

"""When adversarial training has collapsed: a gap that stays, diversity that is lost, a value that is not finite."""

import math
from dataclasses import dataclass, field
from typing import Any

from media.user_error import UserError
from profiles.schema import CollapseConfig


class Collapsed(UserError):
    """The run collapsed more often than it may; the message says why each time and what to change."""


@dataclass
class CollapseWatch:
    """Reads one row of numbers per update. Its state is part of every checkpoint, so a resume decides alike.

    Attributes:
        config: the limits.
        start: diversity measures at the start of the phase.
        over: updates in a row with the gap above its limit.
        rollbacks: what happened so far: `step`, `back_to`, `reason` each.
    """

    config: CollapseConfig
    start: dict[str, float] = field(default_factory=dict)
    over: int = 0
    rollbacks: list[dict[str, Any]] = field(default_factory=list)

    def observe(self, row: dict[str, float]) -> str | None:
        """The reason why this update is a collapse, or None. `row` holds shares of the start under `diversity/...`; an update without
        a discriminator has no gap."""
        broken = sorted(name for name, value in row.items() if not math.isfinite(value))
        if broken:
            return f"not finite: {', '.join(broken)}"
        self.over = self.over + 1 if row.get("logit_gap", 0.0) > self.config.gap_limit else 0
        if self.over >= self.config.gap_updates:
            return f"logit gap above {self.config.gap_limit:g} for {self.over} updates, now {row['logit_gap']:.3g}"
        for name, share in row.items():
            if name.startswith("diversity/") and share < self.config.diversity_min:
                return f"{name} is {share:.3g} of its start, the limit is {self.config.diversity_min:g}"
        return None

    @property
    def healthy(self) -> bool:
        """No rule is counting: a checkpoint made now is one to go back to."""
        return self.over == 0

    def note(self, step: int, back_to: int, reason: str) -> str:
        """Remember a roll-back from `step` and return the line that says so.

        Raises:
            Collapsed: it was one too many.
        """
        if len(self.rollbacks) >= self.config.max_rollbacks:
            told = "; ".join(
                [f"update {r['step']}: {r['reason']}" for r in self.rollbacks] + [f"update {step}: {reason}"]
            )
            raise Collapsed(
                f"collapsed {len(self.rollbacks) + 1} times, {self.config.max_rollbacks} roll-backs are allowed ({told}); "
                f"the last good checkpoint is that after update {back_to}. Lower the discriminator's learning rate, raise "
                "penalty_weight or batch_size, or take the relativistic objective"
            )
        self.rollbacks.append({"step": step, "back_to": back_to, "reason": reason})
        self.over = 0
        return f"update {step} collapsed ({reason}); back to update {back_to}, other samples from there"

    def state(self) -> dict[str, Any]:
        """For a checkpoint, in JSON's types."""
        return {"start": self.start, "over": self.over, "rollbacks": self.rollbacks}

    def load(self, state: dict[str, Any]) -> None:
        """What `state` gave."""
        self.start, self.over, self.rollbacks = state["start"], state["over"], list(state["rollbacks"])

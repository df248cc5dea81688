"""training/train.py, held at a moment that is known: while the file `hold` beside the job names a step whose checkpoint is written, it
begins no other step, unless it is asked to stop."""

import json
import sys
import time
from pathlib import Path

from training import train
from training.run.stopping import StopRequest

asked = StopRequest.asked


def step_of(work: Path) -> int:
    """The last one whose checkpoint is written."""
    latest = work / "checkpoints" / "latest.json"
    return json.loads(latest.read_text())["step"] if latest.is_file() else 0


def asked_when_let_go(self: StopRequest) -> bool:
    """After each step."""
    hold = self.path.with_name("hold")
    while hold.is_file() and step_of(hold.parent) >= int(hold.read_text()) and not self.path.exists():
        time.sleep(0.01)
    return asked(self)


if __name__ == "__main__":
    StopRequest.asked = asked_when_let_go  # type: ignore[method-assign]
    sys.exit(train.main())

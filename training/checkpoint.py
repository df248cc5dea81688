"""Checkpoints of a running job: complete or absent, last k kept, found again after kill -9."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from media import flush_to_disk, sha256_of_file, write_atomically
from training.ema import ExponentialMovingAverage
from training.recorder import Recorder


class ResumeError(Exception):
    """A checkpoint that belongs to another configuration, or whose bytes changed."""


class Checkpoints:
    """Named engines and averages of one job under `work/checkpoints/step-N`, with `latest.json` naming the valid one."""

    def __init__(self, work: Path, fingerprint: str, keep: int):
        """`fingerprint` identifies configuration and data; a resume with another one is refused."""
        self.root, self.fingerprint, self.keep = work / "checkpoints", fingerprint, keep
        self.root.mkdir(parents=True, exist_ok=True)

    def save_when_due(
        self, step: int, total: int, every: int, recorder: Recorder, engines: dict[str, Any],
        averages: dict[str, ExponentialMovingAverage], state: dict[str, Any],
    ) -> None:
        """After `step` of `total` steps: every `every`, but not at the end, flush the curve and save."""
        if step % every == 0 and step < total:
            recorder.flush()
            self.save(step, engines, averages, state)

    def save(self, step: int, engines: dict[str, Any], averages: dict[str, ExponentialMovingAverage], state: dict[str, Any]) -> None:
        """Write everything, then point `latest.json` at it. All ranks call this; rank 0 writes the shared files."""
        tag = f"step-{step:07d}"
        for name, engine in engines.items():
            engine.save_checkpoint(str(self.root / tag / name), tag="engine", save_latest=False)
        if torch.distributed.get_rank() == 0:
            for name, average in averages.items():
                save_file(average.average, self.root / tag / f"average-{name}.safetensors")
            files = sorted(p for p in (self.root / tag).rglob("*") if p.is_file())
            for path in files:
                flush_to_disk(path)
            record = {
                "tag": tag, "step": step, "fingerprint": self.fingerprint, "state": state,
                "updates": {name: a.updates for name, a in averages.items()},
                "files": {str(p.relative_to(self.root)): sha256_of_file(p) for p in files},
            }
            write_atomically(self.root / "latest.json", json.dumps(record, indent=1).encode())
            self._prune(tag)
        torch.distributed.barrier()

    def load(self, engines: dict[str, Any], averages: dict[str, ExponentialMovingAverage]) -> tuple[int, dict[str, Any]]:
        """Restore the last valid checkpoint. Returns the step to go on from and the saved state; (0, {}) if there is none.

        Raises:
            ResumeError: other configuration or damaged bytes.
        """
        path = self.root / "latest.json"
        if not path.is_file():
            return 0, {}
        record = json.loads(path.read_text())
        if record["fingerprint"] != self.fingerprint:
            raise ResumeError(
                f"{path} was written by configuration {record['fingerprint']}, this run is {self.fingerprint}; "
                f"delete {self.root.parent} to start over"
            )
        for name, digest in record["files"].items():
            if not (self.root / name).is_file() or sha256_of_file(self.root / name) != digest:
                raise ResumeError(f"{self.root / name} is missing or changed since it was saved; delete {self.root.parent} to start over")
        for name, engine in engines.items():
            engine.load_checkpoint(str(self.root / record["tag"] / name), tag="engine")
        for name, average in averages.items():
            average.load(self.root / record["tag"] / f"average-{name}.safetensors", record["updates"][name])
        return int(record["step"]), record["state"]

    def _prune(self, newest: str) -> None:
        tags = sorted(p for p in self.root.iterdir() if p.is_dir())
        for stale in [p for p in tags if p.name > newest] + [p for p in tags if p.name <= newest][: -self.keep]:
            shutil.rmtree(stale)

"""Checkpoints of a running job: complete or absent, the last k and the best kept, found again after kill -9."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import load_file, save_file

from media import flush_to_disk, sha256_of_file, write_atomically
from media.user_error import UserError
from training.engine.ema import ExponentialMovingAverage
from training.run.stopping import StopRequest


class ResumeError(UserError):
    """A checkpoint that belongs to another configuration, or whose bytes changed."""


class Checkpoints:
    """Named engines and averages of one job under `work/checkpoints/step-N`, with `latest.json` naming the valid one.

    `best.json` names the one with the lowest held-out loss, where the job measures it, `sound.json` the last one to roll back to.
    """

    def __init__(self, work: Path, fingerprint: str, keep: int):
        """`fingerprint` identifies configuration and data; a resume with another one is refused."""
        self.root, self.fingerprint, self.keep = work / "checkpoints", fingerprint, keep
        self.root.mkdir(parents=True, exist_ok=True)
        self.stop = StopRequest(work)

    def save(
        self,
        step: int,
        engines: dict[str, Any],
        averages: dict[str, ExponentialMovingAverage],
        state: dict[str, Any],
        score: float | None = None,
        sound: bool = True,
    ) -> None:
        """Write everything, then point `latest.json` at it. All ranks call this; rank 0 writes the shared files.

        Args:
            step: optimiser steps done.
            engines, averages: what `load` restores, by name.
            state: JSON values for the caller.
            score: a held-out loss; the checkpoint with the lowest is kept beside the last ones.
            sound: whether it is one to roll back to; the last such one is kept too.
        """
        tag = f"step-{step:07d}"
        rank, ranks = torch.distributed.get_rank(), torch.distributed.get_world_size()
        for name, engine in engines.items():
            engine.save_checkpoint(str(self.root / tag / name), tag="engine", save_latest=False)
        save_file(random_state(), self.root / tag / f"random-{rank:04d}.safetensors")
        for name, average in averages.items():
            whole = average.whole()
            if rank == 0:
                save_file(whole, self.root / tag / f"average-{name}.safetensors")
        torch.distributed.barrier()
        if rank == 0:
            files = sorted(p for p in (self.root / tag).rglob("*") if p.is_file())
            for path in files:
                flush_to_disk(path)
            record = {
                "tag": tag,
                "step": step,
                "fingerprint": self.fingerprint,
                "ranks": ranks,
                "score": score,
                "state": state,
                "updates": {name: a.updates for name, a in averages.items()},
                "files": {str(p.relative_to(self.root)): sha256_of_file(p) for p in files},
            }
            self._publish(record, sound)
            self._prune(tag)
        torch.distributed.barrier()

    def load(
        self,
        engines: dict[str, Any],
        averages: dict[str, ExponentialMovingAverage],
        name: Literal["latest", "sound"] = "latest",
    ) -> tuple[int, dict[str, Any]]:
        """Restore the last checkpoint, or the last sound one. Returns the step to go on from and the saved state; (0, {}) if there is none.

        Raises:
            ResumeError: other configuration or damaged bytes.
        """
        path = self.root / f"{name}.json"
        if not path.is_file():
            path = self.root / "latest.json"  # an older version wrote sound ones only, under this name alone
        if not path.is_file():
            return 0, {}
        record = json.loads(path.read_text())
        self._check(path, record)
        folder = self.root / record["tag"]
        for part, engine in engines.items():
            load_engine(engine, folder / part, record["ranks"])
        for part, average in averages.items():
            average.load(folder / f"average-{part}.safetensors", record["updates"][part])
        own = folder / f"random-{torch.distributed.get_rank():04d}.safetensors"
        if own.is_file():
            set_random_state(load_file(own))
        return int(record["step"]), record["state"]

    def _publish(self, record: dict[str, Any], sound: bool) -> None:
        encoded = json.dumps(record, indent=1).encode()
        if sound:
            write_atomically(self.root / "sound.json", encoded)
        best = self.root / "best.json"
        if record["score"] is not None and (
            not best.is_file() or record["score"] < json.loads(best.read_text())["score"]
        ):
            write_atomically(best, encoded)
        write_atomically(self.root / "latest.json", encoded)

    def _check(self, path: Path, record: dict[str, Any]) -> None:
        if record["fingerprint"] != self.fingerprint:
            raise ResumeError(
                f"{path} was written by configuration {record['fingerprint']}, this run is {self.fingerprint}; "
                f"delete {self.root.parent} to start over"
            )
        for name, digest in record["files"].items():
            if not (self.root / name).is_file() or sha256_of_file(self.root / name) != digest:
                raise ResumeError(
                    f"{self.root / name} is missing or changed since it was saved; delete {self.root.parent} to start over"
                )

    def _prune(self, newest: str) -> None:
        named = [self.root / name for name in ("best.json", "sound.json")]
        kept = {json.loads(path.read_text())["tag"] for path in named if path.is_file()}
        tags = sorted(p for p in self.root.iterdir() if p.is_dir())
        for stale in [p for p in tags if p.name > newest] + [p for p in tags if p.name <= newest][: -self.keep]:
            if stale.name not in kept:
                shutil.rmtree(stale)


def load_engine(engine: Any, folder: Path, ranks: int) -> None:
    """Restore a DeepSpeed engine from `folder/engine`, saved with `ranks` ranks.

    Without ZeRO any number of ranks can read it. ZeRO's optimiser state is cut by rank; for another number of ranks it is
    first rewritten by DeepSpeed's own universal conversion, once, beside the original.
    """
    if engine.zero_optimization_stage() == 0 or ranks == torch.distributed.get_world_size():
        engine.load_checkpoint(str(folder), tag="engine")
        return
    from training.engine.zero_universal import load_universal

    load_universal(engine, folder)


def random_state() -> dict[str, torch.Tensor]:
    """The torch generators of this process."""
    state = {"cpu": torch.get_rng_state()}
    return state | ({"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else {})


def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """Undo what happened to the generators since `random_state`."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

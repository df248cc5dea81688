"""What the recipes of the laptop profile's own small networks share: the engine they train through, and what they leave on record."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from training.engine.process_group import start_process_group


def start_engine(model: nn.Module, optimizer: torch.optim.Optimizer, batch: int) -> Any:
    """DeepSpeed's engine of one rank around a model and its optimiser, gradients clipped to 1."""
    import deepspeed

    config = {"train_micro_batch_size_per_gpu": batch, "gradient_clipping": 1.0, "steps_per_print": 10**9}
    start_process_group()
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config)
    return engine


def keep_latest(work: Path) -> None:
    """Of the states that an engine has saved in `work`, remove all but the last whole one."""
    latest = (work / "latest").read_text().strip()
    for folder in work.iterdir():
        if folder.is_dir() and folder.name != latest:
            shutil.rmtree(folder)


def write_record(
    output: Path, command: str, recipe: Any, seconds: float, held_out: dict[str, float], **more: Any
) -> None:
    """`RECIPE.json` beside the weights, and the same on standard output.

    Args:
        output: folder of the weights.
        command: what made them.
        recipe: a dataclass of all that decides the weights.
        seconds: of training.
        held_out: measurements on what was not trained on.
        more: further entries.
    """
    record = {"command": command, "recipe": asdict(recipe), "seconds": round(seconds), "held_out": held_out} | more
    (output / "RECIPE.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record), flush=True)

"""ZeRO checkpoints for another number of ranks, by DeepSpeed's own universal conversion."""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch

TAG = "universal"


def load_universal(engine: Any, folder: Path) -> None:
    """Load `folder/engine`, written with another number of ranks, by way of `folder/universal`."""
    if torch.distributed.get_rank() == 0 and not (folder / TAG).is_dir():
        convert(folder / "engine", folder / TAG)
    torch.distributed.barrier()
    configuration = engine._config
    configuration.load_universal_checkpoint = True
    try:
        engine.load_checkpoint(str(folder), tag=TAG)
    finally:
        configuration.load_universal_checkpoint = False


def convert(source: Path, destination: Path) -> None:
    """Rewrite ZeRO's per-rank files as one folder per parameter, whole or not at all."""
    from deepspeed.checkpoint.ds_to_universal import main

    draft = destination.with_name(destination.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    main(
        argparse.Namespace(
            input_folder=str(source),
            output_folder=str(draft),
            num_extract_workers=1,
            num_merge_workers=1,
            keep_temp_folder=False,
            strict=True,
            inject_missing_state=True,
        )
    )
    draft.rename(destination)

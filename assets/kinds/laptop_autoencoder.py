"""Retrains the small video autoencoder that the laptop profile ships with. Outside the flow: nothing depends on it."""

import json
import shutil
import sys
from pathlib import Path

import training
from assets.core.steps import AssetError, Execution, Metadata
from training.run.launch import Process, launch_environment


def make_laptop_autoencoder(execution: Execution) -> Metadata:
    """Run the recipe under the DeepSpeed launcher; the result is to be compared with the one that ships, and copied."""
    output = execution.workspace.data("laptop_autoencoder")
    draft = output.parent / f".tmp-{output.name}"
    shutil.rmtree(draft, ignore_errors=True)
    script = Path(training.__file__).parent / "recipes" / "autoencoder.py"
    launcher = [sys.executable, "-m", "deepspeed.launcher.runner", "--num_gpus", "1", "--master_addr", "127.0.0.1"]
    execution.launch(Process([*launcher, str(script), "--output", str(draft)], launch_environment()))
    if not (draft / "RECIPE.json").is_file():
        raise AssetError(f"the autoencoder's training ended without {draft / 'RECIPE.json'}; see its log above")
    shutil.rmtree(output, ignore_errors=True)
    draft.rename(output)
    record = json.loads((output / "RECIPE.json").read_text())
    return {"seconds": record["seconds"], **{f"held_out {k}": v for k, v in record["held_out"].items()}}

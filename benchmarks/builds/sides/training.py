"""A short training of stage 3, started as a build's product starts it: `... training FOLDER RESULT --snapshot FOLDER --steps N [--warm]`.

Warm, a training of one step comes first, as five others come before in a demo, and is not measured with it. RESULT gets wall and CPU seconds
from the start to the end of all its processes, tokens per second (the median of the steps, as the product records it) and every loss.
"""

import argparse
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from benchmarks.builds.sides.places import place
from profiles import load_profile

NAME, SECTION = "stage_3_checkpoint", "stage_3"


def main(arguments: list[str] | None = None) -> None:
    """Train and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="of this build: products, work, MLflow's store")
    parser.add_argument("result", type=Path)
    parser.add_argument("--snapshot", type=Path, required=True, help="holds snapshot/ and features/")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--warm", action="store_true")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    with (given.folder / "training.log").open("ab") as log:
        if given.warm:
            with place("warm_trainings")():
                first = _train(given.folder, given.snapshot, 1, _warm(given.folder, log))
                found = _train(given.folder, given.snapshot, given.steps, _warm(given.folder, log))
            found["wall of the first, which starts the server"] = first["wall"]
        else:
            found = _train(given.folder, given.snapshot, given.steps, _cold(given.folder, log))
    given.result.write_text(json.dumps(found))


def _cold(folder: Path, log: Any) -> Callable[[Any], Any]:
    return lambda process: subprocess.Popen(
        process.command, env=process.environment, cwd=folder, stdout=log, stderr=log
    )


def _warm(folder: Path, log: Any) -> Callable[[Any], Any]:
    return lambda process: place("start_process")(process, process.environment, folder, log.fileno())


def _train(folder: Path, inputs: Path, steps: int, start: Callable[[Any], Any]) -> dict[str, Any]:
    for made in ("output", "work"):
        shutil.rmtree(folder / made, ignore_errors=True)
    (folder / "work").mkdir()
    profile = load_profile("laptop", [f"{SECTION}.steps={steps}"])
    job = place("TrainingJob")(
        kind="stage", name=NAME, profile_values=profile.model_dump(mode="json"), section=SECTION, snapshot=str(inputs / "snapshot"),
        features_root=str(inputs / "features"), output=str(folder / "output"), work=str(folder / "work"),
        tracking_uri=f"sqlite:///{folder / 'mlflow.db'}", progress=str(folder / "progress.json"),
    )  # fmt: skip
    job_file = job.write(folder / "work" / "job.json")
    process = place("training_process")(job_file, profile.engine)
    used, began = cpu_of_tree(), time.perf_counter()
    code = start(process).wait()
    wall, used = time.perf_counter() - began, cpu_of_tree() - used
    if code:
        raise SystemExit(f"the training ended with {code}; see {folder / 'training.log'}")
    record = json.loads((folder / "output" / "record.json").read_text())
    losses = pd.read_parquet(folder / "output" / "losses.parquet")["loss"]
    return {
        "wall": wall,
        "cpu": used,
        "tokens per second": record["tokens_per_second"],
        "losses": [float(loss) for loss in losses],
    }


def cpu_of_tree() -> float:
    """CPU seconds of all that this process has started: what has ended and was waited for, and what runs."""
    own = psutil.Process()
    seconds = own.cpu_times().children_user + own.cpu_times().children_system
    for child in own.children(recursive=True):
        seconds += sum(child.cpu_times()[:4])
    return seconds


if __name__ == "__main__":
    main()

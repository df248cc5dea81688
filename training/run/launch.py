"""How the training script is started: always by the DeepSpeed launcher, on one machine or by hostfile on many.

`python -m training.run.launch --job JOB.json` becomes that launcher. Who starts a training on another machine uses it: free port,
interpreter and accelerator are then those of the machine that trains.
"""

import argparse
import base64
import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from omnihuman import wait_briefly
from profiles.schema import EngineConfig

SCRIPT = Path(__file__).parents[1] / "train.py"
# The process that asked for the training. When it is gone, killed too, the ranks stop: a second attempt must not find the
# first one still writing.
LAUNCHER_VARIABLE = "OMNIHUMAN_LAUNCHER_PID"


@dataclass(frozen=True)
class Process:
    """A process to be started here: argument list and whole environment. With `job` it is a training, which can be started elsewhere too."""

    command: list[str]
    environment: dict[str, str]
    job: Path | None = None


@dataclass(frozen=True)
class Place:
    """This machine, number `node` of the `nodes` of one training, whose ranks meet at `address`:`port` of the first."""

    nodes: int
    node: int
    address: str
    port: int


def place_of_pet(environment: Mapping[str, str]) -> Place:
    """As torch's runtimes of Kubeflow Trainer say it to torchrun, whose part DeepSpeed's launcher takes here.

    Raises:
        KeyError: a variable is missing.
    """
    return Place(
        int(environment["PET_NNODES"]),
        int(environment["PET_NODE_RANK"]),
        environment["PET_MASTER_ADDR"],
        int(environment["PET_MASTER_PORT"]),
    )


def training_process(job_file: Path, engine: EngineConfig, place: Place | None = None) -> Process:
    """The training of `job_file` on `engine.ranks` ranks per node, of this machine, of `engine.hostfile`, or of this one among those of `place`."""
    return Process(launch_command(job_file, engine, place), launch_environment(), job_file)


def launch_command(job_file: Path, engine: EngineConfig, place: Place | None = None) -> list[str]:
    """The argument list (never a shell string) that trains `job_file` on `engine.ranks` ranks per node."""
    if place is not None:
        launcher = [
            sys.executable,
            "-u",
            "-m",
            "deepspeed.launcher.launch",
            f"--world_info={_nodes(engine.ranks, place.nodes)}",
            f"--node_rank={place.node}",
            f"--master_addr={place.address}",
            f"--master_port={place.port}",
        ]
    elif engine.hostfile is None:
        # What the runner starts on each node, without the runner: it would import torch once more just to find one node.
        launcher = [
            sys.executable,
            "-u",
            "-m",
            "deepspeed.launcher.launch",
            f"--world_info={_nodes(engine.ranks)}",
            "--master_addr=127.0.0.1",
            f"--master_port={_free_port()}",
        ]
    else:
        # DeepSpeed's runner hands a few variables on to the other machines; training.run.hostfile has it hand on the rest.
        launcher = [sys.executable, "-m", "training.run.hostfile", "--master_port", str(_free_port())]
        launcher += ["--hostfile", engine.hostfile, "--num_gpus", str(engine.ranks)]
    supervised = [sys.executable, "-m", "training.run.supervise", str(job_file.with_name("stop"))]
    return [*supervised, *launcher, str(SCRIPT), "--job", str(job_file)]


def launch_environment() -> dict[str, str]:
    """Environment for the launcher: how long threads wait, and on a machine without a GPU what keeps Muon's kernels from being compiled for minutes."""
    environment = dict(os.environ) | {LAUNCHER_VARIABLE: str(os.getpid())}
    root = str(SCRIPT.parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH", "")]))
    wait_briefly(environment)
    if not has_gpu():
        environment.setdefault("DS_ACCELERATOR", "cpu")
        environment.setdefault("TORCH_COMPILE_DISABLE", "1")
    return environment


def has_gpu() -> bool:
    """Whether this machine has a GPU's driver; asks neither torch nor DeepSpeed, which says on standard output that it found none."""
    return any(Path(f"/dev/{name}").exists() for name in ("nvidia0", "kfd"))


def _nodes(ranks: int, nodes: int = 1) -> str:
    """DeepSpeed's description of the nodes: base64 of a JSON of devices by host. Of the others only their number counts.

    The launcher overwrites CUDA_VISIBLE_DEVICES by these; so where a scheduler has named devices, they are the ones.
    """
    given = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    devices: list[str] | list[int] = given[:ranks] if len(given) >= ranks else list(range(ranks))
    names = ["localhost"] if nodes == 1 else [f"node-{number}" for number in range(nodes)]
    return base64.urlsafe_b64encode(json.dumps(dict.fromkeys(names, devices)).encode()).decode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main() -> None:
    """Become the DeepSpeed launcher of a job: signals for this process then reach it, and it ends all ranks."""
    from training.run.jobs import TrainingJob

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--job", type=Path, required=True, help="job file written by training.run.jobs.TrainingJob.write"
    )
    parser.add_argument(
        "--from-pet",
        action="store_true",
        help="one of several machines that train together, as the variables PET_* say",
    )
    options = parser.parse_args()
    job, place = options.job, place_of_pet(os.environ) if options.from_pet else None
    process = training_process(job, TrainingJob.read(job).profile.engine, place)
    os.execve(process.command[0], process.command, process.environment)


if __name__ == "__main__":
    main()

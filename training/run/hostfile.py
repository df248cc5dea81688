"""DeepSpeed's runner for the machines of a hostfile, with the variables that the ranks there need.

The runner starts the ranks by ssh, where nothing of this process's environment arrives but what a file lists (`DS_ENV_FILE`).
"""

import os
import sys
from pathlib import Path

from media import write_atomically

EXPORTED = (
    "DAGSTER_PIPES_",
    "OMNIHUMAN_LAUNCHER_BEAT",
    "DS_ACCELERATOR",
    "TORCH_COMPILE_DISABLE",
    "HF_HUB_",
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "GOMP_SPINCOUNT",
    "AWS_",
)


def main() -> None:
    """Write the file beside the job file, and become the runner."""
    arguments = sys.argv[1:]
    job = Path(arguments[arguments.index("--job") + 1])
    path = job.with_name("environment")
    write_atomically(
        path, "".join(f"{name}={value}\n" for name, value in sorted(exported(dict(os.environ)).items())).encode()
    )
    path.chmod(0o600)  # credentials may be among them
    os.execve(
        sys.executable,
        [sys.executable, "-m", "deepspeed.launcher.runner", *arguments],
        dict(os.environ) | {"DS_ENV_FILE": str(path)},
    )


def exported(environment: dict[str, str]) -> dict[str, str]:
    """What the ranks on other machines get. The pid of the process that asked is none of it: it means nothing there."""
    return {name: value for name, value in environment.items() if name.startswith(EXPORTED)}


if __name__ == "__main__":
    main()

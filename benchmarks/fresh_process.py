"""A fresh Python, and what it used."""

import os
import resource
import subprocess
import sys
from pathlib import Path


def usage_of(arguments: list[str], checkout: Path, home: Path) -> resource.struct_rusage:
    """What `python ARGUMENTS`, run in a checkout with a home, used with all that it waited for: CPU seconds, peak memory.

    Raises:
        RuntimeError: it failed.
    """
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMNIHUMAN_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=checkout,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        # Not wait(): what this very child used is wanted.
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}:\n{said.decode()[-2000:]}")
    return used

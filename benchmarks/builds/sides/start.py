"""Runs `MODULE ARGUMENTS` of this checkout's benchmarks in the Python and on the modules of another: `python start.py MODULE ARGUMENTS`.

The other checkout is first on PYTHONPATH and has a folder `benchmarks` of its own; modules that it lacks there are found here.
"""

import runpy
import sys
from pathlib import Path

BENCHMARKS = str(Path(__file__).resolve().parents[2])


def main(module: str) -> None:
    """Run it as `python -m` would, with the arguments that follow its name."""
    import benchmarks

    if BENCHMARKS not in benchmarks.__path__:
        benchmarks.__path__.append(BENCHMARKS)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    del sys.argv[0]
    main(sys.argv[0])

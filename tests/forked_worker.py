"""`python tests/forked_worker.py ARGUMENTS`: what `python ARGUMENTS` does, in a process that the session's server forks.

pytest-xdist starts its workers by it, and Ray its own where a test says so (`tests.assets.ray_cluster`), so that what they all import is
imported once. Imports little itself. A signal is passed on, and where this process is killed the forked one is too.
"""

import os
import signal
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ADDRESS_VARIABLE = "OMNIHUMAN_TEST_FORKS"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    from training.run.forked import fork

    address, asked = Path(os.environ[ADDRESS_VARIABLE]), [os.getpid(), *sys.argv[1:]]
    process = fork(address, "tests.forked:worker", asked, dict(os.environ), Path.cwd(), 1, 2)
    for passed_on in (signal.SIGTERM, signal.SIGINT):
        signal.signal(passed_on, lambda number, frame: os.kill(process.pid, number))
    sys.exit(process.wait())

"""`python -m orchestration.with_parent MODULE ARGUMENTS`: `python -m MODULE ARGUMENTS`, asked to end when the process that started it has ended.

Ctrl-C and SIGTERM let `omnihuman ui` end its servers itself; killed, it cannot, and five servers and their code servers would go on.
"""

import os
import signal
import sys

from training.run.supervise import end_with_parent


def main() -> None:
    """Become that process: the kernel keeps the wish over `exec`."""
    starter = os.getppid()
    end_with_parent()
    # Ignored or blocked signals would be handed on.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
    if os.getppid() != starter:  # it ended meanwhile
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])


if __name__ == "__main__":
    main()

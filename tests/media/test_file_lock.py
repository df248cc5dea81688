"""A file's lock: one holder among processes and threads, and free however the holder ended."""

import fcntl
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from filelock import Timeout

from media.file_lock import file_lock

FORK = multiprocessing.get_context("fork")


def _hold(path: Path, holds, with_child: bool) -> None:
    with file_lock(path):
        child = os.fork() if with_child else 0
        if with_child and child == 0:
            time.sleep(60)
            os._exit(0)
        holds.put(child)
        time.sleep(60)


@pytest.mark.parametrize("with_child", [False, True])
def test_a_killed_holder_leaves_it_free_although_a_child_that_it_forked_lives_on(tmp_path, with_child):
    path, holds = tmp_path / "new" / "lock", FORK.Queue()
    holder = FORK.Process(target=_hold, args=(path, holds, with_child))
    holder.start()
    child = holds.get(timeout=60)
    with pytest.raises(Timeout):
        file_lock(path).acquire(timeout=0)
    holder.kill()
    holder.join()
    if with_child:
        os.kill(child, 0)  # it lives
    with file_lock(path).acquire(timeout=0):
        pass
    if with_child:
        os.kill(child, signal.SIGKILL)


def test_a_thread_waits_for_another_and_for_itself_it_is_an_error(tmp_path):
    path, order = tmp_path / "lock", []

    def wait() -> None:
        with file_lock(path):
            order.append("second")

    with file_lock(path):
        thread = threading.Thread(target=wait)
        thread.start()
        with pytest.raises(RuntimeError, match="already held"):
            file_lock(path).acquire()
        time.sleep(0.2)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def test_a_process_of_an_older_version_that_holds_it_by_flock_is_waited_for(tmp_path):
    """And what the file says stays: the demo's lock says whose it is."""
    path = tmp_path / "lock"
    path.write_text("process 1")
    with path.open("a") as older:
        fcntl.flock(older, fcntl.LOCK_EX)
        with pytest.raises(Timeout):
            file_lock(path).acquire(timeout=0)
    with file_lock(path):
        assert path.read_text() == "process 1"

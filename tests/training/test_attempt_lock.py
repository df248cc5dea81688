"""Two attempts at one work folder: the second waits as long as an orphan may take to end, then says so."""

import threading
import time

import pytest

from training.run import attempt_lock
from training.run.attempt_lock import BusyError, hold_alone


def test_a_second_attempt_is_refused_after_its_patience_and_goes_on_where_the_first_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(attempt_lock, "PATIENCE", 0.1)
    first = hold_alone(tmp_path / "work")
    with pytest.raises(
        BusyError, match=f"another process is training into {tmp_path / 'work'}; wait for it or stop it"
    ):
        hold_alone(tmp_path / "work")
    monkeypatch.setattr(attempt_lock, "PATIENCE", 30.0)
    began = time.monotonic()
    threading.Timer(0.3, first.lock.release).start()
    with hold_alone(tmp_path / "work"):
        assert 0.2 < time.monotonic() - began < 20

"""Servers end with whoever started them, also when he is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
STARTER = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as whoever started it may have it, and hand it on
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
server = subprocess.Popen([sys.executable, "-m", "orchestration.with_parent", "http.server", "0", "--bind", "127.0.0.1"],
                          stdout=subprocess.PIPE, start_new_session=True, text=True)
server.stdout.readline()  # it serves
print(server.pid, flush=True)
time.sleep(600)
"""


def test_a_server_ends_when_its_starter_is_killed():
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdout=subprocess.PIPE, env=environment, text=True
    ) as starter:
        server = psutil.Process(int(starter.stdout.readline()))
        assert server.cmdline()[1:4] == ["-m", "http.server", "0"], "it is that process itself, as a log or ps shows it"
        starter.send_signal(signal.SIGKILL)
        server.wait(timeout=300)

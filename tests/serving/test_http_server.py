"""A server that is told to end before it listens for that."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_before_uvicorn_listens_for_it_ends_the_server(number):
    """In a process of its own: handlers of signals are the process's."""
    program = f"""
        import os, uvicorn
        from serving.http.http_server import listen, run_app
        run = uvicorn.Server.run
        def told_before(self, sockets):
            os.kill(os.getpid(), {int(number)})
            run(self, sockets)
        uvicorn.Server.run = told_before
        async def app(scope, receive, send): raise AssertionError
        raise SystemExit(run_app(app, listen("127.0.0.1", 0), 1))
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], timeout=120, env=os.environ, check=False, capture_output=True
    )
    assert ended.returncode == 0, ended.stderr

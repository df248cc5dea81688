"""A store that answers what S3 clients ask of it, sizes and ranges of objects, and gives so many bytes a second.

`python -m benchmarks.training.limited_store FILES RATE` prints its port: FILES is a JSON object of paths by object name, RATE in
bytes a second. It is a process of its own that imports little and copies nothing: what it serves keeps its cores.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class LimitedStore(ThreadingHTTPServer):
    """Objects by name, from files; all answers together at most `rate` bytes a second."""

    daemon_threads = True

    def __init__(self, files: dict[str, Path], rate: float):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files, self.rate = files, rate
        self._lock, self._free = threading.Lock(), 0.0

    def wait_for(self, size: int) -> None:
        """Until the line has carried so many bytes more."""
        with self._lock:
            self._free = max(self._free, time.monotonic()) + size / self.rate
            until = self._free
        time.sleep(max(0.0, until - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    server: LimitedStore
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""

    def _answer(self) -> None:
        path = self.server.files.get(self.path.partition("?")[0].lstrip("/"))
        size = 0 if path is None else path.stat().st_size
        first, last = 0, size - 1
        if asked := self.headers.get("Range"):
            begin, _, end = asked.removeprefix("bytes=").partition("-")
            first, last = int(begin), min(int(end or last), last)
        length = last - first + 1
        self.send_response(404 if path is None else 206 if asked else 200)
        self.send_header("Content-Length", str(length if path else 0))
        self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", "Mon, 30 Nov 2026 00:00:00 GMT")
        if path is None or self.command == "HEAD":
            self.end_headers()
            return
        self.server.wait_for(length)
        self.end_headers()
        self.wfile.flush()
        with path.open("rb") as file:
            while length:
                sent = os.sendfile(self.connection.fileno(), file.fileno(), first, length)
                first, length = first + sent, length - sent

    do_GET = do_HEAD = _answer


@contextmanager
def limited_store(files: dict[str, Path], rate: float, folder: Path) -> Iterator[str]:
    """The address of one, in a process of its own, while the block runs.

    Args:
        files: by object name, the bucket's first.
        rate: bytes a second.
        folder: for the list of them.
    """
    listed = folder / "objects.json"
    listed.write_text(json.dumps({name: str(path) for name, path in files.items()}))
    command = [sys.executable, "-m", __name__, str(listed), str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


if __name__ == "__main__":
    store = LimitedStore(
        {n: Path(at) for n, at in json.loads(Path(sys.argv[1]).read_text()).items()}, float(sys.argv[2])
    )
    print(store.server_port, flush=True)
    store.serve_forever()

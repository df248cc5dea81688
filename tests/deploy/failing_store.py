"""A store with faults, between a client and the real S3 server of the tests: busy, slow, refusing."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlparse


class FailingStore(ThreadingHTTPServer):
    """Hands requests on. `busy`: so many of the next are answered with 503; `refuse`: S3's code for all; `delay`: seconds before each;
    `asked`: method and range of each."""

    daemon_threads = True

    def __init__(self, behind: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlparse(behind).netloc
        self.busy, self.refuse, self.delay = 0, "", 0.0
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FailingStore
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        """Nothing is printed."""

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        store = self.server
        time.sleep(store.delay)
        with store.lock:
            store.asked.append((self.command, self.headers.get("Range", "")))
            busy, store.busy = store.busy > 0, max(0, store.busy - 1)
        if busy or store.refuse:
            self._error(503 if busy else 403, "SlowDown" if busy else store.refuse)
            return
        behind = http.client.HTTPConnection(store.behind)
        behind.request(self.command, self.path, body, dict(self.headers))
        answer = behind.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length", "0") if self.command == "HEAD" else str(len(data))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(data)
        behind.close()

    def _error(self, status: int, code: str) -> None:
        said = "The provided token has expired." if code == "ExpiredToken" else code
        data = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{said}</Message></Error>".encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on


@contextmanager
def failing_store(behind: str) -> Iterator[FailingStore]:
    """It, while the block runs."""
    with FailingStore(behind) as store:
        threading.Thread(target=store.serve_forever, daemon=True).start()
        yield store
        store.shutdown()

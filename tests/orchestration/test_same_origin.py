"""The check before every server: names it goes by, and whose page asks; over real HTTP with a real websocket."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from serving.http.http_server import listen
from serving.http.same_origin import SameOrigin

HERE, PICTURE = {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}
LINK = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
SEEN: list[str] = []


async def answer(request: Request) -> PlainTextResponse:
    size = sum([len(part) async for part in request.stream()])
    SEEN.append(request.method)
    return PlainTextResponse(f"{request.method} {size}")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST", "OPTIONS"]), WebSocketRoute("/ws", echo)])
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(SameOrigin(app, ("127.0.0.1", "[::1]", "pages.example")), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()


def ask(port: int, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, str]:
    """One request with exactly these headers, `_` for `-`; Host is the address unless it is given."""
    SEEN.clear()
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, "/", skip_host=True)
    for name, value in {"Host": f"127.0.0.1:{port}", **headers}.items():
        connection.putheader(name.replace("_", "-"), value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answered = connection.getresponse()
    return answered.status, answered.read().decode()


def test_programs_and_the_servers_own_pages_come_through_with_their_bodies(port):
    assert ask(port) == (200, "GET 0")
    own = {"Origin": f"http://127.0.0.1:{port}", **HERE}
    assert ask(port, "POST", b"x" * 3_000_000, **own) == (200, "POST 3000000")
    assert ask(port, Host=f"[::1]:{port}")[0] == 200
    # Behind a gateway that encrypts; both say no port, or one of them the usual one.
    assert ask(port, "POST", b"", Host="pages.example", Origin="https://pages.example:443")[0] == 200
    # A link in a mail, and one from MLflow's page to Dagster's.
    for site in ("cross-site", "same-site", "none"):
        assert ask(port, Sec_Fetch_Site=site, **LINK)[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1"])
def test_a_name_that_the_server_does_not_have_is_refused(port, host):
    status, said = ask(port, Host=host)
    assert status == 400 and "use the address that it printed" in said and not SEEN


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://127.0.0.1:1",
        "http://127.0.0.1",
        "file://",
        "http://[",
        "http://127.0.0.1:x",
    ],
)
@pytest.mark.parametrize("method", ["POST", "GET", "OPTIONS"])
def test_a_page_of_another_address_is_refused_also_one_of_this_machine(port, method, origin):
    status, said = ask(port, method, b"", Origin=origin)
    assert status == 403 and f"a page of {origin} may not ask" in said and not SEEN


def test_pictures_frames_and_forms_of_another_page_are_refused_without_an_origin_too(port):
    for site in ("cross-site", "same-site"):
        for kind in (PICTURE, {**LINK, "Sec-Fetch-Dest": "iframe"}, {}):
            assert ask(port, Sec_Fetch_Site=site, **kind)[0] == 403 and not SEEN
        assert ask(port, "POST", b"", Sec_Fetch_Site=site, **LINK)[0] == 403 and not SEEN


def test_websockets_are_checked_as_requests_are(port):
    address = f"ws://127.0.0.1:{port}/ws"
    with connect(address, origin=f"http://127.0.0.1:{port}") as socket:
        socket.send("hello")
        assert socket.recv() == "hello"
    for strange in ({"origin": "http://evil.example"}, {"additional_headers": {"Host": "evil.example"}}):
        with pytest.raises(InvalidStatus, match="403"):
            connect(address, **strange)

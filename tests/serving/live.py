"""A live server in this process, with a small streaming model of random weights, and a client that speaks to it."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from websockets.sync.client import connect

from assets.core.workspace import Workspace
from omnihuman.pipeline import build_pipeline
from omnihuman.streaming.settings import Streaming
from profiles import load_profile
from puppets import render
from serving.http.clients import Clients
from serving.http.http_server import listen
from serving.http.request_limits import Limits
from serving.http.same_origin import SameOrigin
from serving.live.engine import LiveEngine
from serving.live.metrics import LiveMetrics
from serving.live.routes import PLACE, add_live
from serving.live.settings import LiveSettings
from serving.live.webrtc_routes import RtcSessions
from serving.model_choice import LoadedModel
from training.stages.model import build_transformer

PERSON = render(50_000_001, frames=49)
PROFILE = load_profile("laptop", ["transformer.num_layers=2"])


def picture() -> str:
    done, data = cv2.imencode(".png", cv2.cvtColor(PERSON.frames[-1], cv2.COLOR_RGB2BGR))
    assert done
    return base64.b64encode(data.tobytes()).decode()


def sound(seconds: float) -> np.ndarray:
    assert PERSON.audio is not None
    return (PERSON.audio[: round(16_000 * seconds)] * 2**15).clip(-(2**15), 2**15 - 1).astype("<i2")


def streaming_model() -> LoadedModel:
    pipeline = build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), 1)
    pipeline.register_to_config(streaming=Streaming(3, 2).record())
    return LoadedModel(pipeline, "streaming", "w" * 64, "s" * 64)


class Server:
    """What a test asks of the server beside its socket."""

    def __init__(self, engine: LiveEngine, registry: CollectorRegistry, port: int, rtc: RtcSessions):
        self.engine, self.registry, self.port, self.rtc = engine, registry, port, rtc

    def number(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    def connect(self, **options: Any) -> Any:
        return connect(f"ws://127.0.0.1:{self.port}{PLACE}", max_size=2**24, **options)


@contextmanager
def live_server(home: Path, settings: LiveSettings, keys: Any = None, limits: Limits | None = None) -> Iterator[Server]:
    engine = LiveEngine(
        Workspace(home, PROFILE),
        streaming_model(),
        settings,
        limits or Limits(may_drop=frozenset({"mark", "face_check"})),
    )
    registry, app = CollectorRegistry(), FastAPI()
    app.add_middleware(Clients, keys=keys, sending=4)
    app.add_middleware(SameOrigin)
    rtc = add_live(app, engine, LiveMetrics(registry, engine), home / "live")
    listening = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Server(engine, registry, listening.getsockname()[1], rtc)
    finally:
        server.should_exit = True
        thread.join(10)
        engine.close()


def begin(socket: Any, **settings: Any) -> dict[str, Any]:
    """Send `session.start` and return what comes first."""
    socket.send(json.dumps({"type": "session.start", "image": picture(), **settings}))
    said: dict[str, Any] = json.loads(socket.recv(timeout=60))
    return said


def say(socket: Any, kind: str, **more: Any) -> None:
    socket.send(json.dumps({"type": kind, **more}))


def hear(socket: Any, samples: np.ndarray, packet: int = 320) -> None:
    for start in range(0, len(samples), packet):
        socket.send(samples[start : start + packet].tobytes())


def rest(socket: Any) -> tuple[list[tuple[dict[str, Any], bytes]], dict[str, Any]]:
    """Everything until the session is done: metadata and bytes, and the last word."""
    parts = []
    while True:
        said = json.loads(socket.recv(timeout=60))
        if said["type"] != "video.chunk_metadata":
            return parts, said
        parts.append((said, socket.recv(timeout=60)))

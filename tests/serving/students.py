"""Tiny students in a registry of their own, and a server on them whose worker makes videos for real."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from starlette.testclient import TestClient

from assets.core.names import STUDENT
from assets.core.workspace import Workspace
from omnihuman.pipeline import build_pipeline
from serving.http.request_limits import Limits
from serving.http.server_metrics import ServerMetrics
from serving.model_choice import load_model, with_loras
from serving.versions.canary import CanaryRule
from serving.versions.follow import Follower
from serving.versions.served_models import ServedModels
from serving.videos.jobs import JobStore
from serving.videos.server import ServerSettings, build_app, make_worker, next_version
from tests.orchestration.serving import PROFILE, save_inputs
from tracking.model_address import CHAMPION, ModelAddress
from tracking.served_log import FILE, ServedLog
from training.stages.model import build_transformer

AT_ONCE = CanaryRule()
ALIAS = ModelAddress(STUDENT, CHAMPION)


def home_with_students(home: Path) -> Path:
    """Versions 1 and 2 differ in their weights, 3 draws grey whatever it is asked, 4 is of another frame rate; champion is 1."""
    workspace = Workspace(home, PROFILE)
    pipeline = build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), 1)

    def register(number: int) -> None:
        folder = home / f"student-{number}"
        pipeline.save_pretrained(folder, safe_serialization=True)
        assert workspace.registry.register(STUDENT, folder).version == number

    with torch.no_grad():
        register(1)
        pipeline.transformer.proj_out.weight.mul_(1.01)
        register(2)
        weights = {name: weight.clone() for name, weight in pipeline.vae.decoder.conv_out.named_parameters()}
        for weight in pipeline.vae.decoder.conv_out.parameters():
            weight.zero_()
        register(3)
        for name, weight in pipeline.vae.decoder.conv_out.named_parameters():
            weight.copy_(weights[name])
        pipeline.register_to_config(fps=25.0)
        register(4)
    workspace.registry.set_alias(STUDENT, CHAMPION, 1)
    save_inputs(home / "inputs")
    return home


class Served:
    """A server on a home of students, in this process: its HTTP side, its follower to be told when to look, and its models."""

    def __init__(self, client: TestClient, home: Path, models: ServedModels, follower: Follower, log: ServedLog):
        self.client, self.models, self.follower, self.log = client, models, follower, log
        self._registry, self._inputs = Workspace(home, PROFILE).registry, home / "inputs"

    def promote(self, number: int | None) -> None:
        """Move the champion's alias, None takes it away, and let the server look."""
        if number is None:
            self._registry.remove_alias(STUDENT, CHAMPION)
        else:
            self._registry.set_alias(STUDENT, CHAMPION, number)
        self.follower.look()

    def ask(self, seed: int = 0, **fields: str) -> str:
        """Post one short video; returns its id."""
        with open(self._inputs / "face.png", "rb") as face, open(self._inputs / "voice.wav", "rb") as voice:
            files = {"image": face, "audio": voice}
            answer = self.client.post("/v1/videos", files=files, data={"seconds": 0.25, "seed": seed, **fields})
        assert answer.status_code == 200, answer.text
        return answer.json()["id"]

    def made(self, job: str, patience: float = 120.0) -> dict[str, Any]:
        """The job as soon as it has ended."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            shown = self.client.get(f"/v1/videos/{job}").json()
            if shown["status"] in ("completed", "failed"):
                return shown
            time.sleep(0.02)
        raise AssertionError(shown)


@contextmanager
def served(home: Path, rule: CanaryRule = AT_ONCE, **settings: Any) -> Iterator[Served]:
    """A server on the champion of `home`, whose follower looks when it is told to."""
    workspace = Workspace(home, PROFILE)
    store = JobStore(workspace.var / "video_jobs", Limits(waiting=600, per_client=600))
    said = ServerSettings(limits=store.limits, **settings)
    models = ServedModels(with_loras(load_model(workspace, CHAMPION), said.loras), rule)
    metrics = ServerMetrics(store, models)
    log = ServedLog(workspace.var / FILE)
    worker = make_worker(workspace, models, store, metrics, said, log)
    follower = Follower(workspace.registry, ALIAS, models, next_version(workspace, said, models), seconds=3600.0)
    with TestClient(build_app(worker, metrics, said, follower, log), base_url="http://127.0.0.1") as client:
        yield Served(client, home, models, follower, log)

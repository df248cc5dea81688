"""MLflow's own delivery signs; the server verifies, and looks where the alias stands."""

import json
import time
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from mlflow.entities.webhook import Webhook, WebhookAction, WebhookEntity, WebhookEvent, WebhookStatus
from mlflow.webhooks import delivery
from starlette.testclient import TestClient

from serving.http.request_limits import VisitorError
from serving.versions.webhook import OLDEST, add_webhook, read_secret
from tracking.model_address import ModelAddress

SECRET = "a-secret-of-both-sides"
MOVED = {"name": "omnihuman-student", "alias": "champion", "version": "3"}


@pytest.fixture
def server():
    app, woken = FastAPI(), []
    follower = SimpleNamespace(address=ModelAddress("omnihuman-student", "champion"), wake=lambda: woken.append(True))
    add_webhook(app, SECRET.encode(), follower)
    client = TestClient(app)
    client.woken = woken  # type: ignore[attr-defined]
    return client


def sent_by_mlflow(monkeypatch, payload, secret=SECRET, action=WebhookAction.CREATED):
    """Body and headers that MLflow's delivery sends."""
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    event = WebhookEvent(WebhookEntity.MODEL_VERSION_ALIAS, action)
    webhook = Webhook("1", "w", "http://127.0.0.1:1/webhooks/mlflow", [event], 0, 0, None, WebhookStatus.ACTIVE, secret)
    kept = {}
    session = SimpleNamespace(post=lambda url, data, headers, timeout: kept.update(content=data, headers=headers))
    delivery._send_webhook_request(webhook, payload, event, session)
    return kept


@pytest.mark.parametrize("action", [WebhookAction.CREATED, WebhookAction.DELETED])
def test_a_message_of_mlflow_wakes_the_follower_once(server, monkeypatch, action):
    message = sent_by_mlflow(monkeypatch, MOVED, action=action)
    assert server.post("/webhooks/mlflow", **message).json() == {"looks": True} and server.woken == [True]
    again = server.post("/webhooks/mlflow", **message)
    assert again.status_code == 401 and "came before" in again.text and server.woken == [True]


def test_a_message_about_another_alias_wakes_nobody(server, monkeypatch):
    message = sent_by_mlflow(monkeypatch, {**MOVED, "alias": "challenger"})
    assert server.post("/webhooks/mlflow", **message).json() == {"looks": False} and not server.woken


def test_messages_that_are_not_mlflows_are_refused(server, monkeypatch):
    strange = sent_by_mlflow(monkeypatch, MOVED, secret="another secret of theirs")
    changed = sent_by_mlflow(monkeypatch, MOVED)
    changed["content"] = changed["content"].replace(b"champion", b"champiox")
    unsigned = {"content": json.dumps({"data": MOVED}).encode()}
    for message in (strange, changed, unsigned):
        refused = server.post("/webhooks/mlflow", **message)
        assert refused.status_code == 401 and "not that of --webhook-secret" in refused.text
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda now=time.time: now() - OLDEST - 60)
        old = sent_by_mlflow(monkeypatch, MOVED)
    refused = server.post("/webhooks/mlflow", **old)
    assert refused.status_code == 401 and "older than 300 s" in refused.text
    assert server.post("/webhooks/mlflow", content=b"0" * 70_000).status_code == 413
    assert not server.woken


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [(None, 0o600, "No such file"), ("s" * 20, 0o644, "read by others"), ("short", 0o600, "fewer than 16")],
)
def test_a_secret_that_cannot_be_used_is_refused(tmp_path, text, mode, why):
    file = tmp_path / "secret"
    if text is not None:
        file.write_text(text)
        file.chmod(mode)
    with pytest.raises(VisitorError, match=why):
        read_secret(file)

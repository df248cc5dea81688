"""MLflow's webhooks: its server says that an alias moved, in a message that it signs; the follower then looks by itself.

The signature is HMAC-SHA256 over `delivery id.timestamp.body` (mlflow.webhooks.delivery, after standardwebhooks.com). MLflow's server alone
sends them: a store that is a file has none, and is polled.
"""

import base64
import hashlib
import hmac
import json
import time
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request

from media.user_error import UserError
from serving.http.clients import WEBHOOK
from serving.http.private_files import read_private
from serving.http.request_limits import VisitorError
from serving.versions.follow import Follower

SIGNATURE, TIMESTAMP, DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"
SCHEME = "v1,"
OLDEST = 300.0  # seconds that a message may be on its way
LARGEST = 64 * 1024  # bytes of a message
SHORTEST = 16  # characters of a secret
KNOWN = 1000  # deliveries that are remembered, so that none counts twice
ENTITY = "model_version_alias"


class WebhookRefused(UserError):
    """A message that is not MLflow's, is too old, or came before."""


def read_secret(path: Path) -> bytes:
    """The secret that MLflow's webhook was made with, from a file that its owner alone may read.

    Raises:
        VisitorError: no such file, one that others can read, or a short secret.
    """
    remedy = f"`openssl rand -hex 24 > {path}`"
    secret = read_private("--webhook-secret", path, remedy).strip()
    if len(secret) < SHORTEST:
        raise VisitorError(f"--webhook-secret {path} holds fewer than {SHORTEST} characters; {remedy}")
    return secret.encode()


class Deliveries:
    """Verifies messages with one secret."""

    def __init__(self, secret: bytes):
        self._secret = secret
        self._known: OrderedDict[str, None] = OrderedDict()

    def accept(self, headers: Mapping[str, str], body: bytes) -> None:
        """Take a message.

        Raises:
            WebhookRefused: its signature is another, it is older than five minutes, or it came before.
        """
        delivery, when, signature = (headers.get(name, "") for name in (DELIVERY, TIMESTAMP, SIGNATURE))
        expected = (
            SCHEME
            + base64.b64encode(
                hmac.new(self._secret, f"{delivery}.{when}.".encode() + body, hashlib.sha256).digest()
            ).decode()
        )
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise WebhookRefused(
                "the signature of this message is not that of --webhook-secret; make MLflow's webhook anew with the secret of that file"
            )
        if not when.isdecimal() or abs(time.time() - int(when)) > OLDEST:
            raise WebhookRefused(
                f"this message is older than {OLDEST:g} s; set the clocks of MLflow's machine and this one"
            )
        if delivery in self._known:
            raise WebhookRefused("this message came before")
        self._known[delivery] = None
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)


def add_webhook(app: FastAPI, secret: bytes, follower: Follower) -> None:
    """Take MLflow's messages; one about the followed model wakes the follower, and nothing else of it is believed."""
    deliveries = Deliveries(secret)

    @app.post(WEBHOOK, include_in_schema=False)
    async def moved(request: Request) -> dict[str, bool]:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                raise HTTPException(413, f"a webhook's message has at most {LARGEST} bytes")
        try:
            deliveries.accept(request.headers, body)
        except WebhookRefused as error:
            raise HTTPException(401, str(error)) from error
        looks = _is_about(body, follower)
        if looks:
            follower.wake()
        return {"looks": looks}


def _is_about(body: bytes, follower: Follower) -> bool:
    try:
        message = json.loads(body)
        data = message["data"]
        return bool(
            message["entity"] == ENTITY
            and (data["name"], data["alias"]) == (follower.address.name, follower.address.alias)
        )
    except (ValueError, KeyError, TypeError) as error:
        raise HTTPException(422, f"this message is signed and no webhook of MLflow's: {error!r}") from error

"""Who is told when a run fails, new clips drift, the gate refuses a student or somebody goes past it: any number of sinks, chosen by the environment."""

import importlib
import json
import logging
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

from media.once_a_day import OnceADay
from media.user_error import UserError

VARIABLE = "OMNIHUMAN_ALERTS"
ATTEMPTS, TIMEOUT = 3, 10.0  # of a webhook; seconds

SLACK = re.compile(r"(^|\.)slack(-gov)?\.com$")
MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+!|~])")

_log = logging.getLogger(__name__)
_log.addFilter(OnceADay())


class AlertError(UserError):
    """An alert that could not be delivered, or a sink that is none; the message says which and what to do."""


@dataclass(frozen=True)
class Alert:
    """`kind` is failed_run, drift, refused_promotion or moved_champion; `text` is for people, `facts` for programs."""

    kind: str
    title: str
    text: str
    facts: dict[str, str] = field(default_factory=dict)


Sink = Callable[[Alert], None]
_heard_by_some: dict[str, set[Sink]] = {}  # alerts that not every sink took, in this process


def log_sink(alert: Alert) -> None:
    """Into the log of the daemon."""
    _log.error("%s: %s: %s", alert.kind, alert.title, alert.text)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect turns a POST into a GET, and may lead anywhere: it is an error, as HTTPError with its code."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


@dataclass(frozen=True)
class Webhook:
    """POSTs JSON with `text` (what Slack, Mattermost and Teams show) beside the alert's own fields; tried three times.

    In `text` nothing that the message holds is a link, a mention or other markup; `message` is it as it was.
    """

    url: str
    pause: float = 2.0

    def __call__(self, alert: Alert) -> None:
        """Send.

        Raises:
            AlertError: nobody took it. The address may hold a secret, so only its host is named.
        """
        host = urlsplit(self.url).hostname or ""
        text = as_plain_text(f"{alert.title}\n{alert.text}", host)
        body = json.dumps({**asdict(alert), "text": text, "message": alert.text}).encode()
        for attempt in range(1, ATTEMPTS + 1):
            request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})
            try:
                _opener.open(request, timeout=TIMEOUT).close()
                return
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code}"
                refused = error.code < 500  # asking again would not change that
                if error.code < 400:
                    reason += ", a redirect, which is not followed; name the address that it leads to"
            except OSError as error:
                reason, refused = type(error).__name__, False
            if refused or attempt == ATTEMPTS:
                raise AlertError(f"the webhook at {host} did not take the alert ({reason}); check {VARIABLE}")
            time.sleep(self.pause * attempt)


def as_plain_text(text: str, host: str) -> str:
    """`text` in which a receiver finds no markup of its own: file names and errors may hold anything.

    Args:
        text: as it is.
        host: who receives it. Slack knows `<...>` and three entities; all others take Markdown and `@name`.
    """
    if SLACK.search(host):
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return MARKDOWN.sub(r"\\\1", text).replace("@", "@\u200b")  # a space of no width: nobody is called


def sinks(described: str | None = None) -> list[Sink]:
    """The sinks that `$OMNIHUMAN_ALERTS` names, separated by spaces: `log`, a webhook's address, or `package.module:function`.

    Args:
        described: instead of the variable. Nothing given is `log`.

    Raises:
        AlertError: a name that is no sink.
    """
    names = (described if described is not None else os.environ.get(VARIABLE, "")).split() or ["log"]
    return [_sink(name) for name in names]


def _sink(name: str) -> Sink:
    if name == "log":
        return log_sink
    if name.startswith(("http://", "https://")):
        return Webhook(name)
    scheme, given, _ = name.partition("://")
    if given:
        raise AlertError(f"{VARIABLE}: no alert goes by {scheme}://; name an http:// or https:// address")
    module, _, function = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise AlertError(
            f"{VARIABLE}: {name!r} is not log, a http(s) address or package.module:function ({error})"
        ) from error
    if not callable(found):
        raise AlertError(f"{VARIABLE}: {name!r} is no function")
    return found


def send(alert: Alert, to: Sequence[Sink]) -> None:
    """Tell every sink; one that fails keeps none of the others from hearing it, and sent again only who has not heard it is told.

    Raises:
        AlertError: what failed, after all were told.
    """
    said, failures = json.dumps(asdict(alert), sort_keys=True), []
    heard = _heard_by_some.setdefault(said, set())  # a tick that fails is repeated every half minute
    for sink in to:
        if sink in heard:
            continue
        try:
            sink(alert)
            heard.add(sink)
        except Exception as error:  # a sink may be anybody's code
            failures.append(f"{type(error).__name__}: {error}")
    if failures:
        raise AlertError("; ".join(failures))
    del _heard_by_some[said]

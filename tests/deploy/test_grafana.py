"""The dashboard asks for what the video server tells, and for all of it."""

import json
import re
from types import SimpleNamespace

import pytest

from serving.http.request_limits import Limits
from serving.versions.canary import CanaryRule
from serving.versions.served_models import ServedModels
from serving.videos.jobs import JobStore
from tests.deploy.servers import DEPLOY

pytest.importorskip("prometheus_client")


def test_every_number_of_the_server_is_on_the_dashboard_and_no_other(tmp_path):
    from prometheus_client.parser import text_string_to_metric_families

    from serving.http.server_metrics import ServerMetrics

    metrics = ServerMetrics(
        JobStore(tmp_path, Limits()), ServedModels(SimpleNamespace(version=1, name="m"), CanaryRule())
    )
    metrics.answered("GET", "/health", 200)
    metrics.finished("completed", 2.0, 1.0, ("face",))
    metrics.replaced()
    families = list(text_string_to_metric_families(metrics.text().decode()))
    samples = {sample.name for family in families for sample in family.samples}
    told = {family.name.removesuffix("_total") for family in families if not family.name.endswith("_created")}
    board = json.loads((DEPLOY / "grafana" / "omnihuman.json").read_text())
    asked = {
        name
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"omnihuman_\w+", target["expr"])
    }
    assert asked <= samples and {re.sub(r"_(total|bucket)$", "", name) for name in asked} == told
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places) and all(
        x + panel["gridPos"]["w"] <= 24 for (x, _), panel in zip(places, board["panels"], strict=True)
    )

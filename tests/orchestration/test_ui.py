"""`omnihuman ui`: its addresses on loopback from any root; in a headless browser an asset is made and a training ended by clicks."""

import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import dagster as dg
import numpy as np
import pandas as pd
import psutil
import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from assets.core.workspace import open_workspace
from assets.kinds.registration.model_card import samples
from assets.kinds.registration.version_files import SHEET, VIDEO
from orchestration.dagster_location.instance import open_instance
from tests.orchestration.serving import PATIENCE, browser_page, started
from tests.orchestration.ticks import PER_SHARD, Automation, drop
from tracking.progress import read_progress

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(3600)]
LOADED = "{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError { __typename } } } } }"
STEPS, MODEL, STAGE = 120, "omnihuman-student", "stage_1_checkpoint"
SIZES = (
    f"stage_1.steps={STEPS} stage_1.batch_size=4 transformer.num_layers=2 stage_1.watch.videos=0 "
    # Two ranks that each hold a part of the optimiser's state, and no checkpoint but the one that a stop writes.
    'engine.ranks=2 engine.zero_stage=2 engine.checkpoint_every=1000 stage_1.optimizer={"name":"adamw","lr":0.001}'
)


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    """A curated shard, and a registry with two versions."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "OMNIHUMAN_INBOX", "DAGSTER_HOME"):
            patch.delenv(name, raising=False)
        place = tmp_path_factory.mktemp("home")
        settings = {
            "OMNIHUMAN_HOME": str(place),
            "OMNIHUMAN_PROFILE": "laptop",
            "OMNIHUMAN_REMOTE": "none",
            "OMNIHUMAN_SET": SIZES,
        }
        for name, value in settings.items():
            patch.setenv(name, value)
        workspace = open_workspace()
        workspace.inbox.mkdir()
        drop(workspace, range(700_000, 700_008))
        with open_instance(workspace) as instance:
            curation = Automation(instance)
            (shard,) = curation.tick_sensor()
            curation.run(PER_SHARD[1:], shard)
        (place / "model").mkdir()
        cv2.imwrite(str(place / "model" / SHEET), np.full((60, 90, 3), (200, 120, 40), np.uint8))
        for alias in ("champion", "challenger"):
            version = workspace.registry.register(MODEL, place / "model").version
            workspace.registry.set_alias(MODEL, alias, version)
            workspace.registry.describe(MODEL, version, samples(MODEL, version, SHEET, VIDEO))
        yield place


@pytest.fixture(scope="module")
def running(home) -> Iterator[tuple[int, dict[str, str]]]:
    """Its process and addresses while it runs; in the end it takes all servers down and leaves with 0."""
    with started(home, "ui", "--dagster-port", "3917", "--mlflow-port", "5917", "--reports-port", "4917") as (
        process,
        address,
    ):
        assert process.stdout is not None
        addresses, ready = {"Dagster": address}, []
        for words in map(str.split, process.stdout):
            if words[0] in ("MLflow", "reports") and words[1].startswith("http://"):
                assert not ready, "addresses come before anything that takes time"
                addresses[words[0]] = words[1]
            elif words[1:] == ["ready"]:
                ready.append(words[0])
            elif words[:2] == ["logs", "in"]:
                break
        assert addresses.keys() == set(ready) == {"Dagster", "MLflow", "reports"}
        yield process.pid, addresses
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 0
    for address in addresses.values():
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(address, timeout=2)


@pytest.fixture(scope="module")
def served(running) -> dict[str, str]:
    return running[1]


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    """Where screenshots land: `$OMNIHUMAN_SCREENSHOTS`, by default a temporary folder."""
    return Path(os.environ.get("OMNIHUMAN_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))


@pytest.fixture
def window(served):
    with browser_page(1600, 1000) as page:
        yield page


def test_the_servers_answer_with_the_code_location_loaded(served):
    assert all(address.startswith("http://127.0.0.1:") for address in served.values())
    assert _location(served["Dagster"]) == "RepositoryLocation"


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ("Dagster", "/graphql?query={version}"),
        ("MLflow", "/api/2.0/mlflow/experiments/search?max_results=1"),
        ("reports", "/"),
    ],
)
def test_names_and_pages_of_elsewhere_are_refused(served, server, path):
    """Harmless questions, as a foreign page would send them: under a name of its own, by a script, a form, a picture."""
    address, query = served[server], path.replace("{", "%7B").replace("}", "%7D")
    elsewhere = {
        "another name": {"Host": "evil.example"},
        "a script or form": {"Origin": "http://evil.example"},
        "a page of this machine": {"Origin": "http://127.0.0.1:1"},
        "a file": {"Origin": "null"},
        "a picture": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"},
    }
    assert requests.get(address + query, timeout=30).status_code == 200
    for kind, headers in elsewhere.items():
        for method in ("GET", "POST"):
            answer = requests.request(method, address + query, headers=headers, timeout=30)
            assert answer.status_code == (400 if kind == "another name" else 403), (kind, method)
            assert "evil.example" in answer.text or "may not" in answer.text


def test_dagsters_websocket_is_open_to_its_own_page_alone(served):
    address, protocol = served["Dagster"].replace("http", "ws") + "/graphql", ["graphql-ws"]
    with connect(address, origin=served["Dagster"], subprotocols=protocol) as socket:
        socket.send(json.dumps({"type": "connection_init"}))
        assert json.loads(socket.recv(timeout=30)) == {"type": "connection_ack"}
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, origin="http://evil.example", subprotocols=protocol)


def test_nothing_of_it_listens_but_the_addresses_that_it_printed(running):
    """No port behind: neither Dagster's code server nor any of the others has one that a foreign page could ask."""
    tree = psutil.Process(running[0])
    ports = {
        connection.laddr.port
        for process in (tree, *tree.children(recursive=True))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert ports == {int(address.rpartition(":")[2]) for address in running[1].values()}


def _location(address: str) -> str:
    """What Dagster says of the project's code location, once it has tried to load it."""
    for _ in range(60):
        body = json.dumps({"query": LOADED}).encode()
        request = urllib.request.Request(f"{address}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            entries = json.load(answer)["data"]["workspaceOrError"]["locationEntries"]
        if entries and entries[0]["locationOrLoadError"]:
            return entries[0]["locationOrLoadError"]["__typename"]
        time.sleep(1)
    return "not loaded"


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE / 1000):
    """What `condition` gives once it gives something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.1)
    return found


def materialize(window, address: str, asset: str) -> str:
    """Press the button of the asset's page; returns the run's id, with its page open."""
    window.goto(f"{address}/assets/{asset}")
    window.get_by_role("button", name="Materialize").first.click()
    window.get_by_role("link", name="View", exact=True).click()
    window.wait_for_url("**/runs/*")
    return window.url.rpartition("/")[2].partition("?")[0]


def ended(instance: dg.DagsterInstance, run: str) -> dg.DagsterRunStatus:
    until(lambda: instance.get_run_by_id(run).is_finished, f"run {run} does not end", 600)
    return instance.get_run_by_id(run).status


def look(window, shots: Path, name: str) -> None:
    window.wait_for_timeout(1500)  # what is drawn on a canvas has no element to wait for
    window.screenshot(path=shots / f"{name}.png")


def test_an_asset_is_made_and_a_training_ended_and_gone_on_with_by_clicks(home, served, window, shots):
    failed: list[str] = []
    window.on("pageerror", lambda error: failed.append(str(error)))
    workspace, dagster = open_workspace(), served["Dagster"]
    with open_instance(workspace) as instance:
        run = materialize(window, dagster, "training_snapshot")
        assert ended(instance, run) == dg.DagsterRunStatus.SUCCESS
        window.get_by_text("Success", exact=True).first.wait_for()
        look(window, shots, "dagster_run")
        assert json.loads((workspace.data("training_snapshot") / "snapshot.json").read_text())["counts"]["clips"] == 8

        stopped = materialize(window, dagster, STAGE)
        window.goto("about:blank")  # a page that waits draws all the time, on cores that the training needs
        until(lambda: done_steps(workspace) > 0, "the training takes no step", 600)
        window.goto(f"{dagster}/runs/{stopped}")
        window.get_by_role("button", name="Terminate").first.click()
        window.get_by_role("dialog").get_by_role("button", name="Terminate").click()
        assert ended(instance, stopped) == dg.DagsterRunStatus.CANCELED
        window.get_by_text("Canceled", exact=True).first.wait_for()
        (work,) = (workspace.scratch(STAGE)).iterdir()
        step = json.loads((work / "checkpoints" / "latest.json").read_text())["step"]
        assert 0 < step < STEPS and not workspace.data(STAGE).exists()
        ranks = {path.name for path in (work / "checkpoints").rglob("*zero_pp_rank_*optim_states.pt")}
        assert len(ranks) == 2, "each rank wrote its part"
        assert f"stopped on request after step {step} of {STEPS}" in printed(workspace, stopped)

        gone_on = materialize(window, dagster, STAGE)
        window.goto("about:blank")
        assert ended(instance, gone_on) == dg.DagsterRunStatus.SUCCESS
        assert pd.read_parquet(workspace.data(STAGE) / "losses.parquet")["step"].tolist() == list(range(STEPS))
        assert f"{STAGE} 1/{STEPS}" in printed(workspace, stopped) and f"{STAGE} 1/{STEPS}" not in printed(
            workspace, gone_on
        )

    show_pages(window, served, shots)
    assert not failed


def done_steps(workspace) -> int:
    progress = read_progress(workspace.progress(STAGE))
    return progress.done if progress else 0


def printed(workspace, run: str) -> str:
    """What a run's processes printed, as its page shows it."""
    logs = (workspace.dagster_home / "storage" / run / "compute_logs").glob("*.out")
    return "".join(path.read_text() for path in logs)


def show_pages(window, served: dict[str, str], shots: Path) -> None:
    """The pages of what was made just now; the rest of what a new user meets: tests/orchestration/first_hour.py."""
    window.goto(f"{served['Dagster']}/assets/{STAGE}")
    curves = window.locator(f"img[src='/reports/covers/{STAGE}.png']").first
    curves.wait_for()
    assert curves.evaluate("picture => picture.complete && picture.naturalWidth") > 500
    window.get_by_text("Plots", exact=True).first.click()
    window.get_by_text("last_loss").first.wait_for()
    look(window, shots, "dagster_plots")
    assert not window.get_by_text("samples_consumed", exact=True).count(), "what settings decide is not plotted"
    window.goto(f"{served['MLflow']}/#/models/{MODEL}")
    for alias in ("champion", "challenger"):
        window.get_by_text(alias).first.wait_for()
    look(window, shots, "mlflow_registry")
    pages = ("dagster_run", "dagster_plots", "mlflow_registry")
    assert {f"{name}.png" for name in pages} <= {path.name for path in shots.iterdir()}

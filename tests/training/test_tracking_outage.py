"""kill -9 of the MLflow server while a training runs: the training does not notice, and no number is lost."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.forked import ForkedPopen
from tests.training.synthetic import finish, losses, make_job, start, write_snapshot
from tracking.mlflow_store import connect
from training.run.launch import _free_port

pytestmark = pytest.mark.end_to_end
STEPS = 60


class Server:
    """A real MLflow server on a sqlite store, at one address however often it is started."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, _free_port()
        self.process: subprocess.Popen | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--workers",
            "1",
        ]
        command += [
            "--backend-store-uri",
            f"sqlite:///{self.folder / 'mlflow.db'}",
            "--default-artifact-root",
            str(self.folder / "artifacts"),
        ]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        environment |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        log = (self.folder / "log").open("w")
        self.process = ForkedPopen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder)
        deadline = time.monotonic() + 600
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()[
                -2000:
            ]
            time.sleep(0.2)

    def kill(self) -> None:
        """kill -9 of the server and its worker."""
        if self.process is not None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.uri}/health", timeout=1).status == 200
        except OSError:
            return False


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "server").mkdir()
    found = Server(tmp_path / "server")
    found.start()
    yield found
    found.kill()


def test_a_server_that_is_killed_in_mid_run_costs_no_training_and_no_number(server, tmp_path):
    write_snapshot(tmp_path)
    job = make_job(tmp_path, "stage", "stage", "stage_1", STEPS).model_copy(update={"tracking_uri": server.uri})
    process = start(job)
    printed = []
    for line in process.stdout:
        printed.append(line)
        if line.startswith("stage 1/"):
            server.kill()
    output = "".join(printed)
    assert process.wait() != 0 and f"{STEPS}/{STEPS}" in output and "run the same command again" in output, output[
        -4000:
    ]
    weights = json.loads((Path(job.output) / "record.json").read_text())["weights_digest"]
    assert losses(job)["step"].tolist() == list(range(STEPS)), "the training itself went to its end"

    server.start()
    again = finish(job)
    assert "stage is trained already" in again and "/60 loss" not in again
    record = json.loads((Path(job.output) / "record.json").read_text())
    assert record["weights_digest"] == weights
    client = connect(server.uri)
    history = client.get_metric_history(record["mlflow_run_id"], "loss")
    assert [point.step for point in history] == list(range(STEPS))
    assert [point.value for point in history] == losses(job)["loss"].tolist()
    assert client.get_run(record["mlflow_run_id"]).info.status == "FINISHED"

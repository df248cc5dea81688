"""A training on a real Ray, started from its package: it trains, it is terminated, it goes on, and a failure shows its last lines."""

import json
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
import yaml
from dagster._core.errors import DagsterPipesExecutionError

from assets.core.workspace import Workspace
from profiles import load_profile
from tests.assets.launching import materialize, terminate_when
from tests.deploy.servers import answers, free_port, serving
from tests.training.synthetic import make_job, write_snapshot
from training.run.launch import training_process

pytestmark = pytest.mark.end_to_end
pytest.importorskip("dagster_ray", reason="the extra `ray` is not installed")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ray_folder():
    """Ray's sockets lie below it, and a socket's path has at most 107 letters: pytest's own folders can be too deep."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def ray_address(ray_folder):
    """A cluster of this machine, on loopback."""
    port = free_port()
    command = [
        str(Path(sys.executable).with_name("ray")),
        "start",
        "--head",
        "--block",
        "--port",
        "0",
        "--node-ip-address",
        "127.0.0.1",
        "--dashboard-host",
        "127.0.0.1",
        "--dashboard-port",
        str(port),
        "--ray-client-server-port",
        str(free_port()),
        "--min-worker-port",
        "0",
        "--max-worker-port",
        "0",
        "--dashboard-agent-listen-port",
        "0",
        "--num-cpus",
        "2",
        "--num-gpus",
        "0",
        "--object-store-memory",
        "100000000",
        "--disable-usage-stats",
        "--temp-dir",
        str(ray_folder),
    ]
    address = f"http://127.0.0.1:{port}"
    with serving(command, ray_folder / "head.log", lambda: answers(f"{address}/api/jobs/")) as head:
        family = psutil.Process(head.pid).children(recursive=True)
        yield address
    for left in psutil.wait_procs(family, timeout=20)[1]:
        left.kill()


def test_a_training_is_terminated_goes_on_and_reports(ray_address, tmp_path, monkeypatch):
    write_snapshot(tmp_path)
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    settings = {
        "launcher": "ray",
        "address": ray_address,
        "mount": str(tmp_path),
        "gpus_per_rank": 0,
        "python": sys.executable,
        "environment": {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    }
    (tmp_path / "launcher.yaml").write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("OMNIHUMAN_LAUNCHER", str(tmp_path / "launcher.yaml"))
    job = make_job(tmp_path, "stage", "stage", "stage_1", 60)
    path = job.write(Path(job.work) / "job.json")
    process = training_process(path, workspace.profile.engine)

    latest = Path(job.work) / "checkpoints" / "latest.json"
    terminate_when(latest.is_file)
    with pytest.raises(BaseException) as stopped:
        materialize(workspace, process)
    assert type(stopped.value).__name__ in ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
    _wait(lambda: not _trains(path), 60, lambda: "the ranks go on after the run was terminated")
    reached = json.loads(latest.read_text())["step"]
    assert 0 < reached < 60 and not Path(job.output).exists()

    (result,) = materialize(workspace, process)
    record = json.loads((Path(job.output) / "record.json").read_text())
    assert result.data_version.value == record["weights_digest"]
    assert not list(Path(job.work).glob("pipes-*")) and not list(Path(job.work).glob("*.alive"))

    path.write_text("{}")
    with pytest.raises(DagsterPipesExecutionError) as failed:
        materialize(workspace, process)
    assert "job.json" in str(failed.value) and "Field required" in str(failed.value)


def _trains(job: Path) -> bool:
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if str(job) in command and any(part.endswith("train.py") for part in command):
            return True
    return False


def _wait(condition, seconds: float, otherwise) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.3)

"""One interface for all launchers: what is chosen, what is started, what a failure says, and that nobody is left running."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from dagster._core.errors import DagsterPipesExecutionError

from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.launchers import local
from assets.launchers.settings import LauncherError, RaySettings, check_mount, launcher_settings
from assets.launchers.shared_disk import remote_command
from assets.make.execute import run_process
from profiles import load_profile
from tests.assets.launching import materialize, terminate_when
from training.run.attempt_lock import BEAT_VARIABLE, SILENCE_SECONDS, beating, patience
from training.run.hostfile import exported
from training.run.launch import Process, _nodes, launch_command

KUBERNETES = {
    "launcher": "kubernetes",
    "image": "registry.example/omnihuman:1",
    "claim": "workspace",
    "mount": "/mnt/omnihuman",
}
REPORTS = """
import os, sys
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    print("step 1", flush=True)
    pipes.report_asset_materialization(metadata={"loss": 0.5}, data_version="abc")
"""


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path, load_profile("laptop", []))


@pytest.fixture(autouse=True)
def no_choice(monkeypatch):
    monkeypatch.delenv("OMNIHUMAN_LAUNCHER", raising=False)


def choose(monkeypatch, folder: Path, **settings) -> Path:
    path = folder / "launcher.yaml"
    path.write_text(yaml.safe_dump(settings))
    monkeypatch.setenv("OMNIHUMAN_LAUNCHER", str(path))
    return path


def python(code: str, job: Path | None = None) -> Process:
    return Process([sys.executable, "-c", code], dict(os.environ), job)


def test_what_the_child_reports_and_prints_arrives(workspace, capfd):
    (result,) = materialize(workspace, python(REPORTS))
    assert result.metadata["loss"].value == 0.5 and result.data_version.value == "abc"
    assert "step 1" in capfd.readouterr().out


def test_a_dead_child_fails_the_asset_with_the_tail_of_its_log(workspace):
    code = "import sys\nfor n in range(100): print('line', n)\nsys.exit('the disk is full')"
    with pytest.raises(DagsterPipesExecutionError) as failed:
        materialize(workspace, python(code))
    message = str(failed.value)
    assert (
        "exit code 1" in message
        and "the disk is full" in message
        and "line 99" in message
        and "line 3\n" not in message
    )


def test_ctrl_c_in_a_terminal_reaches_the_child_through_the_launcher_alone(workspace, capfd):
    materialize(workspace, python(REPORTS + "print('session', os.getsid(0), os.getpid())"))
    session, pid = capfd.readouterr().out.partition("session ")[2].split()[:2]
    assert session == pid


def test_a_child_that_does_not_end_when_it_is_asked_is_asked_again_and_then_killed(monkeypatch):
    monkeypatch.setattr(local, "TERMINATION_SECONDS", 0.3)
    # os.write, because a signal may come while `print` is still at work.
    code = "import os, signal, time\nsignal.signal(signal.SIGINT, lambda *of: os.write(1, b'asked\\n'))\nos.write(1, b'ready\\n')\nwhile True: time.sleep(0.05)"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    local._end(child)
    assert child.wait(timeout=300) == -signal.SIGKILL and child.stdout.read() == "asked\nasked\n"


def test_a_terminated_run_ends_the_child_and_waits_for_it(workspace, tmp_path):
    """As Dagster terminates a run: SIGINT to the process that executes it. The child gets time to finish what it writes."""
    ready, saved = tmp_path / "ready", tmp_path / "saved"
    code = f"import pathlib, time\npathlib.Path({str(ready)!r}).touch()\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    time.sleep(0.3)\n    pathlib.Path({str(saved)!r}).touch()"

    terminate_when(ready.exists)
    started = time.monotonic()
    with pytest.raises(BaseException) as stopped:
        materialize(workspace, python(code))
    assert type(stopped.value).__name__ in ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
    assert saved.exists() and time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"launcher": "slurm"}, "'slurm'"),
        (KUBERNETES | {"imagge": "x"}, "imagge: Extra inputs"),
        ({k: v for k, v in KUBERNETES.items() if k != "claim"}, "claim: Field required"),
        ({"launcher": "ray", "address": "http://head:8265", "mount": "/mnt", "gpus_per_rank": 2}, "gpus_per_rank"),
    ],
    ids=["unknown launcher", "unknown key", "missing key", "value that does not fit"],
)
def test_settings_that_do_not_fit_are_named_with_their_file(monkeypatch, tmp_path, settings, says):
    path = choose(monkeypatch, tmp_path, **settings)
    with pytest.raises(LauncherError) as error:
        launcher_settings()
    assert str(path) in str(error.value) and says in str(error.value)


def test_a_settings_file_that_is_not_there_or_no_yaml(monkeypatch, tmp_path):
    monkeypatch.setenv("OMNIHUMAN_LAUNCHER", str(tmp_path / "none.yaml"))
    with pytest.raises(LauncherError, match=r"none\.yaml, which is not there"):
        launcher_settings()
    path = choose(monkeypatch, tmp_path)
    path.write_text("launcher: [")
    with pytest.raises(LauncherError, match="is no YAML"):
        launcher_settings()


@pytest.mark.parametrize(("kind", "package"), [("kubernetes", "dagster_k8s"), ("ray", "dagster_ray")])
def test_a_launcher_whose_package_is_absent_names_the_extra(monkeypatch, workspace, kind, package):
    extra = {"kubernetes": {"image": "i", "claim": "c"}, "ray": {"address": "http://127.0.0.1:1"}}[kind]
    choose(monkeypatch, workspace.root, launcher=kind, mount=str(workspace.root), **extra)
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    monkeypatch.delitem(sys.modules, f"assets.launchers.{kind}", raising=False)
    name = {"kubernetes": "k8s", "ray": "ray"}[kind]
    with pytest.raises(LauncherError, match=rf"needs {package}.*pip install.*omnihuman-pipeline\[{name}\]"):
        materialize(workspace, python("", workspace.root / "job.json"))


def test_a_process_that_is_no_training_stays_here(monkeypatch, workspace):
    choose(monkeypatch, workspace.root, launcher="ray", mount="/nowhere", address="http://127.0.0.1:1")
    assert len(materialize(workspace, python(REPORTS))) == 1


def test_outside_dagster_a_training_that_belongs_elsewhere_is_refused(monkeypatch, workspace):
    choose(monkeypatch, workspace.root, launcher="ray", mount="/mnt", address="http://127.0.0.1:1")
    with pytest.raises(AssetError, match="OMNIHUMAN_LAUNCHER=.*started by Dagster"):
        run_process(python("", workspace.root / "job.json"))


def test_a_workspace_that_the_training_machine_cannot_see_is_refused(workspace, tmp_path):
    settings = RaySettings(launcher="ray", address="http://head:8265", mount=Path("/mnt/elsewhere"))
    with pytest.raises(LauncherError, match="OMNIHUMAN_HOME"):
        check_mount(workspace, settings)
    with_hosts = Workspace(tmp_path, load_profile("laptop", ["engine.hostfile=/etc/hosts.txt"]))
    with pytest.raises(LauncherError, match="unset one"):
        check_mount(with_hosts, settings.model_copy(update={"mount": tmp_path}))


def test_elsewhere_the_same_job_file_becomes_the_same_command_line(tmp_path, monkeypatch):
    """The command that is sent becomes, on the machine that trains, what this machine would start: but for the port."""
    from training.run.jobs import TrainingJob

    profile = load_profile("laptop", ["engine.ranks=2"])
    job = TrainingJob(
        kind="stage",
        name="n",
        profile_values=profile.model_dump(mode="json"),
        section="stage_1",
        snapshot="s",
        features_root="f",
        output="o",
        work=str(tmp_path),
    ).write(tmp_path / "job.json")
    settings = RaySettings(launcher="ray", address="http://head:8265", mount=tmp_path, python=sys.executable)
    sent = remote_command(Process([], {}, job), settings)
    shown = "import os; os.execve = lambda path, command, environment: print(*command, sep='\\n')\nimport runpy, sys\n"
    shown += f"sys.argv = {['launch', *sent[3:]]!r}; runpy.run_module('training.run.launch', run_name='__main__')"
    printed = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    here = launch_command(job, profile.engine)
    assert [part for part in printed if "port" not in part] == [part for part in here if "port" not in part]


def test_devices_that_a_scheduler_named_are_the_ones(monkeypatch):
    import base64

    def devices(ranks: int) -> list:
        return json.loads(base64.urlsafe_b64decode(_nodes(ranks)))["localhost"]

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert devices(2) == [0, 1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert devices(2) == ["5", "7"] and devices(1) == ["5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices(2) == [0, 1]


def test_ranks_on_other_machines_get_pipes_and_the_beat_and_not_our_pid():
    environment = {
        "DAGSTER_PIPES_CONTEXT": "c",
        "OMNIHUMAN_LAUNCHER_BEAT": "/b",
        "OMNIHUMAN_LAUNCHER_PID": "1",
        "SECRET": "s",
    }
    assert exported(environment) == {"DAGSTER_PIPES_CONTEXT": "c", "OMNIHUMAN_LAUNCHER_BEAT": "/b"}


def test_a_retry_elsewhere_outwaits_an_attempt_that_nobody_waits_for(monkeypatch):
    monkeypatch.delenv(BEAT_VARIABLE, raising=False)
    here = patience()
    monkeypatch.setenv(BEAT_VARIABLE, "/mnt/alive")
    assert here < SILENCE_SECONDS < patience()


def test_ranks_end_when_the_launcher_on_another_machine_falls_silent(tmp_path):
    beat = tmp_path / "alive"
    code = f"from training.run.attempt_lock import watch_beat\nfrom pathlib import Path\nwatch_beat(Path({str(beat)!r}), silence=2.0, every=0.05)"
    with beating(beat, every=0.1):
        rank = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
        time.sleep(3.0)
        assert rank.poll() is None and beat.exists()
    assert not beat.exists()
    _, error = rank.communicate(timeout=300)
    assert rank.returncode == 1 and "has not renewed" in error

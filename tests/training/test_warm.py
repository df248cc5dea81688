"""A fork server's processes are real ones, and a warm training is chosen only where it may be."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from profiles import load_profile
from tests.forked import address
from tests.training.synthetic import make_job, write_snapshot
from training.run import warm
from training.run.fork_server import ForkServerError
from training.run.forked import OwnForkServer, fork
from training.run.jobs import TrainingJob
from training.run.launch import _free_port, launch_environment, training_process

LIGHT = ("numpy", "tests.forked")


@pytest.fixture(scope="module")
def server():
    opened = OwnForkServer(LIGHT, dict(os.environ))
    yield opened
    opened.close()


def answer(server, code: str, environment=None, folder=".") -> tuple[int, str]:
    """Exit code and output of Python code in a forked process."""
    process = fork(
        server.address,
        "tests.forked:python",
        ["-c", code],
        environment or dict(os.environ),
        Path(folder),
        subprocess.PIPE,
    )
    with process.stdout as output:
        return process.wait(timeout=300), output.read().decode()


def test_a_forked_process_has_its_own_session_folder_environment_and_arguments(server, tmp_path):
    code = (
        "import json, os, sys; print(json.dumps([os.getpid(), os.getsid(0), os.getcwd(), dict(os.environ), sys.argv,"
        " 'numpy' in sys.modules, sys.stdin.read()]))"
    )
    status, printed = answer(server, code, {"ONLY": "this"}, tmp_path)
    pid, session, folder, environment, arguments, imported, standard_input = json.loads(printed)
    assert status == 0 and pid == session != os.getpid()
    assert (folder, environment, arguments, imported, standard_input) == (
        str(tmp_path), {"ONLY": "this"}, ["-c"], True, ""
    )  # fmt: skip


CAREFUL = """
import os
os.environ.setdefault("MLFLOW_CAREFUL", "by import")
os.environ.setdefault("NEW", "by import")
os.environ["FORCED"] = "by import"
os.environ["FIRST"] = "mine:" + os.environ.get("FIRST", "")
os.environ.pop("GONE", None)
"""


def test_what_an_import_says_in_the_environment_is_said_where_it_is_not_imported_again(tmp_path):
    """As in a process of its own: a library's word against telemetry or pickles, ours to oneDNN, a path that is put in front."""
    (tmp_path / "careful.py").write_text(CAREFUL)
    given = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    given |= {"FORCED": "given", "FIRST": "given", "GONE": "given", "MLFLOW_CAREFUL": "the server's own"}
    server = OwnForkServer(["careful"], os.environ | given)
    names = ("MLFLOW_CAREFUL", "NEW", "FORCED", "FIRST", "GONE")

    def said(environment: dict[str, str]) -> list[str | None]:
        status, printed = answer(
            server, f"import json, os; print(json.dumps([os.environ.get(n) for n in {names}]))", environment
        )
        assert status == 0
        return json.loads(printed)

    try:
        same = {name: value for name, value in given.items() if name != "MLFLOW_CAREFUL"}
        assert said(same) == ["by import", "by import", "by import", "mine:given", None]
        assert said({"MLFLOW_CAREFUL": "asked", "NEW": "asked"}) == ["asked", "asked", None, None, None]
    finally:
        server.close()


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("import sys; sys.exit(75)", 75, ""),
        ("raise ValueError('why')", 1, "ValueError: why"),
        ("import atexit; atexit.register(print, 'at exit')", 0, "at exit"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import sys; sys.exit('refused')", 1, "refused"),
        ("import sys; sys.exit()", 0, ""),
        ("raise KeyboardInterrupt", -2, "KeyboardInterrupt"),
        (
            "import threading, time; threading.Thread(target=lambda: (time.sleep(0.5), print('waited for'))).start()",
            0,
            "waited for",
        ),
        ("print('flushed', end='')", 0, "flushed"),
    ],
    ids=[
        "exit code",
        "exception",
        "exit handlers",
        "killed",
        "message",
        "no code",
        "interrupted",
        "threads",
        "output",
    ],
)
def test_it_ends_as_any_python_process_does(server, code, status, said):
    ended, printed = answer(server, code)
    assert ended == status and said in printed


def test_what_was_imported_is_not_taken_apart(server):
    """That would copy what all forked processes share."""
    code = "import sys\nclass Kept:\n  def __del__(self): print('taken apart')\nsys.modules['kept'] = Kept()"
    assert answer(server, code) == (0, "")
    python = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "taken apart" in python.stdout


def test_two_forked_processes_draw_other_random_numbers(server):
    code = "import random, numpy; print(random.random(), numpy.random.rand())"
    first, second = (answer(server, code)[1].split() for _ in range(2))
    assert first[0] != second[0] and first[1] != second[1]


def test_signals_reach_it_and_waiting_can_end_first(server):
    code = ["-c", "import time; print('ready', flush=True); time.sleep(60)"]
    process = fork(server.address, "tests.forked:python", code, dict(os.environ), Path(), subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n" and process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) == -signal.SIGTERM == process.poll()
    process.send_signal(signal.SIGTERM)  # nobody's any more
    process.stdout.close()


def test_the_server_ends_with_its_owner_however_that_ends(tmp_path):
    code = (
        "import os, time; from training.run.forked import OwnForkServer;"
        "print(OwnForkServer(['json'], dict(os.environ)).process.pid, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid = int(owner.stdout.readline())
    assert psutil.pid_exists(pid)
    owner.kill()
    owner.communicate()
    deadline = time.monotonic() + 300
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the server outlives its owner"
        time.sleep(0.05)


def test_a_module_that_starts_a_thread_is_refused_and_who_asks_is_told(tmp_path, capfd):
    (tmp_path / "threaded.py").write_text(
        "import threading, time; threading.Thread(target=time.sleep, args=(5,), daemon=True).start()"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    server = OwnForkServer(["threaded"], os.environ | {"PYTHONPATH": path})
    with pytest.raises(ForkServerError, match="has ended"):
        answer(server, "print(1)")
    server.close()
    assert "an import started threads" in capfd.readouterr().err
    with pytest.raises(ForkServerError, match="no fork server answers"):
        answer(server, "print(1)")


def train_and_list_imports(job: str) -> int:
    """In a forked process: train as the only rank, then print what was imported meanwhile."""
    before = set(sys.modules)
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": "1"}
    code = warm._train(job, 0, environment)
    print(json.dumps(sorted(set(sys.modules) - before)))
    return code


@pytest.mark.end_to_end
def test_a_warm_training_imports_next_to_nothing(tmp_path):
    """What is forgotten in `MODULES` each training would import anew; a launched one imports four thousand modules."""
    write_snapshot(tmp_path)
    job = make_job(tmp_path, "stage", "stage", "stage_1", 2)
    process = fork(
        address(), f"{__name__}:train_and_list_imports", [str(job.write(Path(job.work) / "job.json"))],
        launch_environment() | {"OMP_NUM_THREADS": "1"}, tmp_path, subprocess.PIPE,
    )  # fmt: skip
    with process.stdout as output:
        printed = output.read().decode()
    assert process.wait(timeout=240) == 0, printed
    late = json.loads(printed.splitlines()[-1])
    assert len(late) < 60, late


@pytest.fixture
def job(tmp_path):
    def write(*overrides: str) -> Path:
        return TrainingJob(
            kind="stage",
            name="n",
            profile_values=load_profile("laptop", overrides).model_dump(mode="json"),
            section="stage_1",
            snapshot="s",
            features_root="f",
            output="o",
            work=str(tmp_path),
        ).write(tmp_path / "job.json")

    return write


def test_deepspeeds_launcher_stays_where_a_fork_would_be_wrong(job, monkeypatch):
    """Which server starts a training; None is DeepSpeed's launcher."""
    monkeypatch.delenv(warm.WARM_VARIABLE, raising=False)
    monkeypatch.setattr(warm, "MODULES", LIGHT)

    def chosen(path: Path, hostfile: str | None = None, **variables: str) -> Path | None:
        environment = launch_environment() | {"DS_ACCELERATOR": "cpu"} | variables
        engine = load_profile("laptop", []).engine
        return warm._server_for(training_process(path, engine), environment)

    assert chosen(job()) is None, "nobody opened a block"
    with warm.warm_trainings():
        own = chosen(job())
        assert own is not None and chosen(job(), OMNIHUMAN_HOME="/elsewhere") == own, "one server for all"
        with warm.warm_trainings():
            assert chosen(job()) == own, "a block inside adds nothing"
        assert chosen(job(), OMNIHUMAN_WARM="0") is None
        assert chosen(job(), OMNIHUMAN_WARM="/run/mine") == Path("/run/mine")
        assert chosen(job(), DS_ACCELERATOR="cuda") is None
        assert chosen(job("engine.hostfile=/etc/hosts.txt")) is None
        other = chosen(job(), OMP_NUM_THREADS="7")
        assert other is not None and other != own, "what imports have read is not what this training is to have"
    assert not other.exists() and not own.exists()

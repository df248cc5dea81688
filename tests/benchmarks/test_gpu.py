"""The measurements for a card run on a CPU at cut-down sizes, and a run that is cut off goes on."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.cases import CASES, DRY, MINUTES, REFERENCE, WHOLE
from benchmarks.gpu.measure import random_batch
from benchmarks.gpu.planned import SECTION, plan_of
from benchmarks.gpu.table import Error, error_of, table
from profiles import load_profile
from tests.forked import run


@pytest.fixture(scope="module")
def rows():
    """The first case of each kind, measured as the command measures it: DeepSpeed's process group ends with its process."""
    first = {}
    for case in CASES:
        first.setdefault(case.kind, case.name)
    return {kind: _in_a_process(name) for kind, name in first.items()}


def _in_a_process(name: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.gpu", "--case", name, "--dry-run"]
    done = run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True, timeout=300)
    (said,) = (line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return json.loads(said.removeprefix("RESULT "))


def test_every_kind_gives_finite_positive_numbers(rows):
    assert set(rows) == {"step", "bare", "adversarial", "generation"}
    for kind, row in rows.items():
        assert row["seconds"] > 0 and row.pop("device") == "cpu", kind
        assert all(math.isfinite(value) and value > 0 for value in row.values()), (kind, row)


def test_parts_add_up(rows):
    generation, adversarial, bare = rows["generation"], rows["adversarial"], rows["bare"]
    assert generation["seconds"] == pytest.approx(generation["transformer_seconds"] + generation["decoder_seconds"])
    assert generation["frames_per_second"] == pytest.approx(5 / generation["seconds"])
    assert bare["ratio"] == pytest.approx(bare["seconds"] / bare["bare_seconds"])
    assert {"discriminator_seconds", "generator_seconds"} < set(adversarial)


def test_where_the_peak_of_a_device_is_not_known_no_utilisation_is_claimed(rows):
    assert "mfu" not in rows["step"]


def test_the_whole_shape_is_the_published_one():
    profile = load_profile(WHOLE.profile, WHOLE.overrides)
    published = load_profile(WHOLE.profile)
    kept = published.transformer.model_dump() | {"base": None}
    assert profile.transformer.model_dump() == kept
    assert profile.video == published.video and profile.engine.precision == "bf16"


def test_what_is_planned_of_a_case_is_its_peak_and_its_work():
    (kept,) = (case for case in CASES if case.name == "activations kept")
    shallow = replace(WHOLE, overrides=(*WHOLE.overrides, "transformer.num_layers=2"))
    said, more = (plan_of(case, shallow) for case in (REFERENCE, kept))
    assert more["planned_gib"] > said["planned_gib"] + 5, "a block keeps gigabytes of 32,760 tokens"
    assert more["flops"] == said["flops"], "recomputation is no work"
    assert {case.kind for case in CASES if case.kind in SECTION} == set(SECTION)


def test_the_planners_error_is_told_of_a_known_card_by_the_share_of_its_peak_that_the_reference_reaches():
    card, first, other = "NVIDIA H100 80GB HBM3", REFERENCE.name, "half the layers"
    planned = {
        first: {"planned_gib": 22.0, "flops": {"bf16": 989.4e12}},
        other: {"planned_gib": 11.0, "flops": {"bf16": 494.7e12, "tf32": 494.7e12}},
    }
    results = {
        first: {"seconds": 2.0, "peak_gib": 20.0, "device": card},  # half of the peak is reached
        other: {"seconds": 2.5, "peak_gib": 10.0, "device": card},
        "beside bare Wan": {"seconds": 1.0, "device": card},
    }
    assert error_of(first, results, planned) == Error(22.0, pytest.approx(0.1))
    found = error_of(other, results, planned)
    assert (found.gib_off, found.seconds, found.seconds_off) == pytest.approx((0.1, 3.0, 0.2))
    assert error_of("beside bare Wan", results, planned) is None
    shown = table([first, other], results, planned)
    assert f"| {first} | 2.000 |  |  | 20.0 | 22.0 (+10.0%) |" in shown
    assert "| half the layers | 2.500 | 3.000 (+20.0%) |  | 10.0 | 11.0 (+10.0%) |" in shown
    here = {first: {"seconds": 2.0, "peak_gib": 1.0, "device": "cpu"}, other: {"failed": "out of memory"}}
    assert error_of(first, here, planned) == Error(22.0) and error_of(other, here, planned) == Error(11.0)
    assert "| half the layers | |  | | | 11.0 | out of memory |" in table([other], here, planned)


def test_a_batch_has_every_condition():
    batch = random_batch(load_profile(DRY.profile, DRY.overrides))
    assert batch.given == {"audio", "pose", "reference", "motion"}
    assert batch.latents.shape == (1, 16, 2, 4, 4) and batch.keypoints.shape == (1, 5, 25, 3)


def test_names_are_unique_and_the_run_is_no_longer_than_a_card_is_lent():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) and MINUTES <= 8


def test_a_run_without_time_says_so_and_goes_on_from_what_it_has(tmp_path, capsys):
    known = {CASES[0].name: {"seconds": 1.5, "peak_gib": 20.0, "mfu": 0.4, "device": "NVIDIA H100 80GB HBM3"}}
    (tmp_path / "results.json").write_text(json.dumps(known))
    only = [CASES[0].name, CASES[1].name]
    assert main(["--out", str(tmp_path), "--minutes", "0", "--only", *only]) == 1
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept[CASES[0].name] == known[CASES[0].name]
    assert kept[CASES[1].name] == {"failed": "not run: out of time"}
    made = (tmp_path / "table.md").read_text()
    assert f"| {CASES[0].name} | 1.500 |  | 40.0% | 20.0 |" in made and "out of time" in made
    assert "out of time" in capsys.readouterr().out


@pytest.mark.parametrize(("dry", "longest"), [(["--dry-run"], 120.0), ([], CASES[0].seconds)])
def test_on_a_busy_core_a_dry_run_may_take_all_that_is_left(tmp_path, monkeypatch, dry, longest):
    given = []
    monkeypatch.setattr(
        "benchmarks.gpu.__main__._in_a_process", lambda case, seconds, dry: given.append(seconds) or {"seconds": 1.0}
    )
    monkeypatch.setattr("benchmarks.gpu.__main__._planning", lambda *_: None)
    assert main(["--out", str(tmp_path), "--minutes", "2", "--only", CASES[0].name, *dry]) == 0
    assert given == [pytest.approx(longest, abs=5)]


def test_a_case_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(SystemExit, match="no case .*'flash'.*; there are: ZeRO 1"):
        main(["--out", str(tmp_path), "--only", "flash"])

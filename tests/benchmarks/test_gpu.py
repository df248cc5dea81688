"""The measurements for a card run on a CPU at cut-down sizes, and a run that is cut off goes on."""

import json
import math
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.__main__ import main
from benchmarks.gpu.cases import CASES, DRY, MINUTES, WHOLE
from benchmarks.gpu.measure import random_batch
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
        assert row["seconds"] > 0, kind
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


def test_a_batch_has_every_condition():
    batch = random_batch(load_profile(DRY.profile, DRY.overrides))
    assert batch.given == {"audio", "pose", "reference", "motion"}
    assert batch.latents.shape == (1, 16, 2, 4, 4) and batch.keypoints.shape == (1, 5, 25, 3)


def test_names_are_unique_and_the_run_is_no_longer_than_a_card_is_lent():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names) and MINUTES <= 8


def test_a_run_without_time_says_so_and_goes_on_from_what_it_has(tmp_path, capsys):
    known = {CASES[0].name: {"seconds": 1.5, "peak_gib": 20.0, "mfu": 0.4}}
    (tmp_path / "results.json").write_text(json.dumps(known))
    only = [CASES[0].name, CASES[1].name]
    assert main(["--out", str(tmp_path), "--minutes", "0", "--only", *only]) == 1
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept[CASES[0].name] == known[CASES[0].name]
    assert kept[CASES[1].name] == {"failed": "not run: out of time"}
    table = (tmp_path / "table.md").read_text()
    assert f"| {CASES[0].name} | 1.500 | 40.0% | 20.0 |" in table and "out of time" in table
    assert "out of time" in capsys.readouterr().out


@pytest.mark.parametrize(("dry", "longest"), [(["--dry-run"], 120.0), ([], CASES[0].seconds)])
def test_on_a_busy_core_a_dry_run_may_take_all_that_is_left(tmp_path, monkeypatch, dry, longest):
    given = []
    monkeypatch.setattr(
        "benchmarks.gpu.__main__._in_a_process", lambda case, seconds, dry: given.append(seconds) or {"seconds": 1.0}
    )
    assert main(["--out", str(tmp_path), "--minutes", "2", "--only", CASES[0].name, *dry]) == 0
    assert given == [pytest.approx(longest, abs=5)]


def test_a_case_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(SystemExit, match="no case .*'flash'.*; there are: ZeRO 1"):
        main(["--out", str(tmp_path), "--only", "flash"])

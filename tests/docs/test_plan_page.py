"""What the planning page prints is what `omnihuman plan` says. `python -m tests.docs.test_plan_page` prints it there anew."""

import contextlib
import io
import re
import sys
from pathlib import Path

import pytest

from assets.plan.plan import Plan, make_plan
from assets.plan.tables import print_plan
from profiles import load_profile
from training.plan.gpus import read_cluster
from training.plan.training_plan import trainings_of

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "planning.md"
MFU, HOURS = 0.3, 1000.0  # the command's own


PLANS = [("wan2.1-1.3b", "8xH100"), ("wan2.1-14b", "64xH100")]


def block(name: str, gpus: str) -> str:
    return rf"(<!-- plan: {re.escape(name)} {gpus} -->\n```text\n)(.*?)(```)"


def printed(name: str, gpus: str) -> list[str]:
    """Lines of the block that the page has for a profile and a cluster."""
    found = re.search(block(name, gpus), PAGE.read_text(), re.S)
    assert found, f"{PAGE} shows no plan of {name} on {gpus}"
    return [line.rstrip() for line in found[2].splitlines()]


def said(plan: Plan, capsys) -> list[str]:
    capsys.readouterr()
    print_plan(plan)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_stage_of_14b_is_as_planned(capsys):
    """All of it takes three minutes of a core; all of 1.3B is held below."""
    name, gpus = PLANS[1]
    plan = make_plan(load_profile(name, []), read_cluster(gpus), MFU, HOURS, ["stage_1"])
    rows = [line.split() for line in said(plan, capsys) if line.strip().startswith("stage_1")]
    shown = [line.split() for line in printed(name, gpus) if line.strip().startswith("stage_1")]
    assert len(rows) == 2 and rows == shown[:2]
    assert plan.trainings[0].fits(plan.cluster.gpu)


@pytest.mark.parametrize(("name", "gpus"), PLANS)
def test_the_page_shows_that_every_training_fits(name, gpus):
    trainings = trainings_of(load_profile(name, []))
    held = [words[0] for words in map(str.split, printed(name, gpus)) if words and words[-1] == "fits"]
    assert held == list(trainings)


@pytest.mark.end_to_end
def test_the_page_is_what_the_command_prints(capsys):
    """Of 1.3B."""
    name, gpus = PLANS[0]
    plan = make_plan(load_profile(name, []), read_cluster(gpus), MFU, HOURS)
    assert said(plan, capsys) == printed(name, gpus)
    assert all(training.fits(plan.cluster.gpu) for training in plan.trainings)


def main(names: list[str]) -> None:
    """Print the plans into the page, all or those of these profiles."""
    for name, gpus in PLANS:
        if names and name not in names:
            continue
        plan, out = make_plan(load_profile(name, []), read_cluster(gpus), MFU, HOURS), io.StringIO()
        with contextlib.redirect_stdout(out):
            print_plan(plan)
        lines = "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())
        PAGE.write_text(
            re.sub(block(name, gpus), lambda m, lines=lines: m[1] + lines + m[3], PAGE.read_text(), flags=re.S)
        )


if __name__ == "__main__":
    main(sys.argv[1:])

"""What the planning page prints is what `omnihuman plan` says."""

import re
from pathlib import Path

import pytest

from assets.plan.plan import Plan, make_plan
from assets.plan.tables import print_plan
from profiles import load_profile
from training.plan.gpus import read_cluster

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "planning.md"
MFU, HOURS = 0.3, 1000.0  # the command's own


def printed(name: str, gpus: str) -> list[str]:
    """Lines of the block that the page has for a profile and a cluster."""
    found = re.search(rf"<!-- plan: {re.escape(name)} {gpus} -->\n```\n(.*?)```", PAGE.read_text(), re.S)
    assert found, f"{PAGE} shows no plan of {name} on {gpus}"
    return [line.rstrip() for line in found[1].splitlines()]


def said(plan: Plan, capsys) -> list[str]:
    capsys.readouterr()
    print_plan(plan)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("name", "gpus"), [("wan2.1-1.3b", "8xH100"), ("wan2.1-14b", "64xH100")])
def test_stages_of_the_page_are_as_planned(name, gpus, capsys):
    plan = make_plan(load_profile(name, []), read_cluster(gpus), MFU, HOURS, ["stage_1"])
    rows = [line.split() for line in said(plan, capsys) if line.strip().startswith("stage_1")]
    shown = [line.split() for line in printed(name, gpus) if line.strip().startswith("stage_1")]
    assert len(rows) == 2 and rows == shown[:2]
    assert plan.trainings[0].fits(plan.cluster.gpu)


@pytest.mark.end_to_end
@pytest.mark.parametrize(("name", "gpus"), [("wan2.1-1.3b", "8xH100"), ("wan2.1-14b", "64xH100")])
def test_the_page_is_what_the_command_prints_and_all_trainings_fit(name, gpus, capsys):
    plan = make_plan(load_profile(name, []), read_cluster(gpus), MFU, HOURS)
    assert said(plan, capsys) == printed(name, gpus)
    assert all(training.fits(plan.cluster.gpu) for training in plan.trainings)

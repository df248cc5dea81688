"""What does not fit is said with the settings that would make it fit, and one training is shown at every setting."""

import re
from dataclasses import replace

import pytest

from assets.plan.remedy import remedy
from assets.plan.tables import print_settings
from profiles import changed_profile, load_profile
from tests.training.synthetic import TINY
from training.plan.gpus import GIB, read_cluster
from training.plan.training_plan import USABLE, plan_training

KEPT = ["engine.ranks=2", "engine.zero_stage=0", "engine.activation_checkpointing=false"]


def profile(*overrides: str):
    return load_profile("laptop", [*TINY, *KEPT, *overrides])


def cluster_of(peak: float, gpus: str = "2xH100"):
    """GPUs that can hold so many bytes and a few more."""
    cluster = read_cluster(gpus)
    return replace(cluster, gpu=replace(cluster.gpu, memory=1.001 * peak / USABLE / GIB))


def planned(given, *changes: str):
    return plan_training(changed_profile(given, list(changes)), "stage_3", 2)


@pytest.mark.parametrize(
    "needed",
    [
        ["engine.activation_checkpointing=true"],
        ["engine.micro_batch=1"],
        ["engine.activation_checkpointing=true", "engine.zero_stage=3", "engine.micro_batch=1"],
    ],
)
def test_the_settings_that_are_named_make_it_fit_and_none_of_them_is_idle(needed):
    given = profile("stage_3.batch_size=8", "engine.micro_batch=4")
    before, cluster = planned(given), cluster_of(planned(given, *needed).peak)
    assert not before.fits(cluster.gpu)
    said = remedy(given, before, cluster)
    changes = re.findall(r"--set (\S+)", said)
    assert said.startswith("fits with --set ") and planned(given, *changes).fits(cluster.gpu), said
    for change in changes:
        assert not planned(given, *(other for other in changes if other != change)).fits(cluster.gpu), change


def test_where_nothing_is_enough_it_is_said_what_comes_nearest():
    given = profile()
    said = remedy(given, planned(given), cluster_of(0.0))
    assert re.match(r"0 GiB a rank at best with --set engine\.\S+.*: 0 GiB can be used; more or larger GPUs$", said)


def test_one_training_is_shown_at_every_setting_and_what_cannot_be_set_is_a_dash(capsys):
    """Two heads are shared by two ranks and not by four; eight GPUs."""
    given = profile("engine.ranks=8", "stage_3.batch_size=8", "stage_3.ratios.motion=0.0")
    print_settings(given, "stage_3", read_cluster("8xH100"))
    lines = capsys.readouterr().out.splitlines()
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines if line.strip().startswith(("kept", "computed"))]
    assert len(rows) == 8 and all(len(row) == 1 + 7 for row in rows)
    dashes = {row[0] for row in rows if set(row[1:]) == {"-"}}
    assert dashes == {f"{way}, {ranks} ranks a sample" for way in ("kept", "computed twice") for ranks in (4, 8)}
    assert all("-" not in row for row in rows if row[0] not in dashes)

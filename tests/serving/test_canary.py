"""When a canary takes over and when it is taken back, by what was made; who makes which video."""

from types import SimpleNamespace

import pytest

from serving.http.request_limits import VisitorError
from serving.versions.canary import CanaryRule, Tally, Verdict, judge
from serving.versions.served_models import ServedModels

RULE = CanaryRule(share=0.25, videos=8, errors=1, worse=0.3, least=4)


def tally(*videos):
    counted = Tally()
    for failed in videos:
        counted.add(failed)
    return counted


@pytest.mark.parametrize(
    ("canary", "served", "verdict", "why"),
    [
        (tally(None), tally(), Verdict.GO_ON, ""),
        (tally(None, (), None), tally(), Verdict.RETURN, "2 of its 3 videos could not be made"),
        (tally(("face",), ("face",), ("face",)), tally(), Verdict.GO_ON, ""),
        (
            tally(("face",), ("face",), (), ()),
            tally((), ()),
            Verdict.RETURN,
            "50% of its 4 videos fail the check 'face', 0% of the served version's 2",
        ),
        (tally(("face",), ("face",), (), ()), tally(("face",), (), (), ()), Verdict.GO_ON, ""),
        (tally(*[()] * 7, None), tally(), Verdict.GO_ON, ""),
        (tally(*[()] * 8), tally(), Verdict.TAKE_OVER, "8 videos were made, 0 failed"),
    ],
)
def test_a_canary_is_judged_by_what_it_made_beside_the_served_version(canary, served, verdict, why):
    assert judge(RULE, canary, served) == (verdict, why)


@pytest.mark.parametrize("values", [{"share": 1.0}, {"share": -0.1}, {"videos": 4}])
def test_a_rule_that_is_none_is_refused(values):
    with pytest.raises(VisitorError, match="a canary has a share"):
        CanaryRule(**values)


def model(version):
    return SimpleNamespace(version=version, name=f"student version {version}")


def test_a_canary_makes_its_share_of_the_videos_and_the_same_ones_again():
    models = ServedModels(model(1), RULE)
    models.offer(model(2))
    chosen = [models.choose(str(job)).model.version for job in range(2000)]
    assert 0.22 < chosen.count(2) / len(chosen) < 0.28
    assert chosen == [models.choose(str(job)).model.version for job in range(2000)]


def test_what_was_served_before_takes_over_at_once_and_what_was_taken_back_is_told():
    models = ServedModels(model(1), CanaryRule(share=0.5, videos=5, least=1))
    models.offer(model(2))
    choice = next(found for found in map(models.choose, map(str, range(99))) if found.canary)
    for _ in range(5):
        models.report(choice, ())
    assert (models.current.version, models.canary) == (2, None)
    models.offer(model(1))  # a rollback
    assert (models.current.version, models.canary) == (1, None)
    models.offer(model(3))
    choice = next(found for found in map(models.choose, map(str, range(99))) if found.canary)
    models.report(choice, None)
    assert (models.current.version, models.canary) == (1, None)
    assert models.returned(3) == "1 of its 1 videos could not be made" and "was taken back" in models.wrong
    models.report(choice, None)  # of one that was being made meanwhile
    assert models.count("return") == 1 and models.count("switch") == 2
    models.stay()  # the alias stands at version 1 again
    assert not models.wrong and not models.returned(3)


def test_what_the_served_version_misses_too_is_not_made_again():
    models = ServedModels(model(1), RULE)
    assert models.unusual(("face", "mouth")) == ("face", "mouth")
    for failed in (("face",), ("face",), ("mouth",)):
        models.report(models.choose("any"), failed)
    assert models.unusual(("face", "mouth")) == ("mouth",)

"""When a canary takes over and when it is taken back, by what was made; who makes which video."""

import math
import random
from types import SimpleNamespace

import pytest
from scipy.stats import fisher_exact

from serving.http.request_limits import VisitorError
from serving.versions.canary import CanaryRule, Tally, Verdict, fisher_exact_greater, judge
from serving.versions.served_models import Choice, ServedModels

RULE = CanaryRule(share=0.25, videos=16, least=4)
GOOD = [()] * 40
TOOK_OVER = "of 16 videos no more fail than of the served version's, as far as so many tell"
UNLIKELY = f"{1 / math.comb(44, 4):.1g}"  # that of 44 videos just the canary's four fail


def tally(*videos):
    counted = Tally()
    for failed in videos:
        counted.add(failed)
    return counted


@pytest.mark.parametrize(
    ("canary", "served", "verdict", "why"),
    [
        (tally(None, None), tally(*GOOD), Verdict.GO_ON, ""),  # no look yet
        (
            tally(*[None] * 4),
            tally(*GOOD),
            Verdict.RETURN,
            f"4 of its 4 videos could not be made, 0 of the served version's 40 (p = {UNLIKELY})",
        ),
        (tally(*[None] * 4), tally(*[None] * 40), Verdict.GO_ON, ""),  # what is asked cannot be made, whoever is asked
        (tally(*[("face",)] * 4), tally((), (), ()), Verdict.GO_ON, ""),  # nothing yet to be held against
        (
            tally(*[("face",)] * 4),
            tally(*GOOD),
            Verdict.RETURN,
            f"4 of its 4 videos fail the check 'face', 0 of the served version's 40 (p = {UNLIKELY})",
        ),
        (tally(("face",), (), (), ()), tally(*GOOD), Verdict.GO_ON, ""),  # a quarter of four is one
        (tally(*[("face",), ("face",), (), ()] * 4), tally(*[("face",), ()] * 20), Verdict.TAKE_OVER, TOOK_OVER),
        (tally(*[()] * 16), tally((), (), ()), Verdict.GO_ON, ""),
        (tally(*[()] * 16), tally((), (), (), ()), Verdict.TAKE_OVER, TOOK_OVER),
    ],
)
def test_a_canary_is_judged_by_what_it_made_beside_the_served_version(canary, served, verdict, why):
    assert judge(RULE, canary, served) == (verdict, why)


def test_the_exact_test_is_fishers():
    assert fisher_exact_greater(3, 4, 1, 4) == pytest.approx(17 / 70)  # the lady who tasted tea
    for failed, of, before, of_before in (
        (5, 20, 2, 200),
        (0, 7, 3, 9),
        (7, 7, 0, 30),
        (1, 5, 0, 0),
        (12, 40, 60, 200),
    ):
        table = [[failed, of - failed], [before, of_before - before]]
        expected = fisher_exact(table, alternative="greater").pvalue
        assert fisher_exact_greater(failed, of, before, of_before) == pytest.approx(expected)


def test_looks_are_few_and_the_last_is_when_it_has_had_its_videos():
    assert RULE.looks() == (4, 8, 16) and CanaryRule(0.1).looks() == (5, 10, 20)
    assert CanaryRule(0.1, videos=5).looks() == (5,) and CanaryRule(0.1, videos=21).looks() == (5, 10, 20, 21)
    longest = CanaryRule(0.1, videos=200)
    assert judge(longest, tally(*[()] * 200), tally(*GOOD))[0] is Verdict.TAKE_OVER  # a tally keeps as many


def returned(rate, served_rate, draws=400):
    """The share of canaries of this rate of failures that are taken back beside a served version of that rate."""
    rule, found = CanaryRule(share=0.1), 0
    for seed in range(draws):
        drawn = random.Random(seed)
        served = tally(*[("mouth",) if drawn.random() < served_rate else () for _ in range(200)])
        canary = Tally()
        while True:
            canary.add(("mouth",) if drawn.random() < rate else ())
            verdict, _ = judge(rule, canary, served)
            if verdict is not Verdict.GO_ON:
                break
        found += verdict is Verdict.RETURN
    return found / draws


def test_a_canary_as_good_as_the_served_version_is_hardly_ever_taken_back_and_a_much_worse_one_is():
    assert max(returned(rate, rate) for rate in (0.05, 0.3, 0.9)) <= 0.05
    assert returned(0.8, 0.3) > 0.9 and returned(0.4, 0.02) > 0.9


@pytest.mark.parametrize("values", [{"share": 1.0}, {"share": -0.1}, {"videos": 4}, {"videos": 201}])
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
    models = ServedModels(model(1), CanaryRule(share=0.5, videos=5, least=5, alpha=0.9))

    def serve(videos):
        for _ in range(videos):
            models.report(Choice(models.current), ())

    serve(5)
    models.offer(model(2))
    choice = next(found for found in map(models.choose, map(str, range(99))) if found.canary)
    for _ in range(5):
        models.report(choice, ())
    assert (models.current.version, models.canary) == (2, None)
    models.offer(model(1))  # a rollback
    assert (models.current.version, models.canary) == (1, None)
    serve(5)
    models.offer(model(3))
    choice = next(found for found in map(models.choose, map(str, range(99))) if found.canary)
    for _ in range(5):
        models.report(choice, None)
    assert (models.current.version, models.canary) == (1, None)
    assert models.returned(3).startswith("5 of its 5 videos could not be made") and "was taken back" in models.wrong
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

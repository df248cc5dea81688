"""What `python -m benchmarks.peers` says of two sides, without any peer: agreement, turns, rows, films whose cuts are known."""

import sys

import numpy as np
import pytest

from benchmarks.peers import __main__ as peers
from benchmarks.peers import agreement, environment, inputs, turns
from benchmarks.peers.cases import Case
from curation.intake.shots import ContentDetector

MODULE = """
import time

TURNS = {"quick": 2, "slow": 40}


def prepare(case, folder):
    if case == "broken":
        raise ValueError("no such case\\nand more")
    print("a library's chatter")

    def turn():
        began = time.process_time()
        while time.process_time() - began < TURNS[case] / 1e3:
            pass
        return {"case": case}

    return turn
"""


def test_correlations_see_order_and_shape():
    ours, theirs = [1.0, 2.0, 3.0, 4.0], [1.0, 8.0, 27.0, 64.0]
    pearson, spearman = agreement.correlations(ours, theirs)
    assert pearson == pytest.approx(np.corrcoef(ours, theirs)[0, 1]) and spearman == pytest.approx(1)
    assert agreement.correlations([1, 2, 2, 3], [1, 2, 2, 9])[1] == pytest.approx(1)
    assert np.isnan(agreement.correlations([1, 1], [1, 2])[0])


def test_a_found_cut_serves_one_true_cut():
    assert agreement.matched([10, 30], [10, 31, 50]) == 2
    assert agreement.matched([10], [10, 11]) == 1
    assert agreement.matched([12], [10]) == 0


def test_agreements_in_words():
    ours, theirs = {"film": [10, 30]}, {"film": [10, 70, 90]}
    words = agreement.cut_agreement({"film": [10, 31]})(ours, theirs)
    assert words == "of 2 cuts we 2 and 0 that are none, peer 1 and 2 that are none"
    assert "difference 5.0e-01" in agreement.relative_agreement("d")({"d": 3.0}, {"d": 2.0})
    assert "within 2.0e+00" in agreement.greatest_difference("x")({"x": [1, 2]}, {"x": [1, 4]})
    assert "shapes (1,) and (2,)" in agreement.greatest_difference("x")({"x": [1]}, {"x": [1, 4]})
    clips = {"a": {"person_share": 1.0}, "b": {"person_share": 0.0}}
    assert agreement.face_agreement(clips, {**clips, "b": {"person_share": 0.6}}).startswith("1 of 2 clips alike")


@pytest.mark.parametrize(("kind", "count"), [("hard", 3), ("blended", 3), ("flashes", 0)])
def test_films_have_the_cuts_they_say(kind, count):
    rng = np.random.default_rng(0)
    grey = rng.permutation(np.linspace(30, 200, 4)).astype(np.uint8)
    shots = [np.clip(level + rng.integers(0, 3, (60, 27, 48, 3)), 0, 255).astype(np.uint8) for level in grey]
    frames, cuts = inputs.film(kind, shots, rng)
    assert len(cuts) == count
    detector = ContentDetector()
    for number, frame in enumerate(frames):
        detector.look(number / 25, frame)
    assert agreement.matched(detector.cuts(), cuts) == count == len(detector.cuts())


def test_sides_work_in_turns_and_a_broken_case_leaves_the_others(tmp_path):
    (tmp_path / "a_peer.py").write_text(MODULE)

    def side():
        return turns.Side(sys.executable, "a_peer", tmp_path, (str(tmp_path),))

    with side() as ours, side() as theirs:
        with pytest.raises(turns.SideFailed, match=r"^ValueError: no such case$"):
            turns.take_turns(ours, theirs, "broken", 2)
        for case, least in (("quick", 0.002), ("slow", 0.04)):
            taken = turns.take_turns(ours, theirs, case, 3)
            assert len(taken.ours) == len(taken.theirs) == 3 and taken.our_find == taken.their_find == {"case": case}
            assert min(taken.ours + taken.theirs) >= least
    assert "a library's chatter" in (tmp_path / "a_peer.log").read_text()


def test_a_row_says_ratio_or_reason():
    case = Case("torchmetrics", "few", "distance", "ours", "theirs", 3, agreement.relative_agreement("d"))
    taken = turns.Turns((1.0, 1.0, 2.0), (2.0, 3.0, 8.0), {"d": 1.0}, {"d": 1.0})
    assert "| 1 | 3 | **3.00** (2.50 to 3.50) |" in peers.row(case, taken)
    assert "| cannot be run: OSError: a / b |" in peers.row(case, "cannot be run: OSError: a | b")


def test_every_peer_is_pinned():
    pinned = dict(line.split("==") for line in environment.CONSTRAINTS.read_text().splitlines() if "==" in line)
    for peer in environment.PEERS.values():
        assert {*environment.BASE, *peer.packages, *peer.bare, *peer.apart} <= {*pinned}
        assert peer.version in {pinned[name] for name in (*peer.packages, *peer.bare)}


def test_what_cannot_be_installed_is_said_in_a_line(tmp_path, monkeypatch):
    monkeypatch.setitem(environment.PEERS, "none", environment.Peer("None", "1", ("no package has this name",)))
    tried = environment.Environment(tmp_path)
    tried.python.parent.mkdir(parents=True)
    tried.python.symlink_to(sys.executable)
    with pytest.raises(environment.CannotInstall, match="ERROR"):
        tried.install("none")
    assert not list(tried.folder.glob("*.installed"))

"""Every pair once per voter, sides and order by chance, hostile votes refused, lines whole, rates with known intervals."""

import json
import threading
from collections import Counter

import pytest

from evaluation.people.preference import (
    LEFT,
    NONE,
    QUESTIONS,
    RIGHT,
    Ballot,
    System,
    Vote,
    VoteError,
    read_votes,
    win_markdown,
    win_table,
)

A, B, C = (System(name, f"weights-{name}") for name in "abc")
CLIPS = [f"clip{i}" for i in range(20)]
ANN, BEN = "a" * 16, "b" * 16


def all_of(side: str) -> dict[str, str]:
    return dict.fromkeys(QUESTIONS, side)


def test_a_voter_sees_every_pair_once_and_another_starts_anew(tmp_path):
    ballot = Ballot([A, B, C], CLIPS[:4], "bench", tmp_path / "votes.jsonl")
    seen = []
    while (pair := ballot.next(ANN)) is not None:
        seen.append(pair.key)
        ballot.vote(pair.token, ANN, all_of(LEFT))
    assert len(seen) == len(set(seen)) == 4 * 3 and ballot.judged(ANN) == 12
    assert ballot.next(BEN) is not None and len(read_votes(tmp_path / "votes.jsonl")) == 12


def test_sides_and_order_are_chance(tmp_path):
    ballots = [Ballot([A, B], CLIPS, "bench", tmp_path / "votes.jsonl", seed) for seed in range(30)]
    lefts = Counter(pair.left.name for ballot in ballots for pair in ballot.pairs.values())
    assert 250 < lefts["a"] < 350  # 600 pairs: 300, standard deviation 12
    orders = {tuple(pair.clip for pair in ballot.pairs.values()) for ballot in ballots}
    assert len(orders) == 30


def test_those_with_the_fewest_votes_come_first_and_old_votes_count_after_a_restart(tmp_path):
    file = tmp_path / "votes.jsonl"
    first = Ballot([A, B], CLIPS[:2], "bench", file)
    judged = first.next(ANN)
    first.vote(judged.token, ANN, all_of(NONE))
    second = Ballot([A, B], CLIPS[:2], "bench", file)
    assert second.next(ANN).clip == second.next(BEN).clip != judged.clip
    assert second.judged(ANN) == 1
    # Votes on other weights or another benchmark are about something else.
    assert Ballot([A, System("b", "newer")], CLIPS[:2], "bench", file).judged(ANN) == 0
    assert Ballot([A, B], CLIPS[:2], "other", file).judged(ANN) == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"token": "0" * 16}, "no such pair"),
        ({"voter": "../../etc"}, "hex digits"),
        ({"answers": all_of("a")}, "an answer is left"),
        ({"answers": {"overall": LEFT}}, "answer each of"),
        ({"answers": {**all_of(LEFT), "weight": LEFT}}, "nothing else"),
    ],
)
def test_what_is_no_vote_is_refused_and_leaves_no_line(tmp_path, change, reason):
    ballot = Ballot([A, B], CLIPS, "bench", tmp_path / "votes.jsonl")
    given = {"token": ballot.next(ANN).token, "voter": ANN, "answers": all_of(LEFT)} | change
    with pytest.raises(VoteError, match=reason):
        ballot.vote(**given)
    assert not (tmp_path / "votes.jsonl").exists()


def test_one_voter_counts_once_however_many_requests_come_at_once(tmp_path):
    ballot = Ballot([A, B], CLIPS[:1], "bench", tmp_path / "votes.jsonl")
    token, refused = ballot.next(ANN).token, []

    def vote():
        try:
            ballot.vote(token, ANN, all_of(LEFT))
        except VoteError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=vote) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(read_votes(tmp_path / "votes.jsonl")) == 1 and refused == ["you have judged this pair already"] * 7


def test_an_unfinished_line_is_left_out_and_then_cut_off(tmp_path):
    file = tmp_path / "votes.jsonl"
    ballot = Ballot([A, B], CLIPS, "bench", file)
    ballot.vote(ballot.next(ANN).token, ANN, all_of(LEFT))
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:40])
    assert len(read_votes(file)) == 1
    ballot.vote(ballot.next(ANN).token, ANN, all_of(RIGHT))
    assert len(read_votes(file)) == 2 and all(json.loads(line) for line in file.read_text().splitlines())


def test_a_line_that_is_no_vote_is_named(tmp_path):
    (tmp_path / "votes.jsonl").write_text('{"voter": "x"}\n')
    with pytest.raises(VoteError, match=r"votes.jsonl line 1 is no vote"):
        read_votes(tmp_path / "votes.jsonl")


def votes(left: System, right: System, answers: list[str]) -> list[Vote]:
    return [Vote("t", f"{i:016x}", "bench", "clip", left, right, all_of(answer)) for i, answer in enumerate(answers)]


def test_rates_are_of_decided_comparisons_whichever_side_and_have_wilsons_interval():
    table = win_table(votes(A, B, [LEFT] * 4 + [NONE] * 3) + votes(B, A, [RIGHT] + [LEFT] * 5))
    row = next(r for r in table if (r["system"], r["question"]) == ("a", "overall"))
    assert (row["picked"], row["decided"], row["asked"], row["win_rate"]) == (5, 10, 13, 0.5)
    assert (row["low"], row["high"]) == pytest.approx((0.237, 0.763), abs=1e-3)  # Wilson 1927, 5 of 10
    assert "50% [24%, 76%]" in win_markdown(table)


def test_weights_of_the_same_name_are_told_apart_and_nobody_deciding_is_no_rate():
    table = win_table(votes(A, System("a", "0123456789"), [NONE, NONE]))
    assert {row["system"] for row in table} == {"a (weights-)", "a (01234567)"}
    assert "| – |" in win_markdown(table)


def test_one_system_is_no_comparison(tmp_path):
    with pytest.raises(VoteError, match="two systems"):
        Ballot([A], CLIPS, "bench", tmp_path / "votes.jsonl")

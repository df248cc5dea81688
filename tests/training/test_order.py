"""Turns of buckets and the places of batches, with answers worked out by hand."""

import numpy as np

from training.data.batch_order import BatchOrder, Stream, Turns


def stream(name: str, samples: int, batch_size: int, image: bool = False) -> Stream:
    return Stream(name, image, np.arange(samples), batch_size, tokens=1)


def test_streams_take_turns_in_proportion_to_their_batches():
    # 30 samples in batches of 5 are 6 batches an epoch, 20 in batches of 10 are 2: three turns to one.
    turns = Turns([stream("a", 30, 5), stream("b", 20, 10)])
    assert [turns.turn(n)[0] for n in range(8)] == [0, 0, 1, 0, 0, 0, 1, 0]
    assert [turns.turn(n)[1] for n in range(8)] == [0, 1, 0, 2, 3, 4, 1, 5]
    assert turns.had(8) == [6, 2]


def test_at_every_moment_each_stream_has_had_its_share_but_for_one_batch():
    streams = [stream("a", 1000, 7), stream("b", 130, 3), stream("c", 41, 11)]
    turns, weights = Turns(streams), np.array([1000 / 7, 130 / 3, 41 / 11])
    for number in range(500):
        assert np.abs(np.array(turns.had(number)) - number * weights / weights.sum()).max() <= 1


def test_images_come_at_their_share_and_everything_is_counted():
    order = BatchOrder([stream("a", 10, 4), stream("a", 10, 8, image=True)], 0.3)
    places = [order.place(number) for number in range(10)]
    assert [place.image for place, _ in places] == [False, False, False, True, False, False, True, False, False, True]
    assert [first for place, first in places if place.image] == [0, 8, 16]
    assert [first for place, first in places if not place.image] == [0, 4, 8, 12, 16, 20, 24]
    assert order.consumed(10) == 7 * 4 + 3 * 8 and order.consumed(0) == 0


def test_a_tail_goes_on_with_the_next_epoch():
    short = stream("a", 5, 3)
    rows = [row for number in range(5) for row in short.rows_at(number * 3, 3, seed=1)]
    assert [sorted(rows[start : start + 5]) for start in (0, 5, 10)] == [[0, 1, 2, 3, 4]] * 3
    assert short.rows_at(12, 3, seed=1) == stream("a", 5, 3).rows_at(12, 3, seed=1)
    # One batch may be longer than an epoch.
    assert sorted(stream("a", 2, 6).rows_at(0, 6, seed=1)) == [0, 0, 0, 1, 1, 1]

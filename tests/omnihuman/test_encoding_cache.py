"""What was encoded before is not encoded again, and never where anything that decides it has changed."""

import pytest
import torch
from torch import nn

from omnihuman.conditions.encoding_cache import EncodingCache


class Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.calls = 0

    def encode(self, value):
        self.calls += 1
        return self.weight.detach() * value.float()


def encoded(cache, encoder, value, *settings):
    return cache.get(encoder, value, settings, lambda: encoder.encode(value))


def test_the_same_content_is_encoded_once_and_other_content_anew():
    cache, encoder = EncodingCache(), Counting()
    sound = torch.arange(8.0)
    first = encoded(cache, encoder, sound, 17)
    assert torch.equal(encoded(cache, encoder, sound.clone(), 17), first) and encoder.calls == 1
    for other, settings in (
        (sound + 1, 17),
        (sound, 33),
        (sound.view(2, 4), 17),
        (sound.double(), 17),
        (sound.bfloat16(), 17),
    ):
        encoded(cache, encoder, other, settings)
    assert encoder.calls == 6


def test_prompts_are_told_apart_by_where_one_ends():
    cache, encoder = EncodingCache(), Counting()
    for prompts in (("a", "b"), ("ab",), ("a", "b"), ("a', 'b",)):
        cache.get(encoder, prompts, (), lambda: encoder.encode(torch.zeros(1)))
    assert encoder.calls == 3


@pytest.mark.parametrize("change", ["trained", "loaded", "cast", "another"])
def test_a_changed_encoder_begins_anew(change):
    cache, encoder = EncodingCache(), Counting()
    sound = torch.arange(8.0)
    encoded(cache, encoder, sound)
    if change == "trained":
        with torch.no_grad():
            encoder.weight.mul_(2)
    elif change == "loaded":
        encoder.load_state_dict({"weight": torch.tensor([2.0])})
    elif change == "cast":
        encoder.to(torch.bfloat16)
    else:
        encoder = Counting()
    calls = encoder.calls
    encoded(cache, encoder, sound)
    assert encoder.calls == calls + 1


def test_memory_is_bounded_and_the_longest_unused_goes_first():
    cache, encoder = EncodingCache(limit=2 * 32), Counting()
    one, two, three = (torch.full((8,), float(value)) for value in range(3))
    for sound in (one, two, one, three):
        encoded(cache, encoder, sound)
    assert encoder.calls == 3 and cache.bytes == 2 * 32
    encoded(cache, encoder, one)
    assert encoder.calls == 3
    encoded(cache, encoder, two)
    assert encoder.calls == 4
    cache.clear()
    assert cache.bytes == 0


def test_what_is_larger_than_all_the_room_is_returned_and_not_kept():
    cache, encoder = EncodingCache(limit=8), Counting()
    assert encoded(cache, encoder, torch.arange(8.0)).tolist() == list(range(8)) and cache.bytes == 0

"""Work over clips in processes keeps its order, and a failure comes back as itself."""

import pytest

from curation.storage import CurationError
from curation.workers import FEW, map_over_clips


def _add(state: int, item: int) -> int:
    if item == 13:
        raise CurationError("clip 13 is broken")
    return state + item


def test_results_keep_their_order_and_progress_reaches_the_total():
    calls = []
    items = list(range(100, 100 + 3 * FEW))
    found = list(map_over_clips(_add, 5, items, lambda done, total, note: calls.append((done, total)), "adding"))
    assert found == [item + 5 for item in items]
    assert calls[-1] == (len(items), len(items)) and len(calls) == len(items)
    assert list(map_over_clips(_add, 5, [1, 2])) == [6, 7]


def test_an_error_in_a_process_is_raised_here():
    with pytest.raises(CurationError, match="clip 13 is broken"):
        list(map_over_clips(_add, 0, list(range(3 * FEW))))

"""Context parallelism: two ranks give what one gives, wherever they part the packed sequence; what does not fit is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from diffusers import ContextParallelConfig

from omnihuman.conditions.audio import frames_of_slice
from omnihuman.context_parallel import check_heads, check_tokens
from tests.forked import ForkedPopen


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    script = Path(__file__).with_name("context_parallel_ranks.py")
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": f"{root}", "OMP_NUM_THREADS": "1"}
    ranks = [
        ForkedPopen(
            [sys.executable, str(script), str(rank), "2", str(folder)],
            env=environment,
            cwd=root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    output = [rank.communicate(timeout=300)[0] for rank in ranks]
    assert all(rank.returncode == 0 for rank in ranks), "\n".join(output)
    return json.loads((folder / "results.json").read_text())


CASES = [
    "bare, parted in mid-frame",
    "parted in mid-frame",
    "parted in the motion tokens",
    "parted in the reference",
    "without conditions",
    "with activation checkpointing",
]


@pytest.mark.end_to_end
@pytest.mark.parametrize("case", CASES)
def test_two_ranks_give_the_output_and_the_summed_gradients_of_one(results, case):
    found = results[case]
    assert found["output"] < 1e-5 and found["gradient"] < 1e-4
    # A parameter with a gradient on one rank only would let collectives of gradients wait for ever.
    assert found["unequal"] == []


@pytest.mark.end_to_end
@pytest.mark.parametrize("case", ["uneven tokens", "uneven heads"])
def test_uneven_tokens_and_heads_work_for_inference_and_are_refused_otherwise(results, case):
    assert results[case]["output"] < 1e-5
    assert "5 tokens (3 video + 2 motion and reference) do not divide by ulysses_degree=2" in results[case]["refused"]


@pytest.mark.parametrize(
    ("first", "count", "expected"),
    [
        (0, 18, (0, 3, 0)),
        (0, 9, (0, 2, 0)),
        (9, 9, (1, 3, 3)),
        (7, 2, (1, 2, 1)),
        (18, 0, (2, 3, 0)),
        (12, 6, (2, 3, 0)),
    ],
)
def test_a_slice_knows_its_frames(first, count, expected):
    assert frames_of_slice(first, count, frame_tokens=6, frames=3) == expected


def test_wan_1_3b_on_eight_ranks_is_refused_by_both_numbers():
    for anything in (False, True):
        with pytest.raises(ValueError, match=r"12 attention heads.*ulysses_degree=8.*\[2, 3, 4, 6, 12\]"):
            check_heads(12, ContextParallelConfig(ulysses_degree=8, ulysses_anything=anything))
    check_heads(12, ContextParallelConfig(ulysses_degree=4))
    check_heads(40, ContextParallelConfig(ulysses_degree=8))
    check_heads(30, ContextParallelConfig(ulysses_degree=8, ulysses_anything=True))


def test_ring_attention_is_refused():
    with pytest.raises(ValueError, match="ring_degree=2"):
        check_heads(12, ContextParallelConfig(ring_degree=2))


def test_published_token_counts_divide_and_odd_ones_are_refused_by_both_numbers():
    eight = ContextParallelConfig(ulysses_degree=8)
    check_tokens(32_760, 1_560, eight)
    check_tokens(32_760, 4_680, eight)
    with pytest.raises(ValueError, match=r"32764 tokens \(32760 video \+ 4.*ulysses_degree=8"):
        check_tokens(32_760, 4, eight)
    check_tokens(32_760, 4, ContextParallelConfig(ulysses_degree=8, ulysses_anything=True))

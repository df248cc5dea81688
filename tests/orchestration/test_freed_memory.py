"""What a segment frees goes back to the system, whatever was freed before it."""

import subprocess
import sys
from pathlib import Path

import pytest

# A block of 24 MiB that is freed once; then blocks of 8 MiB, each with something small behind it that stays.
CODE = """
import sys
import numpy as np
from serving.freed_memory import return_large_blocks

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 >> 20

if sys.argv[1] == "returned" and not return_large_blocks():
    sys.exit("no mallopt")
one = np.ones(24 << 20, np.uint8)
del one
before, blocks, small = resident(), [], []
for number in range(12):
    blocks.append(np.ones(8 << 20, np.uint8))
    small.append(np.ones(100_000, np.uint8))
del blocks
print(resident() - before)
"""


def left(how: str) -> int:
    """MiB that stay."""
    command = [sys.executable, "-c", CODE, how]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    if "no mallopt" in done.stderr:
        pytest.skip("this C library has no mallopt")
    return int(done.stdout)


def test_large_blocks_go_back_where_small_ones_lie_between_them():
    assert left("returned") < 8 < left("as glibc does")

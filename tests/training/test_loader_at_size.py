"""The loader at Wan2.1's shapes, over sparse files: how much memory it takes does not depend on how much it has read.

How long a step waits for it is measured by `python -m benchmarks.training.features_at_size` (docs/results/2026-11-29-features.md).
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MICRO_BATCHES, EARLY = 32, 8
LOADING = """
import json, sys
from pathlib import Path
from benchmarks.training.features_at_size import sparse_data
from profiles import load_profile
from tracking.peak_memory import peak_memory_gib

many = int(sys.argv[2])
root = Path(sys.argv[1])
data, seen, peaks, largest = sparse_data(root, load_profile("wan2.1-1.3b", []), 1000, 8), set(), {}, 0
for number in range(many // 8):
    for part in data.rank_batch(number).split(8):
        seen |= {sample.row for sample in part.samples}
        tensors = [value for value in vars(part).values() if hasattr(value, "element_size")]
        largest = max(largest, sum(tensor.numel() * tensor.element_size() for tensor in tensors))
        peaks[len(seen)] = peak_memory_gib()
stored = sum(path.stat().st_size for path in (root / "features" / "s-0").iterdir())
print(json.dumps({"peaks": peaks, "rows": len(seen), "largest": largest / 2**30, "stored": stored / 2**30}))
"""


@pytest.mark.end_to_end
def test_memory_is_flat_over_thousands_of_samples(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", LOADING, str(tmp_path), str(MICRO_BATCHES)]
    # With imports of its own: a fork's peak grows by each page of the tests' server that it writes to.
    said = json.loads(
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, text=True).stdout
    )
    assert said["rows"] == MICRO_BATCHES and said["stored"] > 3, "random rows of files of several GiB"
    peaks = {int(read): peak for read, peak in said["peaks"].items()}
    # What 24 more samples would take where they stayed, as floats, is 24 times the largest; one is for the allocator.
    assert peaks[MICRO_BATCHES] - peaks[EARLY] < 1.5 * said["largest"] < 0.1

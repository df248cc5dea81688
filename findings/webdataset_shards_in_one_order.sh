#!/usr/bin/env bash
# webdataset 1.0.2 (Python 3.11): shards come in the same order in every epoch and run, and samples in one that no seed brings back.
#
# Seen: `WebDataset(shards, shardshuffle=8)` gives eight shards in one order, shuffled, in the first epoch, the second, and in another process, as if it had been given a
# seed. With seed=3 it is another one, of every epoch too; detshuffle=True changes it by epoch. `.shuffle(32)` is the reverse: its order is never the same, whatever random.seed,
# numpy's seed, the dataset's `seed` and its `detshuffle` say, because it takes the clock; `.shuffle(32, seed=3)` gives one order in all epochs. Only an rng of one's own, or
# the stage `detshuffle`, both changes by epoch and comes back. So by default clips of one shard meet the same neighbours all
# training long, and a run cannot be repeated. The arguments' descriptions say "shuffle" and "seed for shuffling" alike;
# the library's pull request 502 has the first half of it.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install webdataset==1.0.2 numpy==2.4.6
cat > "$work/orders.py" <<'PY'
import io, json, random, sys, tarfile

import numpy as np
import webdataset as wds

folder = sys.argv[1]


def shard(name: str, keys: range) -> str:
    with tarfile.open(f"{folder}/{name}", "w") as tar:
        for key in keys:
            entry = tarfile.TarInfo(f"{key:03}.cls")
            entry.size = 1
            tar.addfile(entry, io.BytesIO(b"1"))
    return f"{folder}/{name}"


def order(dataset: object) -> list[int]:
    return [int(sample["__key__"]) for sample in dataset]


one, several = shard("one.tar", range(64)), [shard(f"{i}.tar", range(i, i + 1)) for i in range(8)]
random.seed(0)
np.random.seed(0)
of_one = dict(shardshuffle=False)
datasets = {
    "shardshuffle=8": wds.WebDataset(several, shardshuffle=8),
    "shardshuffle=8, seed=3": wds.WebDataset(several, shardshuffle=8, seed=3),
    "shardshuffle=8, detshuffle=True": wds.WebDataset(several, shardshuffle=8, detshuffle=True),
    ".shuffle(32)": wds.WebDataset(one, **of_one).shuffle(32),
    "seed=3 and .shuffle(32)": wds.WebDataset(one, **of_one, seed=3).shuffle(32),
    "seed=3, detshuffle=True and .shuffle(32)": wds.WebDataset(one, **of_one, seed=3, detshuffle=True).shuffle(32),
    ".shuffle(32, seed=3)": wds.WebDataset(one, **of_one).shuffle(32, seed=3),
    ".shuffle(32, rng=Random(3))": wds.WebDataset(one, **of_one).shuffle(32, rng=random.Random(3)),
    "the stage detshuffle(32, seed=3)": wds.DataPipeline(wds.SimpleShardList(one), wds.tarfile_to_samples(), wds.detshuffle(32, seed=3)),
}
json.dump({name: [order(dataset), order(dataset)] for name, dataset in datasets.items()}, sys.stdout)
PY
for run in 1 2; do "$work/venv/bin/python" -W ignore "$work/orders.py" "$work" > "$work/$run.json"; done
"$work/venv/bin/python" - "$work/1.json" "$work/2.json" <<'PY'
import json, sys

first, second = (json.load(open(path)) for path in sys.argv[1:])
expected = {  # the same in every epoch, the same in every run
    "shardshuffle=8": (True, True),
    "shardshuffle=8, seed=3": (True, True),
    "shardshuffle=8, detshuffle=True": (False, True),
    ".shuffle(32)": (False, False),
    "seed=3 and .shuffle(32)": (False, False),
    "seed=3, detshuffle=True and .shuffle(32)": (False, False),
    ".shuffle(32, seed=3)": (True, True),
    ".shuffle(32, rng=Random(3))": (False, True),
    "the stage detshuffle(32, seed=3)": (False, True),
}
for name, (epoch, other) in first.items():
    seen = epoch == other, first[name] == second[name]
    print(f"{name:42} same every epoch: {seen[0]!s:5} same every run: {seen[1]!s:5} begins {epoch[:4]}, {other[:4]}")
    assert seen == expected[name] and epoch != sorted(epoch), "changed"
PY

"""Rows of features out of a store of 100 MB/s, beside those of a disk: `python -m benchmarks.training.remote_rows [PROFILE]`.

The store is `benchmarks.training.limited_store`. Files are sparse, of full size, and read as zeros out of memory: no disk
slows either side. Every row is read once, in a training's random order.
"""

import argparse
import json
import os
import tempfile
import time
from hashlib import md5
from pathlib import Path

from benchmarks.training.features_at_size import ALL_ON, write_sparse_snapshot
from benchmarks.training.limited_store import limited_store
from media.features.remote import RemoteFeatures
from media.store.block_cache import BlockCache
from media.store.listing import object_name
from profiles import Profile, load_profile
from training.data.feature_rows import FeatureRows
from training.data.loader import SnapshotData

AIM, PREDICTED = 0.8, 0.85
RATE = 100.0  # MB/s
BATCH = 8
BUCKET = "s3://store/team"


def publish(root: Path) -> tuple[dict[str, Path], str]:
    """Objects of `root/features` as DVC would have pushed them, and the hash of their list. Nobody compares a block with its
    file's hash, so that names stand in for the hashes of gigabytes of zeros."""
    entries, files = [], {}
    for path in sorted((root / "features").rglob("*")):
        if path.is_file():
            name = path.relative_to(root / "features").as_posix()
            entries.append({"md5": md5(name.encode()).hexdigest(), "relpath": name})
            files["store/team/" + object_name(entries[-1]["md5"])] = path
    data = json.dumps(entries).encode()
    listing = md5(data).hexdigest() + ".dir"
    (root / "listing").write_bytes(data)
    files["store/team/" + object_name(listing)] = root / "listing"
    return files, listing


class Loaders:
    """Loaders over one snapshot of sparse files: of the disk, and of the store through a cache that is empty at first."""

    def __init__(self, root: Path, profile: Profile, listing: str):
        self._root, self._profile, self._listing, self._caches = root, profile, listing, 0

    def local(self, depth: int) -> SnapshotData:
        """Rows of the disk, `depth` micro-batches ahead."""
        return self._over(FeatureRows(self._root / "features"), depth)

    def remote(self, depth: int) -> tuple[SnapshotData, RemoteFeatures]:
        """Rows of the store, and what says how much of it was fetched."""
        self._caches += 1
        features = RemoteFeatures(
            f"{BUCKET}#{self._listing}", BlockCache(self._root / f"cache-{self._caches}", 50 * 2**30)
        )
        return self._over(FeatureRows(self._root / "none", features), depth), features

    def _over(self, rows: FeatureRows, depth: int) -> SnapshotData:
        engine = self._profile.engine.model_copy(update={"prefetch": depth, "gradient_accumulation": BATCH})
        given = self._profile.model_copy(update={"engine": engine})
        return SnapshotData(self._root / "snapshot", rows, given, "text", 0, BATCH, ALL_ON)


def epochs(loaders: Loaders, batches: int) -> tuple[list[float], list[float], float]:
    """Seconds of each batch of the disk and of the store, in turns, loaded when it is asked for; and MB that were fetched."""
    here, (there, features) = loaders.local(0), loaders.remote(0)
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(batches):
        for data, found in zip((here, there), seconds, strict=True):
            began = time.perf_counter()
            for _ in data.rank_batch(number).split(BATCH):
                pass
            found.append(time.perf_counter() - began)
    return *seconds, sum(source.fetched for source in features.sources.values()) / 1e6


def waited(data: SnapshotData, micro_batches: int, step_seconds: float) -> tuple[float, float]:
    """Shares of the time that a step of so many seconds waits: in its first ten micro-batches, and from then on."""
    marks, done = [(time.perf_counter(), data.ahead.waited)], 0
    for number in range(-(-micro_batches // BATCH)):
        for _ in data.rank_batch(number).split(BATCH):
            done += 1
            time.sleep(step_seconds)
            if done in (10, micro_batches):
                marks.append((time.perf_counter(), data.ahead.waited))
    (zero, first), (ten, early), (end, late) = marks
    return (early - first) / (ten - zero), (late - early) / (end - ten)


def measure(profile: Profile, samples: int, step_seconds: float, steps: int, rate: float) -> None:
    """Print both sides."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_sparse_snapshot(root, profile, samples)
        files, listing = publish(root)
        stored = sum(path.stat().st_size for path in files.values()) / 1e6
        print(f"{samples} samples of {profile.name}, {stored:.0f} MB in {len(files)} objects, a store of {rate:g} MB/s")
        with limited_store(files, rate * 1e6, root) as address:
            os.environ |= {
                "AWS_ENDPOINT_URL": address, "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
            }  # fmt: skip
            loaders = Loaders(root, profile, listing)
            print_rates(*epochs(loaders, samples // BATCH))
            print_waits(loaders, profile.engine.prefetch, step_seconds, steps)


def print_rates(here: list[float], there: list[float], fetched: float) -> None:
    """A table of samples a second."""
    print("| samples a second, loader alone | disk | store | ratio |\n| --- | ---: | ---: | ---: |")
    quarter = max(1, len(here) // 4)
    parts = {"all": slice(None), "first quarter": slice(quarter), "last quarter": slice(-quarter, None)}
    for name, part in parts.items():
        one, two = (BATCH * len(found[part]) / sum(found[part]) for found in (here, there))
        print(f"| {name} | {one:.2f} | {two:.2f} | {two / one:.2f} |")
    ratio = sum(here) / sum(there)
    print(f"{fetched:.0f} MB fetched; ratio over all {ratio:.3f}  (predicted {PREDICTED}, aim at least {AIM})")


def print_waits(loaders: Loaders, depth: int, step_seconds: float, steps: int) -> None:
    """How long a step waits of either."""
    print(
        f"a step of {step_seconds:g} s a sample, {depth} samples ahead; of the time it waits, in its first ten and then"
    )
    for name, data in (("disk", loaders.local(depth)), ("store", loaders.remote(depth)[0])):
        early, late = waited(data, steps, step_seconds)
        print(f"  {name}: {early:.1%}, {late:.2%}  (aim of the second: none)", flush=True)


def main() -> None:
    """Print the prediction and what came out."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("profile", nargs="?", default="wan2.1-1.3b")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--rate", type=float, default=RATE, help="MB/s of the store")
    parser.add_argument("--step-seconds", type=float, default=1.0, help="of one sample")
    parser.add_argument("--steps", type=int, default=40, help="samples that are stepped over")
    given = parser.parse_args()
    measure(load_profile(given.profile, []), given.samples, given.step_seconds, given.steps, given.rate)


if __name__ == "__main__":
    main()

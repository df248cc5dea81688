"""Peak memory of scoring a shard, as the shard grows: `python -m benchmarks.curation.keypoint_memory`.

One long clip stands in each shard many times under other ids, so that shards differ in nothing but their length.
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.intake.clip_table import CLIPS_SCHEMA
from curation.intake.ingest import ingest_shard
from curation.people.keypoints import KEYPOINTS
from curation.scores.table import score_shard
from curation.tables.contracts import CLIPS
from curation.tables.storage import read_table, write_table
from media import encode_clip
from profiles import load_profile
from profiles.scores import ScoresConfig

SHARDS = (64, 256, 1024)  # clips
FRAMES = 321  # 20 s at 16 frames per second
BYTES_PER_FRAME = KEYPOINTS * 3 * 4


@dataclass(frozen=True)
class ShardMemory:
    """One shard: all its keypoints, and by how much scoring it raised the process's peak."""

    clips: int
    keypoints_mib: float
    grown_mib: float
    seconds: float


class GivenKeypoints:
    """Networks that find people have memory of their own: keypoints are given."""

    name, version = "given", "1"

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return np.ones((len(frames), KEYPOINTS, 3), np.float32)


def make_shard(root: Path, clips: int) -> Path:
    """A shard of so many rows of one file."""
    profile = load_profile("laptop", [])
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (64, 64, 3), np.uint8)
    frames = np.stack([np.roll(picture, t, axis=1) for t in range(FRAMES)])
    source = root / "clip.mp4"
    source.write_bytes(encode_clip(frames, 16.0, rng.normal(0, 0.1, FRAMES * 1000).astype(np.float32)))
    shard = ingest_shard([source], root / "raw", profile).path
    row = read_table(shard / "clips.parquet")
    ids = [f"{n:016x}" for n in range(clips)]
    table = row.iloc[[0] * clips].reset_index(drop=True).assign(clip_id=ids)
    table["sha256"] = table["source_sha256"] = table["clip_id"] + "0" * 48  # whole files, as it were
    write_table(table, shard / "clips.parquet", CLIPS_SCHEMA, contract=CLIPS)
    return shard


def memory_of(clips: int) -> ShardMemory:
    """Score one shard in this process, which must be a new one: a peak never falls. One score that reads keypoints is on."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        shard = make_shard(root, clips)
        profile = load_profile("laptop", [])
        off = ScoresConfig.model_validate(
            dict.fromkeys(set(ScoresConfig.model_fields) - {"native_frames", "caption", "pose"})
        )
        profile = profile.model_copy(update={"curation": profile.curation.model_copy(update={"scores": off})})
        before, started = _peak(), time.monotonic()
        score_shard(shard, root / "scores", GivenKeypoints(), profile, cache=root / "cache")
        seconds = time.monotonic() - started
        return ShardMemory(clips, clips * FRAMES * BYTES_PER_FRAME / 2**20, _peak() - before, seconds)


def _peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main() -> None:
    """Each shard in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", nargs="*", type=int, default=SHARDS)
    for clips in parser.parse_args().clips:
        # Not multiprocessing.Pool, whose workers may not have the workers that clips are scored in.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            found = pool.submit(memory_of, clips).result()
        print(
            f"{found.clips} clips of {FRAMES} frames, {found.keypoints_mib:.0f} MiB of keypoints: peak memory grew by "
            f"{found.grown_mib:.0f} MiB, {found.seconds:.0f} s"
        )


if __name__ == "__main__":
    main()

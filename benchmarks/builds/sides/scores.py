"""All CPU scores of clips over their pure decoding, one thread: `... scores CLIPS RESULT --rounds N`."""

import argparse
import json
from pathlib import Path

from benchmarks.builds.sides.places import place
from media import probe_clip
from profiles.schema import VideoConfig
from profiles.scores import ScoresConfig


def main(arguments: list[str] | None = None) -> None:
    """Time every clip of the folder and write the sums of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    decode = scores = 0.0
    for path in sorted(given.clips.glob("*.mp4")):
        data = path.read_bytes()
        probe = probe_clip(data)
        # The bucket nearest to the clip's own size: resizing is not the scores' work.
        height, width = (max(16, side // 16 * 16) for side in (probe.height, probe.width))
        video = VideoConfig(height=height, width=width, frames=81)
        taken = place("time_scores")(path.name, data, video, ScoresConfig(), given.rounds)
        decode += taken.decode
        scores += taken.decode * taken.ratio
    given.result.write_text(json.dumps({"decode": decode, "cpu": scores, "over decode": scores / decode}))


if __name__ == "__main__":
    main()

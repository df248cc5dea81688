"""`python -m benchmarks.readme [HOME]`: the README's pictures and results table out of a finished demo (by default this folder's).

The pictures go to docs/pictures (`--pictures FOLDER`), the table is printed. Nothing is generated anew: both come from
`data/generated_videos` and `data/baseline_comparison`.
"""

import argparse
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from evaluation.benchmark.benchmark_plan import AUDIO, POSE, STUDENT, TEACHER
from evaluation.benchmark.generate import enlarge, load_generated
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark, load_puppets
from media import write_atomically
from profiles.judging import PUPPETS

CLIPS = 4
SCALE = 2
BAND = 76  # pixels at the left of each row, for its title
TITLES = ("reference", "truth", "teacher", "one step")
# Beginnings of the columns of comparison.json that fit a page.
COLUMNS = ("mouth r", "missing joints", "missing hands", "colour error", "joints px", "s / clip")


def main() -> None:
    """Write the pictures, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("home", type=Path, nargs="?", default=Path(), help="root of a finished demo")
    parser.add_argument("--pictures", type=Path, default=Path("docs/pictures"), help="folder for the pictures")
    options = parser.parse_args()
    data = options.home / "data"
    for path in write_pictures(data, options.pictures):
        print(f"{path} ({path.stat().st_size / 1024:.0f} KB)")
    print(
        "\n"
        + "\n".join(results_table(json.loads((data / "baseline_comparison" / PUPPETS / "comparison.json").read_text())))
    )


def write_pictures(data: Path, folder: Path) -> Iterator[Path]:
    """Write `talking.webp` and `posed.webp`, each a row of clips that move: the same people driven by sound, and by pose."""
    benchmark = load_puppets(data / "benchmark_sets" / PUPPETS)
    for name, mode in (("talking", AUDIO), ("posed", POSE)):
        made = [
            load_generated(data / "generated_videos" / PUPPETS / model / mode, benchmark)[0]
            for model in (TEACHER, STUDENT)
        ]
        path = folder / f"{name}.webp"
        write_atomically(path, animation(sheet(benchmark, made), benchmark.fps))
        yield path


def sheet(benchmark: PuppetBenchmark, made: Sequence[np.ndarray], clips: int = CLIPS) -> np.ndarray:
    """`(T, H, W, 3)` uint8: a row each for the reference, the clip as it is, and each model's; the first clips side by side.

    Args:
        benchmark: N clips of T frames.
        made: what each model made of them, `(N, T, h, w, 3)` uint8.
        clips: how many.
    """
    frames = benchmark.frames.shape[1]
    still = np.repeat(benchmark.reference.numpy()[:, None], frames, axis=1)
    rows = [np.concatenate(list(videos[:clips]), axis=2) for videos in (still, benchmark.frames.numpy(), *made)]
    return np.concatenate(
        [_titled(enlarge(row, SCALE), title) for row, title in zip(rows, TITLES, strict=True)], axis=1
    )


def _titled(frames: np.ndarray, title: str) -> np.ndarray:
    band = np.full((frames.shape[1], BAND, 3), 255, np.uint8)
    cv2.putText(band, title, (4, len(band) // 2), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return np.concatenate([np.repeat(band[None], len(frames), axis=0), frames], axis=2)


def animation(frames: np.ndarray, fps: float) -> bytes:
    """A WebP that plays `(T, H, W, 3)` uint8 frames for ever."""
    first, *rest = (Image.fromarray(frame) for frame in frames)
    file = io.BytesIO()
    # method=6 is half a per cent smaller than 5 and takes seventeen times as long.
    first.save(
        file, "webp", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0, quality=60, method=5
    )
    return file.getvalue()


def results_table(comparison: dict) -> Iterator[str]:
    """The lines of a Markdown table of the scores that decide, out of comparison.json."""
    rows = comparison["table"]
    columns = [name for name in next(iter(rows.values())) if name.startswith(COLUMNS)]
    yield f"| {comparison['clips']} held-out puppets | {' | '.join(columns)} |"
    yield "| --- |" + " ---: |" * len(columns)
    for title, row in rows.items():
        yield f"| {title} | {' | '.join('–' if row[c] is None else f'{row[c]:.3g}' for c in columns)} |"


if __name__ == "__main__":
    main()

"""How often the invisible mark is read after ordinary edits, how often where there is none, and what it costs:
`python -m benchmarks.provenance.watermark --clips 40 --trials 1000 --unmarked 1000`.

Clips are rendered people of seeds that nothing trains on; `--real FOLDER` adds films of its own to the unmarked ones. A trial is a clip with a payload and
cuts of its own: more trials than clips repeat the pictures with other payloads, so the interval is that of payloads and cuts, not of people.
"""

import argparse
import io
import math
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import av
import cv2
import matplotlib
import numpy as np

from media import decode_clip
from people import render
from provenance.watermark.find import THRESHOLD, Found, find
from provenance.watermark.mark import mark
from provenance.watermark.payload import Payload

FIRST_SEED, FPS, CRF, SCALE, CUT = 70_000_000, 16, 28, 0.75, 0.1
EDITS = ("as written", "H.264 crf 28", "scaled to 0.75", "cut by 10 %", "all three")
DAY = date(2026, 11, 29)


def encoded(frames: np.ndarray, crf: int = CRF) -> np.ndarray:
    """Through H.264, 4:2:0, x264's preset medium."""
    height, width = (side // 2 * 2 for side in frames.shape[1:3])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(crf), "preset": "medium", "threads": "1"}
        for image in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    with av.open(io.BytesIO(buffer.getvalue())) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def scaled(frames: np.ndarray) -> np.ndarray:
    """To `SCALE`, whole even numbers of pixels."""
    height, width = (2 * round(side * SCALE / 2) for side in frames.shape[1:3])
    return np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in frames])


def cut(frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A tenth of height and width away, anywhere."""
    height, width = (round(side * (1 - CUT)) for side in frames.shape[1:3])
    top, left = (
        int(random.integers(0, full - kept + 1)) for full, kept in zip(frames.shape[1:3], (height, width), strict=True)
    )
    return frames[:, top : top + height, left : left + width]


def edited(frames: np.ndarray, edit: str, random: np.random.Generator) -> np.ndarray:
    """One of `EDITS`; all begin with our own export, crf 12."""
    written = encoded(frames, 12)
    if edit == "H.264 crf 28":
        return encoded(written)
    if edit == "scaled to 0.75":
        return scaled(written)
    if edit == "cut by 10 %":
        return cut(written, random)
    return encoded(cut(scaled(written), random)) if edit == "all three" else written


def interval(found: int, trials: int) -> str:
    """95 %, Wilson."""
    z, share = 1.96, found / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return f"{100 * max(0, middle - half):.1f} to {100 * min(1, middle + half):.1f} %"


def clips(count: int, frames: int, size: int, keep: Path | None = None) -> Iterator[np.ndarray]:
    """Rendered people, one after another; `keep` is a folder for them, that the next run reads."""
    for number in range(count):
        file = None if keep is None else keep / f"{FIRST_SEED + number}-{frames}-{size}.npy"
        if file is not None and file.is_file():
            yield np.load(file)
            continue
        made = render(FIRST_SEED + number, frames=-(-(frames - 1) // 4) * 4 + 1, size=size).frames[:frames]
        if file is not None:
            np.save(file, made)
        yield made


def real_clips(folder: Path, frames: int, size: int) -> Iterator[np.ndarray]:
    """Pieces of so many frames of every film in a folder, `size` pixels on the shorter side."""
    for path in sorted(folder.glob("*.mp4")):
        whole = decode_clip(path, FPS).frames
        scale = size / min(whole.shape[1:3])
        height, width = (round(side * scale) for side in whole.shape[1:3])
        whole = np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in whole])
        yield from (whole[start : start + frames] for start in range(0, len(whole) - frames + 1, frames))


def marked_rows(
    pictures: Iterator[np.ndarray], count: int, trials: int, frames: int, size: int, scores: list[float]
) -> Iterator[str]:
    """How many of `trials` are read right after each edit, and the least PSNR."""
    random = np.random.default_rng(0)
    read: Counter[str] = Counter()
    psnr, seconds, done = [], 0.0, 0
    for number, plain in enumerate(pictures):
        for _ in range(trials // count + (number < trials % count)):
            payload = Payload(int(random.integers(2**16)), DAY)
            begun = time.perf_counter()
            ours = mark(plain, payload)
            seconds += time.perf_counter() - begun
            psnr.append(10 * np.log10(255**2 / np.mean((ours.astype(np.float64) - plain) ** 2)))
            for edit in EDITS:
                found = find(edited(ours, edit, random))
                read[edit] += found.marked and found.payload == payload
                scores.append(found.score)
            done += 1
    for edit in EDITS:
        yield f"| {size} | {frames / FPS:g} | {edit} | {read[edit]} of {done} | {100 * read[edit] / done:.1f} % | {interval(read[edit], done)} |"
    yield f"\nPSNR {min(psnr):.2f} dB at least, {np.mean(psnr):.2f} in the mean; {1000 * seconds / done:.1f} ms a clip of {frames} frames to put it in.\n"


def unmarked_rows(
    rendered: list[np.ndarray], trials: int, frames: int, size: int, real: Path | None, scores: list[float]
) -> Iterator[str]:
    """False alarms: pieces of clips, each cut in its own way and encoded."""
    random = np.random.default_rng(1)
    kinds = {"rendered people": rendered}
    if real is not None:
        kinds["real films"] = list(real_clips(real, frames, size))
    for kind, pictures in kinds.items():
        share, alarms, own = trials // len(kinds), 0, []
        for trial in range(share):
            found: Found = find(encoded(cut(pictures[trial % len(pictures)], random)))
            alarms += found.marked
            own.append(found.score)
        scores += own
        yield f"| {kind} | {len(pictures)} | {alarms} of {share} | {max(own):.2f} |"


def plot(path: Path, marked: list[float], unmarked: list[float]) -> None:
    """Both distributions of the score in one picture."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3))
    bins = np.linspace(5, 24, 77)
    axes.hist(
        [unmarked, marked],
        bins=bins.tolist(),
        histtype="stepfilled",
        alpha=0.6,
        label=["without a mark", "with one, all edits"],
    )
    axes.axvline(THRESHOLD, color="black", linewidth=1)
    axes.set(xlabel="score, standard deviations", ylabel="clips", yscale="log")
    axes.legend()
    figure.savefig(path, dpi=110, bbox_inches="tight")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=40, help="rendered people")
    parser.add_argument(
        "--trials", type=int, default=1000, help="payloads and cuts, of all clips together; 0 leaves the table out"
    )
    parser.add_argument("--unmarked", type=int, default=1000, help="clips without a mark; 0 leaves the table out")
    parser.add_argument("--frames", type=int, default=32, help=f"of a clip, at {FPS} a second")
    parser.add_argument("--size", type=int, default=256, help="pixels of a side, a multiple of 16")
    parser.add_argument("--real", type=Path, help="folder of real films for the unmarked half")
    parser.add_argument("--plot", type=Path, help="draw the scores into this PNG")
    parser.add_argument("--keep", type=Path, help="folder that keeps the rendered clips for the next run")
    arguments = parser.parse_args()
    shape = (arguments.clips, arguments.frames, arguments.size, arguments.keep)
    with_mark: list[float] = []
    without: list[float] = []
    if arguments.trials:
        print("| pixels | seconds | edit | read | share | 95 % interval |\n| ---: | ---: | --- | --- | ---: | --- |")
        for row in marked_rows(
            clips(*shape), arguments.clips, arguments.trials, arguments.frames, arguments.size, with_mark
        ):
            print(row, flush=True)
    if arguments.unmarked:
        print("| without a mark | different | false alarms | highest score |\n| --- | ---: | --- | ---: |")
        for row in unmarked_rows(
            list(clips(*shape)), arguments.unmarked, arguments.frames, arguments.size, arguments.real, without
        ):
            print(row, flush=True)
    if arguments.plot:
        plot(arguments.plot, with_mark, without)


if __name__ == "__main__":
    main()

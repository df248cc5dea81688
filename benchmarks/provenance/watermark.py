"""How often the invisible mark is read after ordinary edits, and how often where there is none:
`python -m benchmarks.provenance.watermark --clips 100 --trials 1000 --unmarked 1000 --real FOLDER --keep FOLDER`.

A trial with a mark is a clip with a payload of its own, written once as an export is, and from there edited in each way, with a cut of its own. Clips are rendered
people of seeds that nothing trains on and that chose nothing of the mark, or films of a folder; more trials than clips repeat the pictures. A trial without is a clip that was
encoded and then cut in its own way. `--keep` holds the rendered clips and each trial's result, so a run that was stopped goes on. `--network FILE` asks the same of the networks
that `python -m benchmarks.provenance.train_learned_mark` trained, `--published FOLDER` of published ones (`provenance.watermark.network`).
"""

import argparse
import hashlib
import inspect
import io
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from zlib import crc32

import av
import cv2
import matplotlib
import numpy as np

import provenance.watermark
from media import decode_clip, encode_clip
from people import render
from provenance.watermark.find import THRESHOLD, find
from provenance.watermark.mark import mark
from provenance.watermark.network import open_network
from provenance.watermark.payload import Payload

# The 24 people before were looked at when band, code and shares were chosen.
FIRST_SEED, FPS, CRF, SCALE, CUT = 70_000_024, 16, 28, 0.75, 0.1
EDITS = ("as written", "H.264 crf 28", "scaled to 0.75", "cut by 10 %", "all three")
DAY = date(2026, 11, 29)
OURS = tuple(Path(provenance.watermark.__file__).parent.glob("*.py"))


def encoded(frames: np.ndarray) -> np.ndarray:
    """Through H.264 at `CRF`, 4:2:0, x264's preset medium."""
    height, width = (side // 2 * 2 for side in frames.shape[1:3])
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"crf": str(CRF), "preset": "medium", "threads": "1"}
        for image in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return decoded(buffer.getvalue())


def decoded(data: bytes) -> np.ndarray:
    """All pictures of a film, `(T, H, W, 3)` uint8."""
    with av.open(io.BytesIO(data)) as container:
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


def edits_of(marked: np.ndarray, random: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Each of `EDITS` of one clip; all begin with what an export writes."""
    written = decoded(encode_clip(marked, FPS, pixel_format="yuv420p"))
    small = scaled(written)
    yield EDITS[0], written
    yield EDITS[1], encoded(written)
    yield EDITS[2], small
    yield EDITS[3], cut(written, random)
    yield EDITS[4], encoded(cut(small, random))


def interval(found: int, trials: int) -> str:
    """95 %, Wilson."""
    z, share = 1.96, found / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return f"{100 * max(0, middle - half):.1f} to {100 * min(1, middle + half):.1f} %"


@dataclass(frozen=True)
class Source:
    """Clips of one kind.

    Attributes:
        kind: for the table.
        frames: of each clip.
        size: pixels on the shorter side.
        count: of clips.
        real: a folder of films, or None for rendered people.
        keep: a folder that keeps rendered clips and results, or None.
    """

    kind: str
    frames: int
    size: int
    count: int
    real: Path | None
    keep: Path | None

    def clips(self) -> Iterator[tuple[str, np.ndarray]]:
        """One after another, with its name."""
        if self.real is not None:
            yield from _films(self.real, self.frames, self.size)
            return
        for seed in range(FIRST_SEED, FIRST_SEED + self.count):
            name = f"{seed}-{self.frames}-{self.size}"
            file = None if self.keep is None else self.keep / f"{name}.npy"
            if file is not None and file.is_file():
                yield name, np.load(file)
                continue
            made = render(seed, frames=-(-(self.frames - 1) // 4) * 4 + 1, size=self.size).frames[: self.frames]
            if file is not None:
                np.save(file, made)
            yield name, made


def _films(folder: Path, frames: int, size: int) -> Iterator[tuple[str, np.ndarray]]:
    """Pieces of so many frames of every film in a folder, half of each in the next one too."""
    for path in sorted(folder.glob("*.mp4")):
        whole = decode_clip(path, FPS).frames
        scale = size / min(whole.shape[1:3])
        height, width = (round(side * scale) for side in whole.shape[1:3])
        whole = np.stack([cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA) for image in whole])
        for start in range(0, len(whole) - frames + 1, max(1, frames // 2)):
            yield f"{path.stem}-{start}-{frames}-{size}", whole[start : start + frames]


@dataclass(frozen=True)
class Tool:
    """What puts a mark in and looks for it.

    Attributes:
        mark, find: as those of `provenance.watermark`.
        is_marked: whether what was found is a mark.
        code: of it as it is now: results of another one are others.
    """

    mark: Callable[[np.ndarray, Payload], np.ndarray]
    find: Callable[[Iterable[np.ndarray]], Any]  # `Found` or `NetworkFound`
    is_marked: Callable[[Any], bool]
    code: str


def our_tool() -> Tool:
    """The product's own."""
    return Tool(mark, find, lambda found: found.marked, _code(OURS))


def learned_tool(weights: Path) -> Tool:
    """Trained networks."""
    from benchmarks.provenance.learned_mark import LearnedMark

    networks = LearnedMark.load(weights)
    return Tool(networks.mark, networks.find, networks.is_marked, _code([weights, Path(inspect.getfile(LearnedMark))]))


def published_tool(folder: Path) -> Tool:
    """Networks by path, as `OMNIHUMAN_WATERMARK` names them."""
    networks = open_network(folder)
    files = [folder / networks.interface.encoder, folder / networks.interface.decoder, *OURS]
    return Tool(networks.mark, networks.find, lambda found: found.marked, _code(files))


def _code(files: Iterable[Path]) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted((*files, Path(__file__))))).hexdigest()[:12]


def with_mark(name: str, plain: np.ndarray, trial: int, tool: Tool) -> dict[str, object]:
    """One trial: for each edit whether the payload was read, and the score; PSNR; and milliseconds of the processor to mark and to look once."""
    random = np.random.default_rng(crc32(f"{name} {trial}".encode()))
    payload = Payload(int(random.integers(2**16)), DAY)
    started = time.process_time()
    ours = tool.mark(plain, payload)
    marked = time.process_time() - started
    error = float(np.mean([np.mean((a.astype(np.float32) - b) ** 2) for a, b in zip(ours, plain, strict=True)]))
    result: dict[str, object] = {"psnr": 10 * math.log10(255**2 / error), "mark": 1000 * marked}
    for edit, pictures in edits_of(ours, random):
        started = time.process_time()
        found = tool.find(pictures)
        result[edit] = [tool.is_marked(found) and found.payload == payload, found.score]
        result["find"] = 1000 * (time.process_time() - started)  # of the last edit, which takes longest
    return result


def without_mark(name: str, plain: np.ndarray, trial: int, tool: Tool) -> dict[str, object]:
    """One trial with a clip that was encoded: whether a mark is said to be there, and the score."""
    found = tool.find(cut(plain, np.random.default_rng(crc32(f"{name} {trial} unmarked".encode()))))
    return {"alarm": tool.is_marked(found), "score": found.score}


def results(source: Source, trials: int, marked: bool, tool: Tool) -> list[dict[str, object]]:
    """Of all trials, spread evenly over the clips; those that `keep` has already are not done again."""
    file = None if source.keep is None else source.keep / f"{'with' if marked else 'without'}-{tool.code}.jsonl"
    lines = file.read_text().splitlines() if file is not None and file.is_file() else []
    known = {(row["name"], row["trial"]): row["result"] for row in map(json.loads, lines)}
    clips = list(source.clips()) if source.real is not None else None
    count = source.count if clips is None else len(clips)
    done = []
    for number, (name, plain) in enumerate(source.clips() if clips is None else clips):
        given: np.ndarray | None = None
        for trial in range(trials // count + (number < trials % count)):
            result = known.get((name, trial))
            if result is None:
                if given is None:
                    given = plain if marked else encoded(plain)
                result = (with_mark if marked else without_mark)(name, given, trial, tool)
                if file is not None:
                    with file.open("a") as kept:
                        kept.write(json.dumps({"name": name, "trial": trial, "result": result}) + "\n")
            done.append(result)
    return done


def plot(path: Path, marked: dict[str, list[float]], unmarked: list[float]) -> None:
    """Distributions of the score in one picture; SVG or PNG by the file's name."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 3))
    top = max(max(unmarked), *(max(scores) for scores in marked.values()))
    bins = np.linspace(4, top + 0.5, 60).tolist()
    for label, scores in {"without a mark": unmarked, **marked}.items():
        axes.hist(scores, bins=bins, histtype="step", label=f"{label} ({len(scores)})")
    axes.axvline(THRESHOLD, color="black", linewidth=1)
    axes.set(xlabel="score, standard deviations", ylabel="trials", yscale="log")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=90, bbox_inches="tight", metadata={"Date": None} if path.suffix == ".svg" else None)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100, help="rendered people")
    parser.add_argument("--trials", type=int, default=1000, help="with a mark, of rendered people; 0 leaves it out")
    parser.add_argument("--real-trials", type=int, default=0, help="with a mark, of the films in --real")
    parser.add_argument("--unmarked", type=int, default=1000, help="without a mark, half of --real; 0 leaves it out")
    parser.add_argument("--frames", type=int, default=32, help=f"of a clip, at {FPS} a second")
    parser.add_argument("--size", type=int, default=256, help="pixels on the shorter side, a multiple of 16")
    parser.add_argument("--real", type=Path, help="folder of films")
    parser.add_argument("--network", type=Path, help="weights of trained networks, to ask of them instead")
    parser.add_argument("--published", type=Path, help="folder of a published network, to ask of it instead")
    parser.add_argument("--plot", type=Path, help="draw the scores into this SVG or PNG")
    parser.add_argument("--keep", type=Path, help="folder that keeps rendered clips and results for the next run")
    arguments = parser.parse_args()
    if arguments.keep is not None:
        arguments.keep.mkdir(parents=True, exist_ok=True)
    tool = our_tool()
    if arguments.network is not None:
        tool = learned_tool(arguments.network)
    elif arguments.published is not None:
        tool = published_tool(arguments.published)
    shape = (arguments.frames, arguments.size, arguments.clips)
    sources = [Source("rendered people", *shape, None, arguments.keep)]
    sources += [Source("films", *shape, arguments.real, arguments.keep)] if arguments.real is not None else []
    scores: dict[str, list[float]] = {}
    print(
        "| clips | pixels | seconds | edit | read | share | 95 % interval |\n| --- | ---: | ---: | --- | --- | ---: | --- |"
    )
    for source, trials in zip(sources, (arguments.trials, arguments.real_trials), strict=False):
        done = results(source, trials, True, tool) if trials else []
        for edit in EDITS if done else ():
            read = sum(row[edit][0] for row in done)  # type: ignore[index]
            scores.setdefault(edit, []).extend(row[edit][1] for row in done)  # type: ignore[index]
            start = f"| {source.kind} | {source.size} | {source.frames / FPS:g} | {edit}"
            print(f"{start} | {read} of {len(done)} | {100 * read / len(done):.1f} % | {interval(read, len(done))} |")
        if done:
            psnr = [float(row["psnr"]) for row in done]  # type: ignore[arg-type]
            print(f"\nPSNR of {source.kind} {min(psnr):.2f} dB at least, {np.mean(psnr):.2f} in the mean.")
            spent = [np.median([float(row[part]) for row in done]) for part in ("mark", "find")]  # type: ignore[arg-type]
            print(f"Milliseconds of the processor: {spent[0]:.1f} to mark, {spent[1]:.1f} to look after {EDITS[-1]}.\n")
    unmarked: list[float] = []
    print("| without a mark | clips | false alarms | highest score |\n| --- | ---: | --- | ---: |")
    for source in sources if arguments.unmarked else ():
        done = results(source, arguments.unmarked // len(sources), False, tool)
        own = [float(row["score"]) for row in done]  # type: ignore[arg-type]
        different = min(len(done), sum(1 for _ in source.clips()))
        print(
            f"| {source.kind} | {different} | {sum(bool(row['alarm']) for row in done)} of {len(done)} | {max(own):.2f} |"
        )
        unmarked += own
    if arguments.plot and scores and unmarked:
        plot(arguments.plot, {edit: scores[edit] for edit in (EDITS[1], EDITS[4])}, unmarked)


if __name__ == "__main__":
    main()

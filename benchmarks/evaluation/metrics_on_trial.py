"""`python -m benchmarks.evaluation.metrics_on_trial FOLDER`: every metric that can be had on real clips: its value there, its floor, its coverage, and
whether known damage lowers it in the right order. No truth and no model is needed. FOLDER holds clips, or is a puppet benchmark."""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from assets.kinds.judging.instruments import open_instruments
from assets.kinds.judging.judges import DetectorJudge
from curation.errors import CurationError
from curation.people.wholebody import MediaPipeHolistic
from evaluation.baselines import Instruments, Samples, folder_samples, puppet_samples
from evaluation.baselines.sanity import Verdict, judge_metrics, material
from evaluation.baselines.tables import unmeasured_table
from evaluation.metrics.registry import METRICS
from evaluation.networks.dlib_face import DlibFaceEmbedding
from evaluation.networks.packaged import if_installed
from evaluation.panel import measurable
from media import decode_clip, encode_clip
from profiles.judging import JudgesConfig

RATE = 16_000


def packaged_instruments(cache: Path) -> Instruments:
    """All that `make people-and-text` brings; what is not installed is None."""
    try:
        detector = DetectorJudge(MediaPipeHolistic.packaged())
    except CurationError:
        return open_instruments(JudgesConfig(), None, None, cache)
    named = f"{detector.network.architecture} {detector.network.sha256}"
    return open_instruments(JudgesConfig(), detector, if_installed(lambda: DlibFaceEmbedding(named)), cache)


def cut_into_pieces(source: Path, destination: Path, pieces: int, seconds: float) -> None:
    """Write windows, evenly spaced, of every video of a folder, so named that clips of different videos follow one another: one damage
    is the next clip."""
    for number, sample in enumerate(folder_samples(source).samples):
        clip = decode_clip(sample.path, sample.fps, RATE)
        length = min(round(seconds * sample.fps), len(clip.frames) // pieces)
        for piece in range(pieces):
            start = round(piece * (len(clip.frames) - length) / max(1, pieces - 1))
            window = clip.frames[start : start + length]
            height, width = (side // 2 * 2 for side in window.shape[1:3])
            sound = None
            if clip.audio is not None:
                sound = clip.audio[round(start / sample.fps * RATE) : round((start + length) / sample.fps * RATE)]
            name = f"{piece:02d}-{number:02d}-{sample.name}.mp4"
            (destination / name).write_bytes(encode_clip(window[:, :height, :width], sample.fps, sound, RATE))


def trial_table(verdicts: Mapping[str, Verdict]) -> str:
    """A row per metric: value and coverage on real clips, floor, order under damage, and whether it may judge."""
    lines = [
        "| metric | unit | real clips | defined on | floor | from no damage to the worst | may judge |",
        "| --- | --- | --- | ---: | --- | --- | --- |",
    ]
    for name, verdict in verdicts.items():
        ceiling, floor = verdict.ceiling, verdict.floor
        order = ", ".join(f"{damage} {value:.3g}" for damage, value in verdict.order.items())
        interval = f" [{ceiling.ci_low:.3g}, {ceiling.ci_high:.3g}]" if ceiling.ci_low == ceiling.ci_low else ""
        cells = [
            METRICS[name].directed_title(), ceiling.unit, f"{ceiling.value:.3g}{interval}", f"{ceiling.coverage:.0%}",
            "–" if floor is None else f"{floor.value:.3g}", order, "yes" if verdict.usable else f"no: {verdict.reason}",
        ]  # fmt: skip
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def try_metrics(samples: Samples, instruments: Instruments, resamples: int) -> str:
    """Score every damage, and write the result down as markdown."""

    def report(done: int, total: int, clip: str) -> None:
        print(f"[{done}/{total}] {clip}", file=sys.stderr, flush=True)

    verdicts = judge_metrics(instruments, samples, resamples, progress=report)
    networks = {
        (n.architecture, n.sha256[:12], n.protocol)
        for verdict in verdicts.values()
        if (n := verdict.ceiling.network) is not None
    }
    frames = sum(sample.frames for sample in samples.samples)
    parts = [
        f"{len(samples)} clips of {samples.name}, {frames} frames, samples {samples.digest[:12]}.",
        trial_table(verdicts),
        "Networks:",
        "\n".join(f"- {' '.join(network)}" for network in sorted(networks)) or "none",
        "Not measured:",
        unmeasured_table(measurable(instruments, material(samples, instruments))[1]),
    ]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Print the tables, or write them to a file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evaluation.metrics_on_trial", description=__doc__)
    parser.add_argument("folder", type=Path, help="real clips, or a puppet benchmark (with manifest.parquet)")
    parser.add_argument("--pieces", type=int, help="cut every clip into so many windows first")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a window")
    parser.add_argument("--limit", type=int, help="at most so many clips")
    parser.add_argument("--resamples", type=int, default=100, help="of the intervals")
    parser.add_argument("--output", type=Path, help="file to write; default is standard output")
    options = parser.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="metrics-on-trial-") as scratch:
        folder = options.folder
        if options.pieces:
            folder = Path(scratch) / options.folder.name
            folder.mkdir()
            cut_into_pieces(options.folder, folder, options.pieces, options.seconds)
        read = puppet_samples if (folder / "manifest.parquet").is_file() else folder_samples
        samples = read(folder, options.limit)
        text = try_metrics(samples, packaged_instruments(Path(scratch) / "features"), options.resamples)
    text += f"\n{time.perf_counter() - began:.0f} s.\n"
    if options.output:
        options.output.write_text(text)
    else:
        print(text)


if __name__ == "__main__":
    main()

"""What is compared with whom."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.agreement import (
    Agreement,
    columns_agreement,
    cut_agreement,
    face_agreement,
    five_agreement,
    greatest_difference,
    motion_agreement,
    relative_agreement,
)
from benchmarks.peers.inputs import true_cuts


@dataclass(frozen=True)
class Case:
    """A row.

    Attributes:
        peer: key of `environment.PEERS`.
        case: what both modules' `prepare` is told.
        what: for people.
        ours, theirs: modules.
        rounds: turns of each side.
        agreement: of what both found.
    """

    peer: str
    case: str
    what: str
    ours: str
    theirs: str
    rounds: int
    agreement: Agreement


def all_cases(folder: Path) -> list[Case]:
    """Every row, in the table's order; `folder` holds the inputs."""
    scores = ("benchmarks.peers.ours.scores", "benchmarks.peers.theirs.data_juicer_scores")
    cuts = ("benchmarks.peers.ours.cuts", "benchmarks.peers.theirs.pyscenedetect_cuts")
    frechet = ("benchmarks.peers.ours.frechet", "benchmarks.peers.theirs.torchmetrics_frechet")
    pipeline = ("benchmarks.peers.ours.pipeline", "benchmarks.peers.theirs.diffusers_pipeline")
    training = ("benchmarks.peers.ours.training", "benchmarks.peers.theirs.diffsynth_training")
    found = cut_agreement(true_cuts(folder))
    frames, velocity = greatest_difference("frames"), greatest_difference("velocity")
    distance = relative_agreement("distance")
    rows = (
        ("data-juicer", "motion", "motion; the filter as it comes", scores, 5, motion_agreement),
        ("data-juicer", "motion-small", "motion; the filter shrinks to our size", scores, 5, motion_agreement),
        ("data-juicer", "motion-neighbours", "motion; and measures every pair of frames", scores, 3, motion_agreement),
        ("data-juicer", "faces", "faces; the filter as it comes", scores, 3, face_agreement),
        ("data-juicer", "faces-few", "faces; the filter in as many pictures as we", scores, 3, face_agreement),
        ("data-juicer", "five", "motion, faces, size, shape, length; as they come", scores, 3, five_agreement),
        ("data-juicer", "five-cheapest", "the same; the filters set to do as little as we", scores, 3, five_agreement),
        ("data-juicer", "all", "all our CPU scores beside the peer's five", scores, 3, columns_agreement),
        ("pyscenedetect", "content", "cuts; ContentDetector", cuts, 7, found),
        ("pyscenedetect", "adaptive", "cuts; AdaptiveDetector", cuts, 7, found),
        ("pyscenedetect", "content-pyav", "cuts; ContentDetector, read by PyAV", cuts, 7, found),
        ("torchmetrics", "few", "Fréchet distance, 64 rows of 2048", frechet, 3, distance),
        ("torchmetrics", "many", "Fréchet distance, 2500 rows of 2048", frechet, 3, distance),
        ("diffusers", "64", "WanPipeline, 17 frames of 64 x 64, 8 steps", pipeline, 9, frames),
        ("diffusers", "256", "the same of 256 x 256", pipeline, 5, frames),
        ("diffsynth", "laptop-1", "training step, 80 tokens, one sample", training, 15, velocity),
        ("diffsynth", "laptop-16", "the same, 16 samples", training, 7, velocity),
        ("diffsynth", "larger-1", "training step, 1280 tokens, one sample", training, 7, velocity),
        ("diffsynth", "larger-1-kept", "the same, its gradient checkpointing on", training, 7, velocity),
    )  # fmt: skip
    return [Case(peer, case, what, *modules, rounds, agree) for peer, case, what, modules, rounds, agree in rows]


# What somebody would look for here and does not find, and why; by peer.
LEFT_OUT = {
    "data-juicer": "its filters of aesthetics, watermarks, not-safe-for-work, tags, text in frames and likeness to a caption: the weights of their "
    "networks are fetched from a hub when they are first asked. And its signal-to-noise ratio of sound: it installs samplerate 0.1.0 and torchcodec 0.7 "
    "when it is made, of which the second belongs to an older torch",
}

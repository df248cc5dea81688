"""The held-out benchmark."""

from assets.core.steps import Execution, Fixed, Metadata, Png
from assets.kinds.demo_corpus import corpus_seeds
from curation.pages.figures import contact_sheet
from evaluation.benchmark.puppet_benchmark import build_benchmark
from profiles import Profile


def make_benchmark_sets(execution: Execution) -> Metadata:
    """Render clips of seeds that no training corpus holds."""
    profile = execution.workspace.profile
    benchmark = build_benchmark(
        execution.input("benchmark_sets"), profile.evaluation, profile.video, training_seeds(profile)
    )
    shown = range(min(8, len(benchmark)))
    sheet = contact_sheet([benchmark.frames[i, 0].numpy() for i in shown], [benchmark.names[i] for i in shown])
    return {"clips": Fixed(len(benchmark)), "digest": benchmark.digest, "first_frames": Png(sheet)}


def training_seeds(profile: Profile) -> list[range]:
    """Seeds of the puppets that the demo renders into the inbox."""
    return [] if profile.demo is None else [corpus_seeds(profile.demo)]

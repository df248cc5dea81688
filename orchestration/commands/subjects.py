"""Whom a model makes, puppets or people, and what reads videos of them."""

from typing import TYPE_CHECKING

from orchestration.commands.options import CommandError

if TYPE_CHECKING:
    from assets.core.workspace import Workspace
    from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
    from evaluation.metrics.observation.instruments import Instruments
    from omnihuman import OmniHumanPipeline
    from serving.model_choice import LoadedModel


def shows_people(workspace: "Workspace", loaded: "LoadedModel") -> bool:
    """Whether a model is to make people: its record says that it has hardly seen puppets, or that it has seen both, or none, and the profile is
    judged by people."""
    from media.records.trained_on import PEOPLE, PUPPETS
    from profiles import judging

    by_puppets = judging.PUPPETS in workspace.profile.evaluation.benchmarks
    if loaded.trained_on is None or (loaded.trained_on.knows(PUPPETS) and loaded.trained_on.knows(PEOPLE)):
        return not by_puppets
    return not loaded.trained_on.knows(PUPPETS)


def eyes_for_people(workspace: "Workspace") -> "Instruments":
    """What looks at people.

    Raises:
        CommandError: nothing finds their keypoints.
    """
    from assets.kinds.judging.instruments import profile_instruments

    instruments = profile_instruments(workspace)
    if instruments.keypoints is None:
        raise CommandError(
            f"the model makes people, and encoders.keypoints of profile {workspace.profile.name} finds none of theirs; set it to mediapipe "
            "(`make people-and-text`), or to the folder of a published detector"
        )
    return instruments


def pipeline_of_puppets(workspace: "Workspace", loaded: "LoadedModel") -> "OmniHumanPipeline":
    """The pipeline of a model that has seen puppets.

    Raises:
        CommandError: its record says that it was trained on others.
    """
    from media.records.trained_on import PUPPETS

    if loaded.trained_on is not None and not loaded.trained_on.knows(PUPPETS):
        raise CommandError(
            f"{loaded.name} was trained on {loaded.trained_on}, and this makes puppets and reads them by their exact truth; what it makes of people "
            "`python -m assets benchmark_scores` measures, on the benchmarks of the profile, beside floors"
        )
    return loaded.pipeline


def benchmark_of_puppets(workspace: "Workspace") -> "PuppetBenchmark":
    """Open the puppets that the profile is judged by.

    Raises:
        CommandError: it is judged by others alone.
    """
    from evaluation.benchmark.puppet_benchmark import load_puppets
    from profiles.judging import PUPPETS

    judges = workspace.profile.evaluation.benchmarks
    if PUPPETS not in judges:
        raise CommandError(
            f"this reads puppets by their exact truth, and profile {workspace.profile.name} is judged by {', '.join(judges)}; on those "
            "`python -m assets benchmark_scores` measures every model, beside floors"
        )
    return load_puppets(workspace.of_benchmark("benchmark_sets", PUPPETS))

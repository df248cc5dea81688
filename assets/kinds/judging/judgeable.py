"""What a profile's gate asks for must be measurable before anything is trained for it."""

from pathlib import Path

from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import check_benchmarks
from assets.kinds.judging.instruments import profile_instruments
from evaluation.metrics.observation.needs import MATERIAL, OF_PUPPETS, OF_RENDERED_PEOPLE, Need
from evaluation.metrics.registry import METRICS
from evaluation.panel import measurable
from evaluation.scoring.criteria import Demand, GateError, demands
from media.user_error import UserError
from profiles import Profile
from profiles.judging import PUPPETS, RENDERED_PEOPLE, benchmark_kind

# Latents could be had of any video, and are compared on puppets alone.
PUPPETS_ALONE: frozenset[Need] = OF_PUPPETS | {"latents"}


def judgeable(workspace: Workspace) -> str:
    """Say what judges the workspace's models.

    Raises:
        evaluation.benchmark.benchmark.BenchmarkError, AssetError, media.frozen_set.FrozenSetError: a benchmark that cannot be had.
        GateError, networks.weights.NetworkError: as `askable_gate`.
    """
    said = check_benchmarks(workspace.profile, workspace.data("test_sets"))
    return f"{said}; gate: {askable_gate(workspace)}"


def askable_gate(workspace: Workspace) -> str:
    """Say what the gate asks for, of which benchmark and mode.

    Raises:
        GateError: a criterion whose metric its benchmark does not allow, or whose network or package is not there.
        networks.weights.NetworkError: a network file that is missing or another.
    """
    wanted = demands(workspace.profile.gate)
    for demand in wanted:
        if benchmark_kind(demand.benchmark) == PUPPETS and not PUPPETS_ALONE & {*demand.kind.needs}:
            raise GateError(
                f"gate.criteria.{demand.name} asks for {demand.place}: puppets are judged by their exact truth, and {demand.metric} reads people; "
                "name a benchmark of people"
            )
    _refuse_unmeasurable(workspace, [demand for demand in wanted if benchmark_kind(demand.benchmark) != PUPPETS])
    return ", ".join(demand.place for demand in wanted)


def missing_networks(profile: Profile) -> dict[str, str]:
    """Of each published network of `evaluation.networks` whose file is not there, by name, what to do. What is in a file is the gate's question,
    which opens it."""
    named = {name: path for name, path in profile.evaluation.networks if path is not None}
    return {name: _how_to_have(name, path) for name, path in named.items() if not Path(path).exists()}


def foreseen(workspace: Workspace) -> list[str]:
    """What the first training would be refused for, as far as names and files tell it: nothing is opened. Empty where nothing is."""
    found = list(missing_networks(workspace.profile).values())
    try:
        check_benchmarks(workspace.profile, workspace.data("test_sets"))
    except UserError as error:
        found.insert(0, str(error))
    return found


def _how_to_have(name: str, path: str) -> str:
    metrics = [metric.name for metric in METRICS.values() if name in metric.needs]
    return (
        f"evaluation.networks.{name} is {path}, and there is no such file; download it (docs/reference/metrics.md names it), correct the profile, or "
        f"set it to null and take {', '.join(metrics)} out of the gate"
    )


def _refuse_unmeasurable(workspace: Workspace, wanted: list[Demand]) -> None:
    if not wanted:
        return
    instruments, people = profile_instruments(workspace), set(MATERIAL) - PUPPETS_ALONE
    drawn, filmed = (
        {u.metric: u for u in measurable(instruments, has)[1]} for has in (people, people - OF_RENDERED_PEOPLE)
    )
    for demand in wanted:
        unmeasured = drawn if benchmark_kind(demand.benchmark) == RENDERED_PEOPLE else filmed
        if (absent := unmeasured.get(demand.metric)) is not None:
            raise GateError(
                f"gate.criteria.{demand.name} asks for {demand.place}, which cannot be measured: {absent.reason}; {absent.remedy}"
            )

"""What a profile's gate asks for must be measurable before anything is trained for it."""

from assets.core.workspace import Workspace
from assets.kinds.judging.benchmark_sets import check_benchmarks
from assets.kinds.judging.instruments import profile_instruments
from evaluation.metrics.observation.needs import MATERIAL, OF_PUPPETS, OF_RENDERED_PEOPLE, Need
from evaluation.panel import measurable
from evaluation.scoring.criteria import Demand, GateError, demands
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

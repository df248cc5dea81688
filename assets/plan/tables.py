"""A plan as tables for a terminal."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from assets.plan.plan import Plan
from assets.plan.remedy import group_of
from profiles import Profile, ProfileError, changed_profile
from training.plan.gpus import GIB, Cluster
from training.plan.training_plan import USABLE, TrainingPlan, plan_training
from training.stages.model import splits_tokens

WIDTH = 132
TB = 1e12


def print_plan(plan: Plan) -> None:
    """Print memory, time, what only answers, storage, and what does not fit."""
    console = Console(width=WIDTH, highlight=False)
    gpu, cluster = plan.cluster.gpu, plan.cluster
    price = "no price known" if plan.price is None else f"{plan.price:,.2f} $ an hour"
    console.print(
        f"profile {plan.profile.name} on {cluster}: {cluster.nodes} x {cluster.per_node} GPUs, {USABLE * gpu.memory:.1f} of {gpu.memory:.1f} GiB each "
        f"can be used; {gpu.bf16:g} TFLOP/s at {plan.mfu:.0%}; {price}",
        soft_wrap=True,
    )
    console.print(_memory(plan))
    console.print(_time(plan))
    if plan.answers:
        console.print(_answers(plan))
    for line in _lines(plan):
        console.print(line, soft_wrap=True)


def _memory(plan: Plan) -> Table:
    names = ("params", "weights", "grads", "optim", "average", "buffers", "others", "activ", "plain")
    table = _table(
        "GiB of each rank at its peak (host: of each machine); activ: activations, plain: those without checkpointing",
        "training",
    )
    for name in (*names, "peak", "host", ""):
        table.add_column(name, justify="right")
    for one in plan.trainings:
        states = one.states
        parts = (states.weights, states.gradients, states.optimizer, states.average, states.buffers, one.answering)
        cells = [f"{one.parameters / 1e9:.2f} B", *(_gib(part) for part in (*parts, one.activations, one.plain))]
        fits = "fits" if one.fits(plan.cluster.gpu) else "[bold]no[/bold]"
        table.add_row(one.section, *cells, _gib(one.peak), _gib(one.host), fits)
    return table


def _time(plan: Plan) -> Table:
    table = _table("time and money; recomputation is not counted as work", "training")
    for name in ("batch", "passes", "tokens a step", "PFLOP a step", "s a step", "steps", "days", "k$"):
        table.add_column(name, justify="right")
    for one in plan.trainings:
        days = plan.days(one)
        table.add_row(
            one.section,
            f"{one.samples}",
            f"{one.accumulation} x {one.micro}",
            f"{one.tokens / 1e6:.2f} M",
            f"{sum(one.model_flops.values()) * plan.cluster.count / 1e15:,.0f}",
            f"{one.seconds(plan.cluster.gpu, plan.mfu):,.1f}",
            f"{one.updates}",
            f"{days:.1f}",
            "" if plan.price is None else f"{days * 24 * plan.price / 1000:.1f}",
        )
    return table


def _answers(plan: Plan) -> Table:
    table = _table("what only answers, on one GPU; an encoder's peak has the weights of the other two in it", "asset")
    table.add_column("what")
    for name in ("weights GiB", "peak GiB", "TFLOP each", "s each"):
        table.add_column(name, justify="right")
    for answer in plan.answers:
        each = answer.traced.all_flops / answer.count / 1e12
        seconds = f"{plan.answer_seconds(answer):.2f}"
        table.add_row(answer.asset, answer.what, _gib(answer.weights), _gib(answer.peak), f"{each:,.1f}", seconds)
    return table


def _lines(plan: Plan) -> Iterator[str]:
    stored = plan.stored
    if plan.answers:
        yield (
            f"{plan.hours:g} hours of clips: {stored['features'] / TB:.2f} TB of features, {plan.encoding_days:.1f} GPU-days to encode "
            "where every second is cut into windows"
        )
    yield f"checkpoints of a training in work: {stored['checkpoints'] / TB:.2f} TB at most"
    if len(plan.trainings) > 1:
        days = sum(plan.days(one) for one in plan.trainings)
        cost = "" if plan.price is None else f", {days * 24 * plan.price / 1000:,.1f} k$"
        yield f"all trainings one after another: {days:.1f} days{cost}"
    for one in plan.trainings:
        if not one.fits(plan.cluster.gpu):
            why = one.problem or f"{_gib(one.peak)} GiB while {one.peak_phase}"
            yield f"{one.section}: {why}" + (f"; {plan.remedies[one.section]}" if plan.remedies[one.section] else "")


def print_settings(profile: Profile, section: str, cluster: Cluster) -> None:
    """Print the peak of one training at every setting of checkpointing, shared tokens, ZeRO and offload."""
    console = Console(width=WIDTH, highlight=False)
    table = _table(
        f"{section}: GiB of each rank at its peak on {cluster}; - cannot be set, {USABLE * cluster.gpu.memory:.1f} can be used",
        "activations",
    )
    engines = [("ZeRO 0", 0, "none"), ("ZeRO 1", 1, "none"), ("ZeRO 2", 2, "none"), ("ZeRO 3", 3, "none")]
    engines += [("2, optimiser on host", 2, "optimizer"), ("3, optimiser on host", 3, "optimizer")]
    engines += [("3, parameters too", 3, "parameters")]
    for name, _, _ in engines:
        table.add_column(name, justify="right")
    for again in (True, False):
        for ranks in (1, 2, 4, 8):
            cells = []
            for _, stage, offload in engines:
                planned = _at(profile, section, cluster, (again, ranks, stage, offload))
                cells.append("-" if planned is None else _gib(planned.peak))
            shared = f", {ranks} ranks a sample" if ranks > 1 else ""
            table.add_row(("computed twice" if again else "kept") + shared, *cells)
    console.print(table)


def _at(profile: Profile, section: str, cluster: Cluster, setting: tuple[bool, int, int, str]) -> TrainingPlan | None:
    again, ranks, stage, offload = setting
    changes = [
        f"engine.activation_checkpointing={str(again).lower()}",
        f"{group_of(section)}.sequence_parallel={ranks}",
    ]
    changes += [f"engine.zero_stage={stage}", f"engine.offload={offload}"]
    try:
        changed = changed_profile(profile, changes)
    except ProfileError:
        return None
    if cluster.count % ranks or not splits_tokens(profile, ranks):
        return None
    planned = plan_training(changed, section, cluster.count, cluster.per_node)
    return None if planned.problem else planned


def _table(title: str, first: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    return table


def _gib(size: float) -> str:
    return f"{size / GIB:.1f}" if size < 999.5 * GIB else f"{size / GIB:,.0f}"

"""By which settings a training that does not fit would."""

from collections.abc import Iterator

from profiles import Profile, ProfileError, changed_profile
from training.engine.deepspeed_engine import ranks_of_a_sample
from training.plan.gpus import GIB, Cluster
from training.plan.training_plan import USABLE, TrainingPlan, plan_training
from training.stages.model import splits_tokens


def remedy(profile: Profile, planned: TrainingPlan, cluster: Cluster) -> str:
    """The first settings, those that cost least time before others, with which it fits; in words of `--set`.

    Each is tried on top of those before it, and what turns out not to be needed is left away.
    """
    if planned.problem:
        return ""  # the problem names its own remedy
    changes: list[str] = []
    best = planned
    for change in _changes(profile, planned):
        tried = _with(profile, [*changes, change], planned.section, cluster)
        if tried is None or tried.problem or tried.peak >= best.peak:
            continue
        changes, best = [*_replaced(changes, change), change], tried
        if best.fits(cluster.gpu):
            return f"fits with {' '.join(f'--set {c}' for c in _needed(profile, planned.section, changes, cluster))}"
    left = f"{best.peak / GIB:.0f} GiB"
    said = f" with {' '.join(f'--set {change}' for change in changes)}" if changes else ""
    return f"{left} a rank at best{said}: {USABLE * cluster.gpu.memory:.0f} GiB can be used; more or larger GPUs"


def group_of(section: str) -> str:
    """Where a profile says how a training is cut into passes and over ranks: an adversarial phase has its own words for it."""
    return section if section.startswith("adversarial") else "engine"


def _changes(profile: Profile, planned: TrainingPlan) -> Iterator[str]:
    engine, section = profile.engine, planned.section
    group = group_of(section)
    if not engine.activation_checkpointing:
        yield "engine.activation_checkpointing=true"
    for stage in range(max(2, engine.zero_stage + 1), 4):
        yield f"engine.zero_stage={stage}"
    if group == section and getattr(profile, section).stacked:
        yield f"{section}.stacked=false"
    if planned.micro > 1:
        yield f"{group}.micro_batch=1"
    if section != "slim_decoder":
        shared = ranks_of_a_sample(engine, getattr(profile, section))
        for ranks in (2, 4, 8):
            if ranks > shared and splits_tokens(profile, ranks):
                yield f"{group}.sequence_parallel={ranks}"
    if engine.offload == "none":
        yield "engine.offload=optimizer"
    if engine.offload != "parameters":
        yield "engine.offload=parameters"
    if section == "slim_decoder" and profile.slim_decoder is not None and profile.slim_decoder.crop > 16:
        yield "slim_decoder.crop=16"


def _replaced(changes: list[str], change: str) -> list[str]:
    """Without an earlier value of the same key."""
    key = change.partition("=")[0]
    return [one for one in changes if one.partition("=")[0] != key]


def _needed(profile: Profile, section: str, changes: list[str], cluster: Cluster) -> list[str]:
    for change in changes[:-1]:
        fewer = [one for one in changes if one != change]
        tried = _with(profile, fewer, section, cluster)
        if tried is not None and tried.fits(cluster.gpu):
            changes = fewer
    return changes


def _with(profile: Profile, changes: list[str], section: str, cluster: Cluster) -> TrainingPlan | None:
    """None where a profile cannot have these settings together."""
    given = list(changes)
    if any("micro_batch=" in change for change in changes):
        given += ["engine.gradient_accumulation=1"]
        given += [f"{section}.gradient_accumulation=null"] if section.startswith("adversarial") else []
    try:
        changed = changed_profile(profile, given)
    except ProfileError:
        return None
    return plan_training(changed, section, cluster.count, cluster.per_node)

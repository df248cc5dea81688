"""One sentence on a training that its GPUs would not hold: at its start, and when it has run out of memory."""

from profiles.schema import Profile
from training.plan.gpus import GIB, Cluster, here
from training.plan.training_plan import USABLE, plan_training


def warning(profile: Profile, section: str, cluster: Cluster) -> str:
    """What `omnihuman plan` says against this training on these GPUs, in a sentence; empty where nothing."""
    planned = plan_training(profile, section, cluster.count, cluster.per_node)
    if planned.fits(cluster.gpu):
        return ""
    asked = f"`omnihuman plan {profile.name} --gpus {cluster} --training {section}` shows the settings"
    if planned.problem:
        return f"{section} cannot be started on {cluster}: {planned.problem}; {asked}"
    return (
        f"{section} is planned to take {planned.peak / GIB:.0f} GiB of each of {cluster}, while {planned.peak_phase}, and {USABLE * cluster.gpu.memory:.0f} "
        f"can be used; {asked}"
    )


def warn_at_start(profile: Profile, section: str, ranks: int) -> None:
    """Print the warning, before there is a process group; on a machine without GPUs nothing is asked. It refuses nothing."""
    cluster = here(ranks)
    said = "" if cluster is None else warning(profile, section, cluster)
    if said:
        print(f"warning: {said}", flush=True)


def out_of_memory(profile: Profile, section: str, ranks: int) -> str:
    """What to say of a training that found no memory left on this machine's GPUs: what the plan expected of it, and where the settings are."""
    cluster = here(ranks)
    if cluster is None:
        return f"{section} found no memory left on a machine without GPUs"
    said = warning(profile, section, cluster)
    if not said:
        planned = plan_training(profile, section, cluster.count, cluster.per_node)
        said = (
            f"it is planned to take {planned.peak / GIB:.1f} GiB and to fit, so something else may hold memory there (`nvidia-smi` shows it), or the plan is "
            f"wrong; `omnihuman plan {profile.name} --gpus {cluster} --training {section}` shows the settings"
        )
    return f"{section} found no memory left on {cluster.gpu.name}, of {cluster.gpu.memory:.1f} GiB: {said}"

"""One sentence at the start of a training that its GPUs would not hold."""

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

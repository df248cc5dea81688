"""A whole profile on a cluster: its trainings, what only answers, storage and money."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from assets.core.training_recipes import RECIPES
from assets.plan.answering import Answer, answers
from assets.plan.remedy import remedy
from assets.plan.storage import checkpoint_bytes, feature_bytes, windows_per_hour
from media.user_error import UserError
from profiles import Profile
from training.plan.gpus import GIB, Cluster
from training.plan.training_plan import USABLE, TrainingPlan, plan_training, trainings_of

DAY = 86400.0


class PlanError(UserError):
    """An option that names nothing of the profile."""

    exit_code = 2


@dataclass(frozen=True)
class Plan:
    """What `omnihuman plan` says.

    Attributes:
        remedies: by section of what does not fit, the settings that make it fit, or what else would.
        hours: of clips that are encoded and stored.
        mfu: the share of the cards' peak that is reached.
    """

    profile: Profile
    cluster: Cluster
    mfu: float
    hours: float
    trainings: list[TrainingPlan]
    remedies: dict[str, str]
    answers: list[Answer]

    @property
    def price(self) -> float | None:
        """Dollars an hour of the whole cluster."""
        price = self.cluster.gpu.price
        return None if price is None else price * self.cluster.count

    def days(self, training: TrainingPlan) -> float:
        """Of the whole training."""
        return training.updates * training.seconds(self.cluster.gpu, self.mfu) / DAY

    def answer_seconds(self, answer: Answer) -> float:
        """Of one window, caption or clip on one GPU; convolutions and attention in the dtype that they have."""
        gpu = self.cluster.gpu
        peaks = {"bf16": gpu.bf16, "tf32": gpu.tf32, "fp32": gpu.fp32}
        spent = sum(flops / (peaks[kind] * 1e12 * self.mfu) for kind, flops in answer.traced.flops.items())
        return spent / answer.count

    @property
    def encoding_days(self) -> float:
        """Of all hours of clips, on one GPU."""
        each = sum(self.answer_seconds(a) / a.shared for a in self.answers if a.asset == "condition_features")
        return each * windows_per_hour(self.profile) * self.hours / DAY

    @property
    def stored(self) -> dict[str, float]:
        """Bytes on disk: features of all hours, the largest training's checkpoints."""
        kept = [
            checkpoint_bytes(self.profile, self._trained(training), len(training.engines))
            for training in self.trainings
            if training.engines
        ]
        features = feature_bytes(self.profile) * windows_per_hour(self.profile) * self.hours
        return {"features": features, "checkpoints": max(kept, default=0.0)}

    def _trained(self, training: TrainingPlan) -> float:
        return float(training.parameters * len(training.engines))

    def as_dict(self) -> dict[str, Any]:
        """For `--json`: bytes, seconds, dollars, FLOPs."""
        gpu = self.cluster.gpu
        rows = {
            training.section: {
                "asset": asset_of(training.section),
                "parameters": training.parameters,
                "weights": training.states.weights,
                "gradients": training.states.gradients,
                "optimizer": training.states.optimizer,
                "average": training.states.average,
                "buffers": training.states.buffers,
                "answering": training.answering,
                "activations": training.activations,
                "activations_without_checkpointing": training.plain,
                "phases": training.phases,
                "peak": training.peak,
                "fits": training.fits(gpu),
                "problem": training.problem,
                "remedy": self.remedies.get(training.section, ""),
                "host_per_node": training.host,
                "batch_size": training.samples,
                "micro_batch": training.micro,
                "accumulation": training.accumulation,
                "tokens_per_step": training.tokens,
                "flops_per_rank_and_step": training.flops,
                "seconds_per_step": training.seconds(gpu, self.mfu),
                "steps": training.updates,
                "days": self.days(training),
                "dollars": None if self.price is None else self.days(training) * 24 * self.price,
            }
            for training in self.trainings
        }
        spoken = [
            {
                "asset": answer.asset,
                "what": answer.what,
                "weights": answer.weights,
                "beside": answer.beside,
                "peak": answer.peak,
                "flops": dict(answer.traced.flops),
                "seconds_each": self.answer_seconds(answer),
            }
            for answer in self.answers
        ]
        return {
            "profile": self.profile.name,
            "gpus": str(self.cluster),
            "memory": USABLE * gpu.memory * GIB,
            "price_per_hour": self.price,
            "mfu": self.mfu,
            "hours_of_clips": self.hours,
            "trainings": rows,
            "answers": spoken,
            "encoding_gpu_days": self.encoding_days if self.answers else None,
            "stored": self.stored,
        }


def asset_of(section: str) -> str:
    """The asset that a section of the profile configures."""
    return next(name for name, recipe in RECIPES.items() if recipe.section == section)


def make_plan(
    profile: Profile,
    cluster: Cluster,
    mfu: float,
    hours: float,
    only: Collection[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> Plan:
    """Trace everything that the profile runs; seconds for a small one, a minute or two of a core for a published size.

    Args:
        profile: its engine's `ranks` are those of the cluster here.
        cluster: GPUs.
        mfu: in (0, 1].
        hours: of clips.
        only: sections of trainings; with some given, nothing else is looked at.
        progress: is told what is being traced.

    Raises:
        PlanError: a section that the profile does not have.
    """
    sections = list(trainings_of(profile))
    unknown = [name for name in only if name not in sections]
    if unknown:
        raise PlanError(f"no training {unknown[0]!r}: profile {profile.name} has {', '.join(sections)}")
    trainings, remedies = [], {}
    for section in only or sections:
        progress(section)
        planned = plan_training(profile, section, cluster.count, cluster.per_node)
        trainings.append(planned)
        if not planned.fits(cluster.gpu):
            progress(f"{section}, settings that fit")
            remedies[section] = remedy(profile, planned, cluster)
    if not only:
        progress("encoding and generation")
    return Plan(profile, cluster, mfu, hours, trainings, remedies, [] if only else answers(profile))

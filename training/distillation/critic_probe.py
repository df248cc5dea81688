r"""Fixed conditions and noise on which the generator is watched: does it still vary, does it still follow.

Diversity is the mean distance between one-step samples across seeds (same conditions) and across prompts (same noise); mode
collapse shows here first (APT section 5.4: at batch 256 across both). Following compares moves: exchange one condition for
the neighbour's, and the student's sample should move as the end of the teacher's trajectory does,
$\cos(S(z, c') - S(z, c),\; T(z, c') - T(z, c))$. Both are measured on latents: no picture is decoded, no person measured,
so they mean the same on puppets and on people. Scores on held-out clips are `evaluation`'s.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity

from media import write_atomically
from omnihuman.conditions.inputs import ConditionInputs
from profiles.schema import AdversarialConfig
from training.data.batch import Batch
from training.data.conditions import Conditions
from training.distillation.one_step import one_step
from training.distillation.updates import spread
from training.flow_matching import trajectory_end

EXCHANGED = ("reference", "audio")
Sample = Callable[[Tensor, ConditionInputs], Tensor]


class Probe:
    """`config.probe.conditions` condition sets and `config.probe.seeds` noises that stay the same through a run."""

    def __init__(
        self, config: AdversarialConfig, batch: Batch, shift: float = 1.0, generate: Callable[..., Tensor] = one_step
    ):
        """`batch`: the condition sets, as `probe_conditions` asks for them. `shift`: of the times of the teacher's trajectories.
        `generate`: what the student makes of a model, noise and conditions."""
        self._generate = generate
        self.conditions = batch.conditions()
        shape = batch.latents.shape[1:]
        self.noise = torch.randn(
            (config.probe.seeds, *shape), generator=torch.Generator().manual_seed(config.seed + 17)
        )
        self.size, self.teacher_steps, self.shift = len(batch.labels), config.probe.teacher_steps, shift
        self.teacher: dict[str, Tensor] = {}

    @torch.no_grad()
    def diversity(self, model: nn.Module) -> dict[str, float]:
        """`diversity/seeds` and `diversity/prompts` of one-step samples, root mean square distance of latents."""
        noise, conditions = self._on(model)
        samples = torch.stack([self._generate(model, self._repeat(z), conditions) for z in noise])
        across_seeds = [float(spread(samples[:, i])) for i in range(self.size)]
        across_prompts = [float(spread(samples[i])) for i in range(len(noise))]
        return {
            "diversity/seeds": sum(across_seeds) / len(across_seeds),
            "diversity/prompts": sum(across_prompts) / len(across_prompts),
        }

    def follow(self, teacher: nn.Module) -> None:
        """Make the teacher's trajectories."""
        self.teacher = self._moves(
            teacher, lambda z, given: trajectory_end(teacher, z, given, self.teacher_steps, self.shift)
        )

    def keep(self, path: Path, fingerprint: str) -> None:
        """Write what `follow` made, for `recall` after an interruption."""
        write_atomically(path, save(self.teacher, metadata={"fingerprint": fingerprint}))

    def recall(self, path: Path) -> None:
        """Take the trajectories that were kept there."""
        self.teacher = load_file(path)

    def following(self, student: nn.Module) -> dict[str, float]:
        """`following/<condition>` in [-1, 1], and `teacher_distance`: how far the student's samples lie from the ends of
        the teacher's trajectories, as a share of the distance between the teacher's own samples."""
        moves = self._moves(student, lambda z, given: self._generate(student, z, given))
        row = {
            f"following/{name}": float(cosine_similarity(move.flatten(1), self.teacher[name].flatten(1)).mean())
            for name, move in moves.items()
            if name != "sample"
        }
        error = (moves["sample"] - self.teacher["sample"]).square().mean().sqrt()
        return row | {"teacher_distance": float(error / spread(self.teacher["sample"]))}

    @torch.no_grad()
    def _moves(self, model: nn.Module, sample: Sample) -> dict[str, Tensor]:
        """`sample` under the own conditions, and per condition the change when it is the neighbour's; float32 on the CPU."""
        noise, conditions = self._on(model)
        noise = self._repeat(noise[0])
        own = sample(noise, conditions).float().cpu()
        moves = {"sample": own}
        for name in EXCHANGED:
            if name in conditions:
                other = conditions | {
                    name: conditions[name].roll(1, 0),
                    f"{name}_mask": conditions[f"{name}_mask"].roll(1, 0),
                }
                moves[name] = sample(noise, other).float().cpu() - own
        return moves

    def _repeat(self, noise: Tensor) -> Tensor:
        return noise.expand(self.size, *noise.shape)

    def _on(self, model: nn.Module) -> tuple[Tensor, ConditionInputs]:
        parameter = next(model.parameters())
        return self.noise.to(parameter.device), self.conditions.each(lambda value: value.to(parameter))


def kept_for(path: Path, fingerprint: str) -> bool:
    """Whether trajectories lie there, and are this training's."""
    if not path.is_file():
        return False
    with safe_open(path, "pt") as stored:
        return (stored.metadata() or {}).get("fingerprint") == fingerprint


def probe_conditions(config: AdversarialConfig) -> Conditions:
    """Text, reference and audio, as far as the phase trains with them; pose, which leaves nothing free, off."""
    used = config.ratios
    return Conditions(text=used.text > 0, reference=used.reference > 0, audio=used.audio > 0)

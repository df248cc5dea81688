"""`python -m benchmarks.training.precision`: every kind of training of a cut-down Wan in bfloat16 beside float32, from the same weights and draws.

Published are width of heads, grids, shifts, penalties, guidance and optimisers; cut are depth (3), heads (2), pixels and steps. Weights are
random, and what training starts from at zero is awake. Three ways of bfloat16 are compared: `autocast` is how the product trains; `modules`
holds weights in bfloat16 but for those that Wan keeps in float32; `rounded` holds all of them in it, as DeepSpeed's bf16 mode does.
"""

import argparse
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor, nn

from benchmarks.training.matrix_units import as_matrix_units
from benchmarks.training.plain_engine import PlainEngine, awake
from omnihuman.autoencoder import use_fast_layers, with_narrower_decoder
from omnihuman.precision import cast_weights
from profiles import Profile, load_profile
from training.data.batch import Batch, SampleDraw
from training.data.conditions import Conditions
from training.distillation.consistency import batch_loss, consistency_map, grid_pair, time_grid
from training.distillation.decoder import Decoder, DecoderDistillation
from training.distillation.discriminator import Discriminator
from training.distillation.updates import discriminator_step, draw_parts, generator_step
from training.engine.deepspeed_engine import backward, compute_dtype, take_step
from training.flow_matching import interpolate
from training.stages.flow_matching_step import optimizer_step
from training.stages.model import build_transformer

FLOAT32, AUTOCAST, MODULES, ROUNDED = "float32", "autocast", "modules", "rounded"
STAGES = ("stage_1", "stage_2", "stage_3")
PHASES = ("adversarial_images", "adversarial_videos")
KINDS = (*STAGES, "consistency", *PHASES, "slim_decoder")
LATE = 0.97  # times after which consistency compares what lies nearer together than bfloat16 tells apart
CUT = [
    "transformer.base=null", "transformer.num_layers=3", "transformer.num_attention_heads=2", "transformer.ffn_dim=1493",
    "transformer.text_dim=64", "transformer.audio_dim=32", "transformer.audio_layers=3", "encoders.audio_states=null", "transformer.pose_channels=16",
]  # fmt: skip


@dataclass
class Seen:
    """What one training showed.

    Attributes:
        losses: by name, one value a step.
        engines: by name; each kept its first and its last gradient, and how far its weights came.
        pairs: `(32,)` consistency losses of the grid's pairs before the first step.
    """

    losses: dict[str, list[float]] = field(default_factory=dict)
    engines: dict[str, "Watched"] = field(default_factory=dict)
    pairs: Tensor | None = None

    @property
    def steps(self) -> int:
        """How many were taken."""
        return max(len(values) for values in self.losses.values())

    def add(self, row: dict[str, float]) -> None:
        """One step's numbers."""
        for name, value in row.items():
            self.losses.setdefault(name, []).append(value)


def cut_down(name: str = "wan2.1-1.3b") -> Profile:
    """The published profile with fewer and narrower layers."""
    return load_profile(name, CUT)


def make_batch(profile: Profile, size: int, seed: int) -> Batch:
    """Random samples of 9 frames of 64 x 96 pixels, every condition on."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    points, every, ones = len(profile.transformer.pose_keypoints), Conditions(True, True, True, True), torch.ones(size)
    places = 64 * torch.rand((size, 9, points, 2), generator=generator)
    return Batch(
        latents=normal(size, 16, 3, 8, 12),
        noise=normal(size, 16, 3, 8, 12),
        uniform=(torch.arange(size) + torch.rand(size, generator=generator)) / size,
        text=normal(size, 16, 64),
        null_text=normal(1, 16, 64).expand(size, -1, -1),
        audio=normal(size, 9, 3, 32),
        keypoints=torch.cat([places, torch.ones(size, 9, points, 1)], dim=-1),
        reference=normal(size, 16, 1, 8, 12),
        motion=normal(size, 16, 2, 8, 12),
        audio_mask=ones, pose_mask=ones, reference_mask=ones, motion_mask=ones,
        samples=tuple(SampleDraw(f"c{i}", "s", "64x96x9@16", i, False, every, every, True, True, True, 0.5, 1000 * seed + i) for i in range(size)),
        given=frozenset({"audio", "pose", "reference", "motion"}),
    )  # fmt: skip


class Watched(PlainEngine):
    """A plain engine in one of the four ways.

    Attributes:
        first, last: the gradients of the first step and of the last one taken, flat.
    """

    def __init__(self, module: nn.Module, optimizer: Any, way: str):
        if way == ROUNDED:
            for parameter in module.parameters():
                parameter.data = parameter.data.bfloat16()
        elif way == MODULES:
            cast_weights(module, torch.bfloat16)
        super().__init__(module, optimizer, bf16=way == AUTOCAST)
        self.first: Tensor | None = None
        self.last: Tensor | None = None
        self._start = self._weights()
        assert self.optimizer is not None
        self.optimizer.register_step_pre_hook(lambda *_: self._note())

    def _note(self) -> None:
        self.last = torch.cat([p.grad.float().flatten() for p in self.module.parameters() if p.grad is not None])
        self.first = self.last if self.first is None else self.first

    def _weights(self) -> Tensor:
        return torch.cat([p.detach().float().flatten() for p in self.module.parameters() if p.requires_grad])

    def moved(self) -> Tensor:
        """How far all weights came since the start, flat."""
        return self._weights() - self._start


def network(profile: Profile, seed: int) -> nn.Module:
    """The transformer with random weights, awake."""
    return awake(build_transformer(profile, None, seed))


def train(profile: Profile, kind: str, way: str, steps: int = 1, samples: int = 8) -> Seen:
    """Some steps of one kind of training, through the product's own losses and updates; `samples` a step, which the decoder has of its own."""
    trainers: dict[str, Callable[..., Seen]] = {"slim_decoder": _decoder}
    trainers["consistency"] = partial(_consistency, samples=samples)
    trainers |= dict.fromkeys(STAGES, partial(_stage, samples=samples))
    trainers |= dict.fromkeys(PHASES, partial(_adversarial, samples=samples))
    with nullcontext() if way == FLOAT32 else as_matrix_units():
        return trainers[kind](profile, kind, way, steps)


def _stage(profile: Profile, kind: str, way: str, steps: int, samples: int) -> Seen:
    config, seen = getattr(profile, kind), Seen()
    engine = Watched(network(profile, 0), config.optimizer, way)
    given = {"stage_1": {"reference"}, "stage_2": {"reference", "audio"}}.get(kind)
    for step in range(steps):
        batch = make_batch(profile, samples, step)
        batch = batch if given is None else replace(batch, given=frozenset(given))
        seen.add({"loss": optimizer_step(engine, batch, config).loss})
    seen.engines["model"] = engine
    return seen


def _consistency(profile: Profile, kind: str, way: str, steps: int, samples: int) -> Seen:
    config, seen = profile.consistency, Seen()
    engine = Watched(network(profile, 0), config.optimizer, way)
    teacher = network(profile, 0).requires_grad_(False)
    if way != FLOAT32:
        cast_weights(teacher, torch.bfloat16)
    grid = time_grid(config.grid, config.grid_shift)

    def losses(size: int, seed: int) -> Tensor:
        part = make_batch(profile, size, seed).to(engine.device, compute_dtype(engine))
        return batch_loss(engine, teacher, part, grid, config.guidance)

    with torch.no_grad():
        seen.pairs = losses(config.grid, steps)  # one sample for each
    for step in range(steps):
        each = losses(samples, step)
        backward(engine, each.mean())
        take_step(engine)
        seen.add({"loss": float(each.detach().mean())})
    seen.engines["model"] = engine
    return seen


def _adversarial(profile: Profile, kind: str, way: str, steps: int, samples: int) -> Seen:
    config, seen = getattr(profile, kind), Seen()
    torch.manual_seed(2)
    critic = Discriminator(network(profile, 1), config.heads)
    engines = Watched(network(profile, 0), config.generator, way), Watched(critic, config.discriminator, way)
    for step in range(steps):
        draws = []
        for half in range(2):
            batch = make_batch(profile, samples, 2 * step + half)
            draws.append(list(draw_parts(batch.as_images() if kind == PHASES[0] else batch, config, 1)))
        row = discriminator_step(*engines, draws[0], config) | generator_step(*engines, draws[1], config)
        seen.add({name: row[name] for name in ("discriminator_loss", "r1", "generator_loss")})
    seen.engines = {"generator": engines[0], "discriminator": engines[1]}
    return seen


def _decoder(profile: Profile, kind: str, way: str, steps: int) -> Seen:
    config, seen = profile.slim_decoder, Seen()
    assert config is not None
    torch.manual_seed(3)
    wide = AutoencoderKLWan(base_dim=16, dim_mult=[1, 2, 2], num_res_blocks=1, temperal_downsample=[True, True])
    training = DecoderDistillation.__new__(DecoderDistillation)
    training.teacher = use_fast_layers(wide).eval().requires_grad_(False)
    engine = training.engine = Watched(Decoder(with_narrower_decoder(training.teacher, 8)), config.optimizer, way)
    training.decoder, training.rank, training.ranks = config, 0, 1
    for step in range(steps):
        batch = make_batch(profile, 2, step)
        for loss in training.losses(step, replace(batch, latents=batch.latents[:, :, :2])):
            backward(engine, loss)
            take_step(engine)
            seen.add({"loss": float(loss.detach())})
    seen.engines["model"] = engine
    return seen


@dataclass(frozen=True)
class Row:
    """One kind in one way beside float32: of `quantity` the largest deviation over the steps, or a cosine or count."""

    kind: str
    way: str
    quantity: str
    value: float


def compare(kind: str, way: str, ours: Seen, exact: Seen) -> Iterator[Row]:
    """What the table and the test look at.

    Relative deviations of losses and of R1, the largest over the steps; cosines between the gradients of the first step and of the last,
    which are those of networks that went their own ways meanwhile, and between the ways; and of consistency the pairs whose loss is 0, and
    how far the losses of the late pairs lie above those of float32.
    """
    for name, values in ours.losses.items():
        off = max(abs(a / b - 1) for a, b in zip(values, exact.losses[name], strict=True))
        yield Row(kind, way, f"{name}, relative", off)
    for name, engine in ours.engines.items():
        other = exact.engines[name]
        assert (
            engine.first is not None and other.first is not None and engine.last is not None and other.last is not None
        )
        yield Row(kind, way, f"gradient of the {name}, cosine", cosine(engine.first, other.first))
        if ours.steps > 1:
            yield Row(
                kind, way, f"gradient of the {name} at step {ours.steps}, cosine", cosine(engine.last, other.last)
            )
            yield Row(
                kind, way, f"way of the {name} in {ours.steps} steps, cosine", cosine(engine.moved(), other.moved())
            )
    if ours.pairs is not None and exact.pairs is not None:
        late = time_grid(32, 24.0)[1:] > LATE
        yield Row(kind, way, "pairs with loss 0", int((ours.pairs == 0).sum()))
        yield Row(
            kind,
            way,
            f"loss of pairs after t = {LATE}, ratio",
            float(ours.pairs[late].mean() / exact.pairs[late].mean()),
        )
        yield Row(
            kind, way, "loss of the others, relative", float((ours.pairs[~late] / exact.pairs[~late] - 1).abs().max())
        )


@torch.no_grad()
def late_rounding(profile: Profile, ways: Sequence[str]) -> list[Row]:
    """Of the difference that a late pair compares, what rounding adds to it, as a mean square; both of its points are those of float32."""
    config = profile.consistency
    grid, part = time_grid(config.grid, config.grid_shift), make_batch(profile, config.grid, 1)
    t, s = grid_pair(grid, part.uniform)
    points = [(interpolate(part.latents, part.noise, time), time) for time in (t, s)]

    def difference(way: str) -> Tensor:
        engine = Watched(network(profile, 0), config.optimizer, way)
        conditions = part.to(engine.device, compute_dtype(engine)).conditions()

        def velocity(x: Tensor, time: Tensor) -> Tensor:
            answer: Tensor = engine(x, time * 1000, return_dict=False, **conditions)[0]
            return answer.float()

        ours, nearer = (consistency_map(velocity, x, time) for x, time in points)
        return (ours - nearer)[t > LATE]

    exact = difference(FLOAT32)
    quantity = f"rounding of the difference after t = {LATE}, mean square"
    return [Row("consistency", way, quantity, float((difference(way) - exact).square().mean())) for way in ways]


def cosine(first: Tensor, second: Tensor) -> float:
    """Between two flat gradients, in float64."""
    return float(torch.cosine_similarity(first.double(), second.double(), dim=0))


def rows_of(kind: str, steps: int, samples: int, profile: Profile, ways: Sequence[str]) -> list[Row]:
    """One kind in these ways."""
    exact = train(profile, kind, FLOAT32, steps, samples)
    return [row for way in ways for row in compare(kind, way, train(profile, kind, way, steps, samples), exact)]


def head(ways: Sequence[str]) -> list[str]:
    """Of the table."""
    return [f"| kind | quantity | {' | '.join(ways)} |", f"| --- | --- | {' | '.join('---:' for _ in ways)} |"]


def lines(rows: list[Row], ways: Sequence[str]) -> Iterator[str]:
    """Kind and quantity down, ways across."""
    values = {(row.kind, row.quantity, row.way): row.value for row in rows}
    for kind, quantity in dict.fromkeys((row.kind, row.quantity) for row in rows):
        cells = [
            f"{values[kind, quantity, way]:.3g}" if "cosine" not in quantity else f"{values[kind, quantity, way]:.5f}"
            for way in ways
        ]
        yield f"| {kind} | {quantity} | {' | '.join(cells)} |"


def main() -> None:
    """Print the table, each kind as soon as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--samples", type=int, default=8, help="of a step; the decoder has two")
    parser.add_argument("--profile", default="wan2.1-1.3b")
    parser.add_argument("--ways", nargs="+", choices=(AUTOCAST, MODULES, ROUNDED), default=(AUTOCAST,))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = torch.distributed.FileStore(str(Path(folder) / "store"), 1)
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
        try:
            print("\n".join(head(arguments.ways)), flush=True)
            for kind in arguments.kinds:
                profile = cut_down(arguments.profile)
                rows = rows_of(kind, arguments.steps, arguments.samples, profile, arguments.ways)
                rows += late_rounding(profile, arguments.ways) if kind == "consistency" else []
                print("\n".join(lines(rows, arguments.ways)), flush=True)
        finally:
            torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()

"""What real training code is traced with: networks of a profile's shapes, batches, and what a loss sees of DeepSpeed's engine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from omnihuman.bases.model import OmniHumanModel
from profiles.conditions import MASKED, TABLE
from profiles.schema import Bucket, EngineConfig, Profile, Ratios
from training.data.batch import EXACT, Batch, SampleDraw
from training.data.conditions import Conditions
from training.engine.deepspeed_engine import computing
from training.plan.states import autocast, width_of_weights
from training.stages.model import own_configuration, planned_base, published_configuration


class FakeEngine:
    """DeepSpeed's engine as losses and updates see it: in the dtype and under the autocast of the profile; it steps nothing."""

    def __init__(self, module: nn.Module, engine: EngineConfig):
        self.module, self.device, self.loss_factor = module, torch.device("cpu"), 1.0
        self.autocast = autocast(engine)
        low = self.autocast or width_of_weights(engine) == 2
        self.dtype = torch.bfloat16 if low else torch.float32
        if low and not self.autocast:
            cast(module, torch.bfloat16)

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The module's forward pass, as DeepSpeed runs it."""
        with computing(self):
            return self.module(*inputs, **named)

    def torch_autocast_enabled(self) -> bool:
        """As DeepSpeed's."""
        return self.autocast

    def torch_autocast_dtype(self) -> torch.dtype:
        """As DeepSpeed's."""
        return torch.bfloat16

    def backward(self, loss: Tensor) -> None:
        """As DeepSpeed's, on one rank."""
        loss.backward()

    def step(self) -> None:
        """Nothing: what a step holds is `states.States.stepping`."""

    def is_gradient_accumulation_boundary(self) -> bool:
        """Never, so that nobody asks for a norm."""
        return False

    def zero_optimization_stage(self) -> int:
        """None."""
        return 0


def cast(module: nn.Module, dtype: torch.dtype) -> None:
    """Hold all parameters in `dtype`."""
    for parameter in module.parameters():
        parameter.data = parameter.data.to(dtype)


def fake_transformer(profile: Profile, depth: int, mesh: Any = None, again: bool = True) -> OmniHumanModel:
    """The profile's own transformer with `depth` units of its blocks, inside `trace.without_bytes()`.

    With a mesh its ranks share a sample's tokens; `again`: it computes activations again where the profile says so.
    """
    cut = profile.model_copy(update={"transformer": profile.transformer.of_units(depth)})
    kind = planned_base(profile).load()
    sizes = {**kind.unsaid(cut.transformer), **published_configuration(profile), **kind.sizes(cut.transformer)}
    model = kind(**sizes, **own_configuration(cut, kind))
    if again and profile.engine.activation_checkpointing:
        model.enable_gradient_checkpointing()
    if mesh is not None:
        from diffusers import ContextParallelConfig

        with unset_fake_temporarily():  # torch computes with the mesh's own numbers
            model.enable_parallelism(config=ContextParallelConfig(ulysses_degree=mesh.size(), mesh=mesh))
    return model


@contextmanager
def sequence_mesh(ranks: int) -> Iterator[Any]:
    """A mesh of `ranks` ranks that share a sample, of which only this process is there; None for one rank.

    torch's `fake` process group answers every collective at once with tensors of the right shape.
    """
    if ranks == 1:
        yield None
        return
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    counted = torch.accelerator.device_count
    torch.distributed.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())
    torch.accelerator.device_count = lambda: 1  # diffusers divides by it
    try:
        names = ("data", "ring", "ulysses")
        yield init_device_mesh("cpu", (1, 1, ranks), mesh_dim_names=names)["ring", "ulysses"]
    finally:
        torch.accelerator.device_count = counted
        torch.distributed.destroy_process_group()


def fake_batch(profile: Profile, bucket: Bucket, samples: int, ratios: Ratios, dtype: torch.dtype) -> Batch:
    """A micro-batch in which every condition of these ratios is on, as it lies on the device: conditions in `dtype`."""
    model, encoders = profile.transformer, profile.encoders
    rows = planned_base(profile).load().text_rows(encoders.text_tokens, len(encoders.texts))
    channels, latents = model.latent_channels, bucket.latent_frames
    height, width = bucket.height // bucket.stride, bucket.width // bucket.stride
    shapes = {
        "latents": (channels, latents, height, width),
        "noise": (channels, latents, height, width),
        "uniform": (),
        "text": (rows, model.text_dim),
        "null_text": (rows, model.text_dim),
        "audio": (bucket.frames, model.audio_layers, model.audio_dim),
        "keypoints": (bucket.frames, len(model.pose_keypoints), 3),
        "reference": (channels, 1, height, width),
        "motion": (channels, profile.video.motion_latents, height, width),
        **{f"{name}_mask": () for name in (*MASKED, "motion")},
    }
    tensors: dict[str, Any] = {
        name: torch.empty((samples, *shape), dtype=torch.float32 if name in EXACT else dtype)
        for name, shape in shapes.items()
    }
    on = Conditions(True, True, True, True)
    draw = SampleDraw("", "", profile.video.name_of(bucket), 0, False, on, on, True, ratios.motion > 0, True, 0.5, 0)
    given: set[str] = {row.name for row in TABLE if row.name in MASKED and getattr(ratios, row.name) > 0}
    given |= {"motion"} if ratios.motion > 0 else set()
    return Batch(**tensors, samples=(draw,) * samples, given=frozenset(given), stride=profile.video.stride)

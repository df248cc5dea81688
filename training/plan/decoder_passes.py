"""The slim decoder's training, traced, and the autoencoder of a profile without bytes."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch

from omnihuman.autoencoder import CLASSES, decode_video, profile_grid, use_fast_layers
from profiles import ProfileError, resolve_source
from profiles.schema import Profile, SlimDecoderConfig
from training.distillation.decoder import Decoder, decoder_loss, pieces
from training.plan.passes import Passes, host_bytes, largest_bucket
from training.plan.stand_ins import cast
from training.plan.states import Counted, count_parameters
from training.plan.trace import at_depth, trace, without_bytes

FRAMES = (3, 4)
CLASS = "_class_name"


def autoencoder_configuration(profile: Profile) -> dict[str, Any]:
    """Of the autoencoder that the profile names: its own, with its class, where the folder is there, else Wan2.1's, which is diffusers' default."""
    try:
        path = Path(resolve_source(profile.encoders.autoencoder)) / "config.json"
    except ProfileError:
        return {}
    if not path.is_file():
        return {}
    said = json.loads(path.read_text())
    return {name: value for name, value in said.items() if name == CLASS or not name.startswith("_")}


def fake_autoencoder(configuration: dict[str, Any], dtype: torch.dtype = torch.bfloat16, **changed: Any) -> Any:
    """As `load_autoencoder` gives it, inside `without_bytes()`."""
    config = {**configuration, **changed}
    model = use_fast_layers(getattr(diffusers, config.pop(CLASS, CLASSES[0]))(**config))
    cast(model, dtype)
    return model.eval().requires_grad_(False)


def decoder_passes(profile: Profile, config: SlimDecoderConfig, micro: int) -> Passes:
    """Of the slim decoder: both decoders on a piece of latents, `decoder_loss` and its backward pass."""
    configuration, bucket = autoencoder_configuration(profile), largest_bucket(profile)
    with without_bytes():
        teacher = fake_autoencoder(configuration)
        if not isinstance(teacher, diffusers.AutoencoderKLWan):  # of the others no narrower decoder is made
            return Passes({}, {}, {"model": Counted(0)})
        own = teacher.config.decoder_base_dim or teacher.config.base_dim
        if config.base_dim >= own:
            return Passes({}, {}, {"model": Counted(0)})
        student = Decoder(fake_autoencoder(configuration, torch.float32, decoder_base_dim=config.base_dim))
        student.autoencoder.decoder.requires_grad_(True)
        student.autoencoder.post_quant_conv.requires_grad_(True)

        def run(frames: int) -> None:
            grid = profile_grid(profile)
            shape = (micro, *grid.shape(grid.frames(frames), bucket.height, bucket.width))
            latents = pieces(torch.empty(shape), config, torch.Generator())
            with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
                made, wanted = student(latents), decode_video(teacher, latents)
                loss = decoder_loss(made, wanted, config.edges, config.squares)
            loss.backward()

        # Latents are decoded one after another, each from what is left of those before: from the third on each takes the same.
        traced = {frames: trace(partial(run, frames), [teacher, student]) for frames in FRAMES}
        learning = {"model": at_depth(traced, bucket.latent_frames)}
        answering = sum(p.numel() * p.element_size() for p in teacher.parameters())
        counted = {"model": count_parameters(student, config.optimizer)}
    ratios = profile.stage_1.ratios
    return Passes(learning, learning, counted, answering=float(answering), host=host_bytes(profile, ratios))

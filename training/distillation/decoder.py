r"""A narrower decoder that draws what the autoencoder's own draws: after one-step sampling, decoding is most of the time.

APT counts 3.10 of 6.03 s for the decoder (table 7), and APT2 slims its own, about 3 times faster. Teacher $D$ and student $D_s$ decode
the same latents $z$ of the snapshot, half of them with noise, since generated latents are not quite encoded ones:

$L = \| D_s(z) - D(z) \|_1 + w_e \| \nabla D_s(z) - \nabla D(z) \|_1 + w_s \| D_s(z) - D(z) \|_2^2$

with $\nabla$ the differences of neighbouring pixels, down and across: edges are what a narrow decoder loses first, and mouths and
fingers are edges. The squares count what is small and far off, such as a hand that is smeared away. The student begins as the first
channels of each of the teacher's layers. The encoder is the autoencoder's own, so every latent, feature and transformer goes on to fit.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from media.weights import fill
from omnihuman.autoencoder import (
    decode_video,
    decode_with_gradient,
    load_autoencoder,
    with_narrower_decoder,
)
from omnihuman.deferred_imports import deferring
from omnihuman.placement import computes_in_bfloat16
from profiles import resolve_source
from profiles.schema import Ratios, SlimDecoderConfig
from training.data.batch import Batch
from training.data.feature_rows import feature_rows
from training.data.loader import SnapshotData
from training.data.micro_batches import split_batch
from training.data.rank_batch import RankBatch
from training.distillation.single_engine import SingleEngineDistillation
from training.engine.convolutions import flatten_convolutions, restore_convolutions
from training.engine.deepspeed_engine import build_engine, in_passes
from training.engine.loop import Loop
from training.errors import TrainingError
from training.run.jobs import TrainingJob
from training.run.product import AUTOENCODER, write_product
from training.run.recorder import Recorder

with deferring():  # else diffusers brings PyTorch's compiler
    from diffusers import AutoencoderKLWan

LATENTS_ALONE = Ratios(text=0.0, reference=0.0, audio=0.0, pose=0.0, motion=0.0)


class Decoder(nn.Module):
    """An autoencoder whose `forward` decodes, as DeepSpeed's engine wants it; its encoder stays as it is."""

    def __init__(self, autoencoder: AutoencoderKLWan):
        super().__init__()
        self.autoencoder = autoencoder
        autoencoder.encoder.requires_grad_(False)
        autoencoder.quant_conv.requires_grad_(False)

    def forward(self, latents: Tensor) -> Tensor:
        """Normalised latents `(B, 16, n+1, h, w)` to `(B, 3, 4n+1, 8h, 8w)`."""
        return decode_with_gradient(self.autoencoder, latents)


def decoder_loss(made: Tensor, wanted: Tensor, edges: float, squares: float) -> Tensor:
    """L1 of pixels, `edges` times that of their differences, `squares` times L2; both `(B, 3, T, H, W)` in [-1, 1]."""
    gap = made.float() - wanted.float()
    return (
        gap.abs().mean()
        + edges * (gap.diff(dim=-1).abs().mean() + gap.diff(dim=-2).abs().mean())
        + squares * gap.square().mean()
    )


def pieces(latents: Tensor, config: SlimDecoderConfig, generator: torch.Generator) -> Tensor:
    """A random piece of at most `crop` latents a side, the same for the batch; noise on every second sample."""
    for axis in (3, 4):
        spare = latents.shape[axis] - config.crop
        if spare > 0:
            latents = latents.narrow(axis, int(torch.randint(spare + 1, (1,), generator=generator)), config.crop)
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    noise[::2] = 0.0
    return latents + config.noise * noise


def train_decoder(job: TrainingJob) -> dict[str, Any]:
    """Distil the profile's decoder; resume where it stopped; write the product and return its record."""
    return Loop(DecoderDistillation(job)).run()


class DecoderDistillation(SingleEngineDistillation):
    """A narrower decoder that draws what the profile's own draws."""

    decay_to = 0.05

    def __init__(self, job: TrainingJob):
        config = _config(job)
        # Latents are cut in space, not into tokens: every rank has samples of its own.
        alone = job.profile.engine.model_copy(update={"sequence_parallel": 1})
        profile = in_passes(job.profile.model_copy(update={"engine": alone}), config)
        data = SnapshotData(
            Path(job.snapshot),
            feature_rows(job),
            profile,
            "text",
            config.seed + 211,
            config.batch_size,
            LATENTS_ALONE,
        )
        torch.manual_seed(config.seed)
        self.teacher = load_autoencoder(resolve_source(profile.encoders.autoencoder))
        model = Decoder(with_narrower_decoder(self.teacher, config.base_dim))
        flatten_convolutions(model)
        engine = build_engine(model, config.optimizer, profile.engine, config.batch_size)
        self.teacher.to(engine.device)
        self.decoder = config
        super().__init__(job, config, data, engine, model)

    def losses(self, number: int, batch: Batch | RankBatch) -> Iterator[Tensor]:
        """One per accumulation step."""
        config, engine = self.decoder, self.engine
        generator = torch.Generator().manual_seed(config.seed + number * self.ranks + self.rank)
        for part in split_batch(batch, engine.gradient_accumulation_steps()):
            latents = pieces(part.latents, config, generator).to(engine.device)
            # Decoders run in bfloat16, so this one also learns in it, with weights in the engine's precision.
            with torch.autocast(engine.device.type, torch.bfloat16, enabled=computes_in_bfloat16()):
                loss = decoder_loss(engine(latents), decode_video(self.teacher, latents), config.edges, config.squares)
            yield loss

    def write(self, weights: dict[str, Tensor], recorder: Recorder, record: dict[str, Any]) -> dict[str, Any]:
        """Write a whole autoencoder: the profile's encoder and the averaged decoder."""
        finished = Decoder(with_narrower_decoder(self.teacher, self.decoder.base_dim))
        convolutions = flatten_convolutions(finished)
        fill(finished, weights, "the training's average", "start it again")
        restore_convolutions(convolutions)
        return write_product(self.job, finished.autoencoder.to(torch.bfloat16), AUTOENCODER, recorder, record)


def _config(job: TrainingJob) -> SlimDecoderConfig:
    """Raises TrainingError where the profile says nothing of a slim decoder."""
    config = job.profile.slim_decoder
    if config is None:
        raise TrainingError(f"profile {job.profile.name} has no section slim_decoder; profiles/laptop.yaml shows one")
    return config

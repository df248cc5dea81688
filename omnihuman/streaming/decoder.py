"""The causal autoencoder's decoder with state: latent 0 gives one frame, every later one as many as a cell has, as if the video were decoded whole.

Its convolutions look back two frames; diffusers keeps these while it decodes a video and forgets them at the end. Here each stream has its own.
A decoder that was trained on windows alone draws otherwise where none of its convolutions reaches back to where the video begins, so a profile can name
another for streams.
"""

from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import unpatchify
from torch import Tensor

from omnihuman.autoencoder import has_the_same_latents, load_autoencoder, moments
from omnihuman.errors import InputError
from omnihuman.placement import execution_device
from profiles import Profile, resolve_source


class StreamDecoder:
    """Decodes one video, or a batch of equal length, a latent at a time."""

    def __init__(self, autoencoder: AutoencoderKLWan):
        """Raises InputError for an autoencoder that decodes in tiles, whose states would be of other places."""
        if autoencoder.use_tiling:
            raise InputError("a stream is decoded whole: call disable_tiling() on the autoencoder")
        self.autoencoder = autoencoder
        empty: list[Tensor | str | None] = [None]
        self._features = empty * autoencoder._cached_conv_counts["decoder"]
        self._begun = False

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Normalised latents `(B, C, n, h, w)`, which go on from those before, to `(B, 3, sn, H, W)` in [-1, 1], s frames of a cell; at first s - 1 fewer."""
        return self.decode_with_gradient(latents)

    def decode_with_gradient(self, latents: Tensor) -> Tensor:
        """As `decode`, for training a decoder: what is kept of the latents before is taken as given."""
        model = self.autoencoder
        self._features = [kept.detach() if isinstance(kept, Tensor) else kept for kept in self._features]
        latents = latents.to(execution_device(model))
        mean, std = moments(model, latents)
        hidden = model.post_quant_conv((latents * std + mean).to(model.dtype))
        frames = []
        for index in range(hidden.shape[2]):
            begin = {} if self._begun else {"first_chunk": True}
            frames.append(
                model.decoder(hidden[:, :, index : index + 1], feat_cache=self._features, feat_idx=[0], **begin)
            )
            self._begun = True
        pixels = torch.cat(frames, dim=2)
        if model.config.patch_size is not None:
            pixels = unpatchify(pixels, patch_size=model.config.patch_size)
        return pixels.clamp(-1.0, 1.0)


def with_stream_decoder(profile: Profile, autoencoder: Any) -> Any:
    """What a stream of the profile is decoded with: `streaming.autoencoder`, or without that key the given one, which is the profile's own.

    Raises:
        InputError: its latents are others than those of the profile's autoencoder.
    """
    source = profile.streaming.autoencoder if profile.streaming is not None else None
    if source is None:
        return autoencoder
    other = load_autoencoder(resolve_source(source))
    if not has_the_same_latents(autoencoder, other):
        raise InputError(
            f"streaming.autoencoder={source} decodes other latents than those of encoders.autoencoder={profile.encoders.autoencoder}: train it from that one "
            "(training/recipes/stream_decoder.py), or set streaming.autoencoder=null"
        )
    return other

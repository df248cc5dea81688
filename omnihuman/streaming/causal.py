"""The causal pass: the transformer's own weights, block-causal over latents, with a memory from pass to pass (APT2 section 3.1).

One pass at timestep 1000 gives a latent: x = noise - v. The latent before it goes in finished, beside the noise, and what it leaves
in the memory is seen from then on; so a pass has the tokens of two latents whatever the length of the video.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.errors import InputError
from omnihuman.streaming.attention import CausalAttention, Layout, Memory, Rotary
from omnihuman.streaming.conditions import audio_of_latents, pose_of_latents
from omnihuman.streaming.settings import Streaming
from omnihuman.transformer import OmniHumanTransformer3DModel


class CausalTransformer(nn.Module):
    """A transformer that is run causally; its weights and their names are the transformer's own."""

    transformer: Any

    def __init__(self, transformer: Any, streaming: Streaming):
        """Raises InputError for a transformer of another base."""
        super().__init__()
        if not isinstance(transformer, OmniHumanTransformer3DModel):
            raise InputError(f"{type(transformer).__name__} cannot stream: only the Wan base is made causal here")
        self.transformer, self.streaming = transformer, streaming
        self._rotary: dict[Any, Rotary] = {}

    def forward(
        self,
        noise: Tensor,
        past: Tensor,
        inputs: ConditionInputs,
        start: int = 0,
        memory: Memory | None = None,
    ) -> tuple[Tensor, Memory]:
        """Make latents `start` and on, each from its noise, the sound until then, and what is finished before it.

        Args:
            noise: `(B, C, n, h, w)`.
            past: `(B, C, m, h, w)` finished latents `start - 1` to `start + n - 2`, whichever there are (m is n, or n - 1 where
                `start` is 0).
            inputs: text; the reference at `start` 0; sound and pose of the new latents, laid out as `audio_of_latents` and
                `pose_of_latents` say.
            start: number of the first new latent.
            memory: what the pass before left; not changed.

        Returns:
            Finished latents `(B, C, n, h, w)`, float32 at least, and the memory for the pass that begins at `start + n`.

        Raises:
            InputError: a past or a memory that does not lead up to `start`.
        """
        memory = memory or Memory()
        first_past = max(0, start - 1)
        count = start + noise.shape[2] - 1 - first_past
        if past.shape[2] != count or memory.latents != first_past:
            raise InputError(
                f"latents {start} to {start + noise.shape[2] - 1} go on from {count} finished latents and a memory of {first_past}; got "
                f"{past.shape[2]} and {memory.latents}"
            )
        timestep = torch.full((len(noise),), 1000.0, device=noise.device)
        tokens, packed, temb, attention = self._packed(noise, timestep, past if count else None, inputs, start, memory)
        model = self.transformer
        for index, block in enumerate(model.blocks):
            tokens = model.run_block(block, tokens, replace(packed, memory=attention.layer(index)))
        velocity = model.unpatchify(tokens, temb, noise.shape, packed.total)
        return noise - velocity, attention.memory()

    def features(
        self, at: tuple[int, ...], latents: Tensor, timestep: Tensor, inputs: ConditionInputs, start: int = 0
    ) -> list[Tensor]:
        """Tokens `(B, n, tokens of a latent, dim)` after the blocks `at` (counted from 1); each latent has seen those before it.

        Args:
            latents: `(B, C, n, h, w)` clean latents `start` and on.
            timestep: `(B,)` in [0, 1000].
        """
        tokens, packed, _, attention = self._packed(latents, timestep, None, inputs, start, Memory(), judged=True)
        model, seen = self.transformer, []
        for index, block in enumerate(model.blocks[: max(at)]):
            tokens = model.run_block(block, tokens, replace(packed, memory=attention.layer(index)))
            if index + 1 in at:
                seen.append(tokens[:, : packed.video_tokens].unflatten(1, (latents.shape[2], packed.frame_tokens)))
        return seen

    def _packed(
        self,
        latents: Tensor,
        timestep: Tensor,
        past: Tensor | None,
        inputs: ConditionInputs,
        start: int,
        memory: Memory,
        judged: bool = False,
    ) -> tuple[Tensor, Any, Tensor, CausalAttention]:
        model, count = self.transformer, latents.shape[2]
        bare = replace(inputs, audio=None, pose=None, pose_mask=None, motion=past, motion_mask=None)
        if memory.layers:
            bare = bare.without("reference")
        if model.tokens_are_shared_by > 1:
            raise InputError("a causal pass is not split over ranks: set the section's sequence_parallel to 1")
        tokens, packed, temb = model.pack(latents, timestep, bare)
        if inputs.pose is not None:
            tokens = self._posed(tokens, packed.video_tokens, inputs)
        audio = None
        if inputs.audio is not None:
            heard = inputs.audio.to(tokens.dtype)
            audio = audio_of_latents(model.audio_projection, heard, start, count, self.streaming.lookahead)
        before = 0 if past is None else past.shape[2]
        layout = Layout(
            start,
            count,
            start + count - 1 - before,
            before,
            packed.total - packed.video_tokens - before * packed.frame_tokens,
            packed.frame_tokens,
            self.streaming,
            judged,
        )
        size = model.grid(latents)[1:]
        rotary = self._rotary.setdefault((size, latents.device), Rotary(model, self.streaming.window, *size))
        mask = memory.reference_mask if memory.layers else _seen(packed.key_mask, layout)
        attention = CausalAttention(layout, rotary, memory, mask)
        return tokens, replace(packed, audio=audio), temb, attention

    def _posed(self, tokens: Tensor, video: int, inputs: ConditionInputs) -> Tensor:
        """The pose stacked on the channels of the new latents, as `OmniHumanTransformer3DModel` does."""
        guided = pose_of_latents(self.transformer.pose_guider, inputs.pose.to(tokens.dtype))  # type: ignore[union-attr]
        if inputs.pose_mask is not None:
            guided = guided * inputs.pose_mask.view(-1, 1, 1, 1, 1).to(guided)
        drawn = self.transformer.pose_patch_embedding(guided).flatten(2).transpose(1, 2)
        return torch.cat([tokens[:, :video] + drawn, tokens[:, video:]], dim=1)


def _seen(key_mask: Tensor | None, layout: Layout) -> Tensor | None:
    """`(B, 1, 1, 1)`: whose reference may be seen; None where everybody's may, or there is none."""
    return None if key_mask is None or not layout.reference else key_mask[..., -1:]

"""OmniHuman-1's diffusion transformer as a subclass of diffusers' `WanTransformer3DModel`.

Wan's key names stay, so an official Wan2.1 checkpoint loads unchanged; every new weight that touches the output starts
at zero, so step 0 is the base model. Sources: OmniHuman-1 (arXiv 2502.01061) section 3.1; token types, zero timestep and
the far reference index are Wan2.2-S2V's.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch

# ModelMixin is unused here, but diffusers looks for it in the module that a pipeline's model_index.json names; without it
# `OmniHumanPipeline.from_pretrained` finds no way to load the transformer.
from diffusers import ModelMixin as ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.utils import apply_lora_scale, logging
from torch import Tensor, nn
from torch.nn import functional as F

from omnihuman.block import OmniHumanBlock, PackedSequence
from omnihuman.conditions.audio import AudioProjection
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.conditions.pose import PoseGuider
from omnihuman.context_parallel import (
    PLAN,
    SequenceEntry,
    SequenceExit,
    check_heads,
    check_tokens,
    context_parallel,
    join_slices,
)
from omnihuman.errors import InputError
from omnihuman.positions import MOTION, REFERENCE, rotary_of_packed
from omnihuman.precision import compute_by_dtype, edge_dtype, weight_dtype
from omnihuman.wan.stored import StoredTransformer

# For peft's LoraConfig(target_modules=...): every attention projection, the audio attention's too.
LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "audio_attn.to_out")
_I2V_TEXT_TOKENS = 512
# Wan2.1's code computes these in float32 (`autocast(dtype=float32)` around them), and so does a training here.
_EXACT = ("condition_embedder.time_embedder", "condition_embedder.time_proj", "proj_out")
logger = logging.get_logger(__name__)


def _scale_lora_where_asked(forward: Callable[..., Any]) -> Callable[..., Any]:
    """As diffusers' `apply_lora_scale`, which imports peft for a second at the first call, also where nothing is to be scaled."""
    scaled = apply_lora_scale("attention_kwargs")(forward)

    @functools.wraps(forward)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (scaled if kwargs.get("attention_kwargs") else forward)(self, *args, **kwargs)

    return run


class OmniHumanTransformer3DModel(StoredTransformer):
    """Text, reference, audio and pose on one Wan backbone. New configuration, beside Wan's own:

    Args:
        audio_dim, audio_layers: width and number of the wav2vec 2.0 hidden states.
        audio_window: neighbouring frames concatenated on either side.
        audio_blocks: blocks with audio attention; None is every block (OmniHuman-1).
        pose_keypoints: how many keypoint heatmaps.
        pose_channels: width of the pose guider.
        reference_position: "far" puts the reference at temporal index `reference_index` (Wan2.2-S2V: 30); "zero" gives it
            no temporal rotation (OmniHuman-1) and moves it past the video's rows and columns, so that no reference
            token shares the position of a token of video frame 0.
    """

    _no_split_modules = ["OmniHumanBlock"]
    _repeated_blocks = ["OmniHumanBlock"]
    _cp_plan = PLAN

    @register_to_config
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 40,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 13824,
        num_layers: int = 40,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        audio_dim: int = 768,
        audio_layers: int = 13,
        audio_window: int = 1,
        audio_blocks: tuple[int, ...] | None = None,
        pose_keypoints: int = 133,
        pose_channels: int = 16,
        reference_position: str = "far",
        reference_index: int = 30,
    ) -> None:
        if reference_position not in ("far", "zero"):
            raise InputError(f"reference_position is 'far' or 'zero', got {reference_position!r}")
        # By keyword: diffusers takes positional values for defaults, and `from_config` would leave them out.
        super().__init__(
            patch_size=patch_size,
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim,
            freq_dim=freq_dim,
            ffn_dim=ffn_dim,
            num_layers=0,
            cross_attn_norm=cross_attn_norm,
            qk_norm=qk_norm,
            eps=eps,
            image_dim=image_dim,
            added_kv_proj_dim=added_kv_proj_dim,
            rope_max_seq_len=rope_max_seq_len,
            pos_embed_seq_len=pos_embed_seq_len,
        )
        # Wan's constructor records its own call; the configuration that is saved is this one.
        self.register_to_config(num_layers=num_layers)
        dim = num_attention_heads * attention_head_dim
        heard = set(range(num_layers)) if audio_blocks is None else set(audio_blocks)
        if heard - set(range(num_layers)):
            raise InputError(
                f"audio_blocks {sorted(heard)} name blocks that a model of {num_layers} layers does not have"
            )
        self.blocks = nn.ModuleList(
            OmniHumanBlock(
                dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps, added_kv_proj_dim, i in heard
            )
            for i in range(num_layers)
        )
        self._build_new_parts()
        self.sequence_entry, self.sequence_exit = SequenceEntry(), SequenceExit()
        compute_by_dtype(self, _EXACT)

    def _build_new_parts(self) -> None:
        """OmniHuman's own modules outside the blocks, with the values that training starts from."""
        dim = self.config.num_attention_heads * self.config.attention_head_dim
        patch = self.config.patch_size
        self.audio_projection = AudioProjection(
            self.config.audio_dim, self.config.audio_layers, dim, self.config.audio_window
        )
        self.pose_guider = PoseGuider(self.config.pose_keypoints, self.config.pose_channels)
        # The pose channels' slice of a widened patch embedding: conv([latent, pose]) = conv(latent) + conv'(pose). Kept
        # apart so that Wan's own `patch_embedding.weight` loads with its published shape.
        self.pose_patch_embedding = nn.Conv3d(self.pose_guider.out_channels, dim, patch, patch, bias=False)
        nn.init.zeros_(self.pose_patch_embedding.weight)
        self.token_types = nn.Parameter(torch.zeros(2, dim))

    def enable_parallelism(self, *, config: Any, cp_plan: Any = None) -> None:
        """As diffusers'; context parallelism is Ulysses over the packed sequence (`omnihuman.context_parallel`).

        Raises:
            InputError: the heads do not divide by the ranks, or ring attention is asked for.
        """
        asked = context_parallel(config)
        if asked is not None:
            check_heads(self.config.num_attention_heads, asked)
        super().enable_parallelism(config=config, cp_plan=cp_plan)

    @_scale_lora_where_asked
    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        audio: Tensor | None = None,
        pose: Tensor | None = None,
        reference: Tensor | None = None,
        motion: Tensor | None = None,
        *,
        audio_mask: Tensor | None = None,
        pose_mask: Tensor | None = None,
        reference_mask: Tensor | None = None,
        motion_mask: Tensor | None = None,
        encoder_hidden_states_image: Tensor | None = None,
        return_dict: bool = True,
        attention_kwargs: dict[str, Any] | None = None,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Predict the velocity eps - x_0. Every condition is optional; with none this is `WanTransformer3DModel.forward`.

        Args:
            hidden_states: `(B, in_channels, F, h, w)` noisy latents, rounded here to the dtype it computes in, as conditions are; for Wan I2V 36 channels:
                latents, mask and image latents.
            timestep: `(B,)` in [0, 1000], float32 or whole numbers.
            encoder_hidden_states: `(B, L, text_dim)`.
            audio: `(B, 4F-3, K, audio_dim)` wav2vec hidden states, one per video frame.
            pose: `(B, keypoints, 4F-3, 4h, 4w)` heatmaps from `omnihuman.conditions.pose.render_heatmaps`.
            reference: `(B, C, R, h, w)` latents of reference images.
            motion: `(B, C, M, h, w)` latents of the frames before this segment (5 frames = 2 latents). Like the reference
                they go through Wan's patch embedding; where that is wider (I2V), their other channels are zero: no mask, no
                image.
            audio_mask, pose_mask, reference_mask, motion_mask: `(B,)`; 0 switches the condition off for that sample.
            encoder_hidden_states_image: `(B, 257, image_dim)`, Wan I2V's image tokens.

        Returns:
            `(B, C, F, h, w)`.

        Raises:
            InputError: sizes of the conditions that do not fit the video or the model, or a rounded timestep.
        """
        inputs = ConditionInputs(
            text=encoder_hidden_states,
            reference=reference,
            audio=audio,
            pose=pose,
            motion=motion,
            reference_mask=reference_mask,
            audio_mask=audio_mask,
            pose_mask=pose_mask,
            motion_mask=motion_mask,
            image_tokens=encoder_hidden_states_image,
        )
        tokens, packed, temb = self.pack(hidden_states, timestep, inputs)
        for block in self.blocks:
            tokens = self._run(block, tokens, packed)
        output = self._unpatchify(tokens, temb, hidden_states.shape, packed.total)
        return Transformer2DModelOutput(sample=output) if return_dict else (output,)

    def features(
        self, at: tuple[int, ...], hidden_states: Tensor, timestep: Tensor, inputs: ConditionInputs
    ) -> list[Tensor]:
        """Video tokens `(B, N, dim)` after the blocks `at` (counted from 1); the discriminator's view of the backbone.

        Under context parallelism every rank gets all of them. Weights that read them then get their gradients once per rank, where all
        others' are to be summed over the ranks: `tokens_are_shared_by` says how many there are.
        """
        parallel = context_parallel(self._parallel_config)
        tokens, packed, _ = self.pack(hidden_states, timestep, inputs)
        video, seen = math.prod(self._grid(hidden_states)), []
        for index, block in enumerate(self.blocks[: max(at)], start=1):
            tokens = self._run(block, tokens, packed)
            if index in at:
                ranks = self.tokens_are_shared_by
                whole = join_slices(self.sequence_exit, tokens, packed.total, ranks) if parallel else tokens
                seen.append(_front(whole, video))
        return seen

    @property
    def tokens_are_shared_by(self) -> int:
        """How many ranks work on one sample: 1 without context parallelism."""
        parallel = context_parallel(self._parallel_config)
        return 1 if parallel is None else parallel.ulysses_degree or 1

    def pack(
        self, hidden_states: Tensor, timestep: Tensor, inputs: ConditionInputs
    ) -> tuple[Tensor, PackedSequence, Tensor]:
        """Embed everything and lay video, motion and reference tokens into one sequence; also the timestep's embedding."""
        if timestep.dtype in (torch.bfloat16, torch.float16):
            raise InputError(f"timestep is {timestep.dtype}, in which neighbouring times are one: give it in float32")
        # The network's edge: latents are exact until here, times further, into the modulation.
        hidden_states = hidden_states.to(edge_dtype(self.patch_embedding))
        grid = self._grid(hidden_states)
        self._check_conditions(grid[0], inputs)
        video = self._embed_video(hidden_states, inputs)
        temb, modulation = self._modulation(timestep)
        text = self.condition_embedder.text_embedder(inputs.text.to(hidden_states))
        if inputs.image_tokens is not None:
            embed = self.condition_embedder.image_embedder
            if embed is None:
                raise InputError(
                    "image tokens are given, and this model takes none: it was built without image_dim (Wan I2V has 1280)"
                )
            image = embed(inputs.image_tokens.to(hidden_states))
            text = torch.cat([image, text], dim=1)

        pieces, masks, rotary, unseen = self._packed_pieces(hidden_states, inputs)
        packed_modulation: Tensor | None = None
        if pieces or unseen:
            # Reference and motion tokens are clean, so they are modulated as at timestep 0 (Wan2.2-S2V).
            still = packed_modulation = self._modulation(torch.zeros_like(timestep))[1]
            if unseen and torch.is_grad_enabled():
                # What nobody is shown is no part of the sequence, but takes part without weight: on other ranks it may be shown, and
                # gradients are waited for by module (docs/decisions/0009-same-conditions-on-every-rank.md).
                means = torch.stack([part.float().mean() for part in (*unseen, still)])
                video = video + 0 * means.sum().to(video)
        tokens, tables = video, self.rope(hidden_states)
        if pieces:
            tokens = torch.cat([video, *pieces], dim=1)
            tables = (
                torch.cat([tables[0], *(r[0] for r in rotary)], dim=1),
                torch.cat([tables[1], *(r[1] for r in rotary)], dim=1),
            )
        key_mask = _key_mask([video, *pieces], [None, *masks])
        heard = None if inputs.audio is None else self.audio_projection(inputs.audio.to(hidden_states))
        total, n = tokens.shape[1], video.shape[1]
        tokens, tables, first = self._slice_of_rank(tokens, tables, n)
        if (
            packed_modulation is not None
            and torch.is_grad_enabled()
            and context_parallel(self._parallel_config) is not None
        ):
            # A rank's slice may have tokens of one of the two times alone, and under ZeRO-3 every rank must go back through the same modules.
            tokens = tokens + 0 * (modulation.float().mean() + packed_modulation.float().mean()).to(tokens)
        packed = PackedSequence(
            video_tokens=min(max(n - first, 0), tokens.shape[1]),
            first=first,
            frame_tokens=n // grid[0],
            total=total,
            text=text,
            modulation=modulation,
            packed_modulation=packed_modulation,
            rotary=tables,
            key_mask=key_mask,
            audio=heard,
            audio_mask=inputs.audio_mask,
        )
        return tokens, packed, temb

    def _packed_pieces(
        self, hidden_states: Tensor, inputs: ConditionInputs
    ) -> tuple[list[Tensor], list[Tensor | None], list[tuple[Tensor, Tensor]], list[Tensor]]:
        """Motion and reference tokens, their masks and rotary tables, as far as a sample is shown them; the tokens that none is shown."""
        pieces: list[Tensor] = []
        masks: list[Tensor | None] = []
        rotary: list[tuple[Tensor, Tensor]] = []
        unseen: list[Tensor] = []
        packed_kinds = (
            (inputs.motion, MOTION, inputs.motion_mask),
            (inputs.reference, REFERENCE, inputs.reference_mask),
        )
        for latents, kind, mask in packed_kinds:
            if latents is None:
                continue
            embedded = self.patch_embedding(self._widened(latents.to(hidden_states))).flatten(2).transpose(1, 2)
            embedded = embedded + self.token_types[kind].to(embedded)
            hidden = 0 if mask is None else int((mask == 0).count_nonzero())
            # Ranks that share a sequence have checked its length, which stays.
            if hidden == len(latents) and context_parallel(self._parallel_config) is None:
                unseen.append(embedded)
                continue
            pieces.append(embedded)
            masks.append(mask if hidden else None)
            rotary.append(self._packed_rotary(latents, kind, hidden_states))
        return pieces, masks, rotary, unseen

    def _embed_video(self, hidden_states: Tensor, inputs: ConditionInputs) -> Tensor:
        """`(B, N, dim)` tokens of the noisy latents, with the pose stacked on their channels."""
        tokens = self.patch_embedding(hidden_states)
        if inputs.pose is not None:
            guided = self.pose_guider(inputs.pose.to(hidden_states))
            if inputs.pose_mask is not None:
                guided = guided * inputs.pose_mask.view(-1, 1, 1, 1, 1).to(guided)
            tokens = tokens + self.pose_patch_embedding(guided)
        return tokens.flatten(2).transpose(1, 2).contiguous()

    def _grid(self, latents: Tensor) -> tuple[int, int, int]:
        """Latents, token rows and token columns."""
        p_t, p_h, p_w = self.config.patch_size
        return latents.shape[2] // p_t, latents.shape[3] // p_h, latents.shape[4] // p_w

    def _check_conditions(self, frames: int, inputs: ConditionInputs) -> None:
        """Sizes that would broadcast or be cut in silence."""
        audio, pose, image = inputs.audio, inputs.pose, inputs.image_tokens
        given = {"audio": None if audio is None else audio.shape[1], "pose": None if pose is None else pose.shape[2]}
        for name, frames_given in given.items():
            if frames_given is not None and frames_given % 4 == 1 and frames_given != 4 * frames - 3:
                raise InputError(f"{name} has {frames_given} frames; {frames} latents are {4 * frames - 3} frames")
        if image is not None and inputs.text.shape[1] != _I2V_TEXT_TOKENS:
            logger.warning_once(
                f"Wan's I2V attention takes the last {_I2V_TEXT_TOKENS} tokens for text and the rest for the image, but there are "
                f"{inputs.text.shape[1]} text tokens: pad the text as Wan's pipeline does"
            )

    def _widened(self, latents: Tensor) -> Tensor:
        """Zeros in the channels that only the video has (Wan I2V: mask and image latents)."""
        missing = self.config.in_channels - latents.shape[1]
        return F.pad(latents, (0, 0, 0, 0, 0, 0, 0, missing)) if missing > 0 else latents

    def _slice_of_rank(
        self, tokens: Tensor, tables: tuple[Tensor, Tensor], video: int
    ) -> tuple[Tensor, tuple[Tensor, Tensor], int]:
        """This rank's tokens and rotary tables, and the position they begin at; everything and 0 without context parallelism."""
        parallel = context_parallel(self._parallel_config)
        if parallel is None:
            return tokens, tables, 0
        check_tokens(video, tokens.shape[1] - video, parallel)
        # On the CPU, so that reading the first position does not wait for the device.
        positions = torch.arange(tokens.shape[1], device="cpu")
        tokens, cosine, sine, positions = self.sequence_entry(tokens, *tables, positions)
        return tokens, (cosine, sine), int(positions[0])

    def _modulation(self, timestep: Tensor) -> tuple[Tensor, Tensor]:
        """`(B, dim)` and `(B, 6, dim)` of a timestep, as `WanTimeTextImageEmbedding` makes them where weights are in one dtype."""
        embedder = self.condition_embedder
        # Wan's embedder is float32 and its projection may be bfloat16, to which diffusers rounds; where that is float32 nothing is rounded.
        temb = embedder.time_embedder(embedder.timesteps_proj(timestep)).to(weight_dtype(embedder.time_proj))
        return temb, embedder.time_proj(embedder.act_fn(temb)).unflatten(1, (6, -1))

    def _packed_rotary(self, latents: Tensor, kind: int, video: Tensor) -> tuple[Tensor, Tensor]:
        return rotary_of_packed(
            self.rope,
            kind,
            self._grid(latents),
            self._grid(video),
            self.config.reference_position,
            self.config.reference_index,
        )

    def _run(self, block: nn.Module, tokens: Tensor, packed: PackedSequence) -> Tensor:
        if torch.is_grad_enabled() and self.gradient_checkpointing:
            return self._gradient_checkpointing_func(block, tokens, packed)
        return block(tokens, packed)

    def _unpatchify(self, tokens: Tensor, temb: Tensor, shape: torch.Size, total: int) -> Tensor:
        batch, _, frames, height, width = shape
        p_t, p_h, p_w = self.config.patch_size
        rows, columns = height // p_h, width // p_w
        video = frames // p_t * rows * columns
        parallel = context_parallel(self._parallel_config)
        # A rank's slice is projected whole and cut after joining: behind the joint no weight may stand.
        tokens = tokens if parallel else _front(tokens, video)
        shift, scale = (self.scale_shift_table.to(temb.device) + temb.unsqueeze(1)).chunk(2, dim=1)
        tokens = self.proj_out(self.norm_out(tokens.float()) * (1 + scale) + shift)
        if parallel:
            tokens = _front(join_slices(self.sequence_exit, tokens, total, parallel.ulysses_degree or 1), video)
        grid = tokens.reshape(batch, frames // p_t, rows, columns, p_t, p_h, p_w, -1)
        return grid.permute(0, 7, 1, 4, 2, 5, 3, 6).flatten(6, 7).flatten(4, 5).flatten(2, 3)


def _front(tokens: Tensor, count: int) -> Tensor:
    """The first tokens; all of them without a slice, whose backward pass would copy."""
    return tokens if tokens.shape[1] == count else tokens[:, :count]


def _key_mask(pieces: list[Tensor], masks: list[Tensor | None]) -> Tensor | None:
    """`(B, 1, 1, N)` bool: which tokens may be seen; None where every token of every sample may."""
    if all(mask is None for mask in masks):
        return None
    every = torch.ones(len(pieces[0]), dtype=torch.bool, device=pieces[0].device)
    shown = [
        (every if mask is None else mask.to(every))[:, None].expand(-1, piece.shape[1])
        for mask, piece in zip(masks, pieces, strict=True)
    ]
    return torch.cat(shown, dim=1)[:, None, None, :]

"""What OmniHuman adds to any base, and what stages, distillation and generation ask of the result.

Every new weight that touches the output starts at zero, so step 0 is the base model. Sources: OmniHuman-1 (arXiv 2502.01061) section 3.1; token types,
zero timestep and the far reference index are Wan2.2-S2V's.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from diffusers.utils import apply_lora_scale
from torch import Tensor, nn
from torch.nn import functional as F

from omnihuman.bases.backbone import Backbone
from omnihuman.conditions.audio import AudioProjection
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.conditions.pose import PoseGuider
from omnihuman.context_parallel import context_parallel, join_slices
from omnihuman.errors import InputError
from omnihuman.positions import MOTION, REFERENCE

# OmniHuman's own configuration, the same for every base.
NEW_PARTS = (
    "audio_dim",
    "audio_layers",
    "audio_window",
    "audio_blocks",
    "pose_keypoints",
    "pose_channels",
    "reference_position",
    "reference_index",
)


def _scale_lora_where_asked(forward: Callable[..., Any]) -> Callable[..., Any]:
    """As diffusers' `apply_lora_scale`, which imports peft for a second at the first call, also where nothing is to be scaled."""
    scaled = apply_lora_scale("attention_kwargs")(forward)

    @functools.wraps(forward)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (scaled if kwargs.get("attention_kwargs") else forward)(self, *args, **kwargs)

    return run


class OmniHumanModel(Backbone):
    """Text, reference, audio and pose on one backbone. A subclass joins it with diffusers' class of a base; its configuration is that class's and

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

    _parallel_config: Any
    audio_projection: AudioProjection
    pose_guider: PoseGuider
    pose_patch_embedding: nn.Module
    token_types: nn.Parameter
    sequence_exit: Any

    def build_new_parts(self) -> None:
        """OmniHuman's own modules, with the values that training starts from."""
        self.build_outside()
        heard = self.heard_blocks(self.depth)
        for index, block in enumerate(self.stacked_blocks):
            block.build_new_parts(self.width, self.config.num_attention_heads, self.norm_eps, index in heard)  # type: ignore[operator]

    def build_outside(self) -> None:
        """Those that are in no block.

        Raises:
            InputError: a `reference_position` that there is not.
        """
        config, patch = self.config, self.patch
        if config.reference_position not in ("far", "zero"):
            raise InputError(f"reference_position is 'far' or 'zero', got {config.reference_position!r}")
        stride = self.temporal_stride
        heard = config.audio_dim, config.audio_layers, self.width, config.audio_window
        self.audio_projection = AudioProjection(*heard, stride)
        self.pose_guider = PoseGuider(config.pose_keypoints, config.pose_channels, stride)
        # The pose channels' slice of a widened patch embedding: conv([latent, pose]) = conv(latent) + conv'(pose). Kept
        # apart so that the base's own patch embedding loads with its published shape.
        self.pose_patch_embedding = nn.Conv3d(self.pose_guider.out_channels, self.width, patch, patch, bias=False)
        nn.init.zeros_(self.pose_patch_embedding.weight)
        self.token_types = nn.Parameter(torch.zeros(2, self.width))

    @property
    def temporal_stride(self) -> int:
        """Frames of a latent but the first: the autoencoder's. Wan's base alone is made for others than four."""
        return int(self.config.get("temporal_stride", 4))

    @property
    def norm_eps(self) -> float:
        """Of the norms that the new parts have."""
        return self.config.get("eps", 1e-6)

    def heard_blocks(self, layers: int) -> set[int]:
        """Blocks that hear, of so many.

        Raises:
            InputError: the configuration names others.
        """
        asked = self.config.audio_blocks
        heard = set(range(layers)) if asked is None else set(asked)
        if heard - set(range(layers)):
            raise InputError(f"audio_blocks {sorted(heard)} name blocks that a model of {layers} layers does not have")
        return heard

    @property
    def depth(self) -> int:
        """How many blocks of any kind."""
        return len(self.stacked_blocks)

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
        """Predict the velocity eps - x_0. Every condition is optional; with none this is the base's own forward.

        Args:
            hidden_states: `(B, in_channels, F, h, w)` noisy latents, rounded here to the dtype it computes in, as conditions are; for Wan I2V 36 channels:
                latents, mask and image latents.
            timestep: `(B,)` in [0, 1000], float32 or whole numbers; Wan takes `(B, video tokens)` too (Wan2.2-TI2V).
            encoder_hidden_states: `(B, L, text_dim)`; what its rows are the base says.
            audio: `(B, 4F-3, K, audio_dim)` wav2vec hidden states, one per video frame.
            pose: `(B, keypoints, 4F-3, 4h, 4w)` heatmaps from `omnihuman.conditions.pose.render_heatmaps`.
            reference: `(B, C, R, h, w)` latents of reference images.
            motion: `(B, C, M, h, w)` latents of the frames before this segment (5 frames = 2 latents of a stride of 4). Like the reference
                they go through the base's patch embedding; where that is wider (I2V), their other channels are zero: no mask, no
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
        for after in self.through(tokens, packed, self.stacked_blocks):
            tokens = after
        output = self.unpatchify(tokens, temb, hidden_states.shape, packed.total)
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
        video, seen = math.prod(self.grid(hidden_states)), []
        for index, after in enumerate(self.through(tokens, packed, self.stacked_blocks[: max(at)]), start=1):
            if index in at:
                ranks = self.tokens_are_shared_by
                whole = join_slices(self.sequence_exit, after, packed.total, ranks) if parallel else after
                seen.append(front(whole, video))
        return seen

    @property
    def tokens_are_shared_by(self) -> int:
        """How many ranks work on one sample: 1 without context parallelism."""
        parallel = context_parallel(self._parallel_config)
        return 1 if parallel is None else parallel.ulysses_degree or 1

    def packed_pieces(
        self, hidden_states: Tensor, inputs: ConditionInputs
    ) -> tuple[list[Tensor], list[Tensor | None], list[Any], list[Tensor]]:
        """Motion and reference tokens, their masks and positions, as far as a sample is shown them; the tokens that none is shown."""
        pieces: list[Tensor] = []
        masks: list[Tensor | None] = []
        tables: list[Any] = []
        unseen: list[Tensor] = []
        packed_kinds = (
            (inputs.motion, MOTION, inputs.motion_mask),
            (inputs.reference, REFERENCE, inputs.reference_mask),
        )
        for latents, kind, mask in packed_kinds:
            if latents is None:
                continue
            embedded = self.embed_patches(self.widened(latents.to(hidden_states))).flatten(2).transpose(1, 2)
            embedded = self.placed(embedded, latents, kind, hidden_states) + self.token_types[kind].to(embedded)
            hidden = 0 if mask is None else int((mask == 0).count_nonzero())
            # Ranks that share a sequence have checked its length, which stays.
            if hidden == len(latents) and context_parallel(self._parallel_config) is None:
                unseen.append(embedded)
                continue
            pieces.append(embedded)
            masks.append(mask if hidden else None)
            tables.append(self.packed_tables(latents, kind, hidden_states))
        return pieces, masks, tables, unseen

    def embed_video(self, hidden_states: Tensor, inputs: ConditionInputs) -> Tensor:
        """`(B, N, dim)` tokens of the noisy latents, with the pose stacked on their channels."""
        tokens = self.embed_patches(hidden_states)
        if inputs.pose is not None:
            guided = self.pose_guider(inputs.pose.to(hidden_states))
            if inputs.pose_mask is not None:
                guided = guided * inputs.pose_mask.view(-1, 1, 1, 1, 1).to(guided)
            tokens = tokens + self.pose_patch_embedding(guided)
        return tokens.flatten(2).transpose(1, 2).contiguous()

    def check_conditions(self, frames: int, timestep: Tensor, inputs: ConditionInputs) -> None:
        """Refuse sizes that would broadcast or be cut in silence, and times that were rounded."""
        if timestep.dtype in (torch.bfloat16, torch.float16):
            raise InputError(f"timestep is {timestep.dtype}, in which neighbouring times are one: give it in float32")
        if frames > 1 and not self.takes_video:
            raise InputError(f"{type(self).__name__} is an image model: it takes 1 latent frame, got {frames}")
        width = self.text_width(self.config)
        if inputs.text.shape[-1] != width:
            raise InputError(
                f"text has {inputs.text.shape[-1]} numbers a row, and {type(self).__name__} takes {width}: it belongs to another text encoder"
            )
        audio, pose = inputs.audio, inputs.pose
        given = {"audio": None if audio is None else audio.shape[1], "pose": None if pose is None else pose.shape[2]}
        stride = self.temporal_stride
        wanted = 1 + stride * (frames - 1)
        for name, frames_given in given.items():
            if frames_given is not None and (frames_given - 1) % stride == 0 and frames_given != wanted:
                raise InputError(f"{name} has {frames_given} frames; {frames} latents are {wanted} frames")

    def widened(self, latents: Tensor) -> Tensor:
        """Zeros in the channels that only the video has (Wan I2V: mask and image latents)."""
        missing = self.config.in_channels - latents.shape[1]
        return F.pad(latents, (0, 0, 0, 0, 0, 0, 0, missing)) if missing > 0 else latents


def front(tokens: Tensor, count: int) -> Tensor:
    """The first tokens; all of them without a slice, whose backward pass would copy."""
    return tokens if tokens.shape[1] == count else tokens[:, :count]


def with_unseen(video: Tensor, unseen: Sequence[Tensor], still: Tensor) -> Tensor:
    """The video's tokens as they are; where a gradient is asked for, what nobody is shown takes part in them without weight.

    It is no part of the sequence, but on other ranks it may be shown, and gradients are waited for by module
    (docs/decisions/0009-same-conditions-on-every-rank.md).
    """
    if not unseen or not torch.is_grad_enabled():
        return video
    means = torch.stack([part.float().mean() for part in (*unseen, still)])
    return video + 0 * means.sum().to(video)


def shown_tokens(pieces: Sequence[Tensor], masks: Sequence[Tensor | None]) -> Tensor | None:
    """`(B, N)` bool: which tokens may be seen; None where every token of every sample may."""
    if all(mask is None for mask in masks):
        return None
    every = torch.ones(len(pieces[0]), dtype=torch.bool, device=pieces[0].device)
    shown = [
        (every if mask is None else mask.to(every))[:, None].expand(-1, piece.shape[1])
        for mask, piece in zip(masks, pieces, strict=True)
    ]
    return torch.cat(shown, dim=1)

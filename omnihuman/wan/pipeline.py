"""A whole plain Wan2.1 pipeline as one of ours: what can be sampled before anything is trained, and what training starts from."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler
from diffusers.utils import logging

from omnihuman.autoencoder import load_autoencoder
from omnihuman.bases.checkpoint import CheckpointError
from omnihuman.conditions.audio import AudioEncoder
from omnihuman.conditions.text import TextEncoder
from omnihuman.pipeline import OmniHumanPipeline
from omnihuman.saved_encoders import read_index
from omnihuman.transformer import OmniHumanTransformer3DModel

logger = logging.get_logger(__name__)
SCHEDULERS = {kind.__name__: kind for kind in (FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler)}
# What Wan2.1 samples with (its generate.py and diffusers' WanPipeline).
STEPS, GUIDANCE, TEXT_TOKENS = 50, 5.0, 512


def is_wan_pipeline(folder: Path) -> bool:
    """Whether a folder's model_index.json is that of diffusers' `WanPipeline`."""
    return read_index(folder).get("_class_name") == "WanPipeline"


def pipeline_from_wan(
    folder: str | Path,
    audio_encoder: str | Path,
    *,
    torch_dtype: torch.dtype | None = None,
    text_tokens: int = TEXT_TOKENS,
    **new_parts: Any,
) -> OmniHumanPipeline:
    """Wan's networks and sampler with OmniHuman's parts: sound and pose change nothing until they are trained, which is logged.

    Args:
        folder: of a `WanPipeline`, diffusers' layout, on this machine.
        audio_encoder: wav2vec 2.0, folder or hub id; its width and layers become the transformer's.
        torch_dtype: of transformer and text encoder; None keeps the transformer's own and takes float32 for the text.
        text_tokens: that prompts are padded to.
        new_parts: OmniHuman's own configuration (`pose_channels` and so on).

    Raises:
        FileNotFoundError, OSError: a part that is not there.
        CheckpointError: (a ValueError) no plain Wan2.1, or an incomplete one.
    """
    root = Path(folder)
    if not is_wan_pipeline(root):
        raise CheckpointError(
            f"{root} holds no model_index.json of a WanPipeline; give the folder of Wan-AI/Wan2.1-T2V-1.3B-Diffusers or -14B-Diffusers"
        )
    kind = json.loads((root / "scheduler" / "scheduler_config.json").read_text())["_class_name"]
    if kind not in SCHEDULERS:
        raise CheckpointError(
            f"{root / 'scheduler'} is a {kind}; {' and '.join(SCHEDULERS)} are what this pipeline samples with"
        )
    heard = AudioEncoder(audio_encoder)
    sound = heard.model
    transformer = OmniHumanTransformer3DModel.from_wan(
        root / "transformer",
        torch_dtype=torch_dtype,
        **{"audio_dim": sound.config.hidden_size, "audio_layers": sound.config.num_hidden_layers + 1} | new_parts,
    )
    logger.warning(f"{root} is Wan2.1 as it was published: sound and pose change nothing before they are trained")
    width = transformer.text_width(transformer.config)
    text = TextEncoder([root / "text_encoder"], text_tokens, width, torch_dtype or torch.float32)
    return OmniHumanPipeline(
        transformer.eval().requires_grad_(False),
        load_autoencoder(root / "vae"),
        text.models[0],
        text.tokenizers[0],
        sound,
        SCHEDULERS[kind].from_pretrained(str(root / "scheduler")),
        num_inference_steps=STEPS,
        text_tokens=text_tokens,
        guidance_scale=GUIDANCE,
        normalise_sound=heard.hearing.normalised,
        pose_keypoints=list(range(transformer.config.pose_keypoints)),
    )

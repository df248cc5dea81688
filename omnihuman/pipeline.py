"""`OmniHumanPipeline`: prompt, reference image, sound and keypoints in, video frames out."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from diffusers.utils import BaseOutput
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Wav2Vec2Model

from omnihuman.audio import AudioEncoder, encode_audio
from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder, to_frames, to_pixels, use_rsqrt_norm
from omnihuman.guidance import annealed_scale, guided_velocity
from omnihuman.pose import render_heatmaps
from omnihuman.text import TextEncoder, encode_text
from omnihuman.transformer import OmniHumanTransformer3DModel
from profiles import Profile, resolve_source


@dataclass
class OmniHumanOutput(BaseOutput):
    """`frames`: `(B, T, H, W, 3)` uint8, or normalised latents `(B, 16, F, h, w)` for `output_type="latents"`."""

    frames: Tensor


class OmniHumanPipeline(DiffusionPipeline):
    """Audio-driven (no keypoints) and pose-driven generation with a teacher or a one-step student.

    Example:
        >>> pipe = OmniHumanPipeline.from_pretrained("path/of/the/registered/model")
        >>> frames = pipe("A person talks", reference=image[None], audio=sound[None]).frames
    """

    model_cpu_offload_seq = "text_encoder->audio_encoder->transformer->vae"

    def __init__(
        self,
        transformer: OmniHumanTransformer3DModel,
        vae: AutoencoderKLWan,
        text_encoder: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        audio_encoder: Wav2Vec2Model,
        scheduler: FlowMatchEulerDiscreteScheduler,
        num_inference_steps: int = 20,
        fps: float = 16.0,
        text_tokens: int = 32,
        pose_keypoints: list[int] = [7, 8, 9, 10],  # noqa: B006 - diffusers reads this annotation; never changed
        guidance_scale: float = 1.0,
    ):
        super().__init__()
        self.register_modules(
            transformer=transformer, vae=use_rsqrt_norm(vae), text_encoder=text_encoder, tokenizer=tokenizer,
            audio_encoder=audio_encoder, scheduler=scheduler,
        )
        self.register_to_config(
            num_inference_steps=num_inference_steps, fps=fps, text_tokens=text_tokens,
            pose_keypoints=list(pose_keypoints), guidance_scale=guidance_scale,
        )
        self.set_progress_bar_config(disable=True)

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        reference: Tensor | None = None,
        audio: Tensor | None = None,
        keypoints: Tensor | None = None,
        num_frames: int = 17,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_scale_end: float | None = None,
        height: int | None = None,
        width: int | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        output_type: str = "frames",
    ) -> OmniHumanOutput:
        """Generate one clip per prompt.

        Args:
            prompt: captions.
            reference: `(B, H, W, 3)` uint8 images that give identity and size.
            audio: `(B, S)` float, 16 kHz.
            keypoints: `(B, T, 133, 3)` COCO-WholeBody x, y in pixels and confidence. Leave out for audio-driven.
            num_frames: 4n+1.
            num_inference_steps: default is the model's own: 1 for a distilled student.
            guidance_scale: on text and audio together; 1 samples without a second pass.
            guidance_scale_end: scale at the last step; default the same.
            height, width: needed without a reference; multiples of 16.
            generator: one for all, or one per clip, for repeatable noise.
            output_type: "frames" or "latents".

        Raises:
            ValueError: sizes that do not fit each other or the model's strides.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        height, width = _size(reference, height, width)
        if num_frames % 4 != 1:
            raise ValueError(f"num_frames is 4n+1 (the causal autoencoder), got {num_frames}")
        steps = num_inference_steps or self.config.num_inference_steps
        scale = self.config.guidance_scale if guidance_scale is None else guidance_scale
        end = scale if guidance_scale_end is None else guidance_scale_end
        conditions = self.encode_conditions(prompts, reference, audio, keypoints, num_frames, height, width)
        shape = (16, 1 + (num_frames - 1) // 4, height // 8, width // 8)
        latents = _noise(len(prompts), shape, generator).to(self.transformer.device)
        self.scheduler.set_timesteps(sigmas=torch.linspace(1.0, 0.0, steps + 1)[:-1].tolist())
        for index, timestep in enumerate(self.progress_bar(self.scheduler.timesteps)):
            time = timestep.expand(len(prompts)).to(latents)
            velocity = self._velocity(latents, time, conditions, annealed_scale(index, steps, scale, end))
            latents = self.scheduler.step(velocity, timestep, latents, return_dict=False)[0]
        if output_type == "latents":
            return OmniHumanOutput(frames=latents)
        return OmniHumanOutput(frames=to_frames(decode_video(self.vae, latents)))

    def encode_conditions(
        self, prompts: Sequence[str], reference: Tensor | None, audio: Tensor | None, keypoints: Tensor | None,
        frames: int, height: int, width: int,
    ) -> dict[str, Tensor]:
        """Keyword arguments for the transformer, beside latents and timestep."""
        dtype, device = self.transformer.dtype, self.transformer.device
        text = encode_text(self.text_encoder, self.tokenizer, prompts, self.config.text_tokens)
        conditions = {"encoder_hidden_states": text}
        if audio is not None:
            conditions["audio"] = encode_audio(self.audio_encoder, audio, frames, self.config.fps)
        if keypoints is not None:
            conditions["pose"] = render_heatmaps(keypoints, self.config.pose_keypoints, height // 8, width // 8)
        if reference is not None:
            conditions["reference"] = encode_video(self.vae, to_pixels(reference[:, None]))
        return {name: value.to(device, dtype) for name, value in conditions.items()}

    def _velocity(self, latents: Tensor, time: Tensor, conditions: dict[str, Tensor], scale: float) -> Tensor:
        inputs = latents.to(self.transformer.dtype)
        velocity = self.transformer(inputs, time, return_dict=False, **conditions)[0].float()
        if scale == 1.0:
            return velocity
        null = encode_text(self.text_encoder, self.tokenizer, [""] * len(latents), self.config.text_tokens)
        unconditional = {k: v for k, v in conditions.items() if k != "audio"}
        unconditional["encoder_hidden_states"] = null.to(inputs)
        return guided_velocity(
            velocity, self.transformer(inputs, time, return_dict=False, **unconditional)[0].float(), scale
        )


def _size(reference: Tensor | None, height: int | None, width: int | None) -> tuple[int, int]:
    if reference is not None:
        height, width = reference.shape[1:3]
    if height is None or width is None:
        raise ValueError("give a reference image, or height and width")
    if height % 16 or width % 16:
        raise ValueError(f"height and width are multiples of 16 (autoencoder 8, patch 2), got {height}x{width}")
    return height, width


def _noise(batch: int, shape: tuple[int, ...], generator: torch.Generator | Sequence[torch.Generator] | None) -> Tensor:
    if isinstance(generator, Sequence):
        if len(generator) != batch:
            raise ValueError(f"{len(generator)} generators for {batch} clips")
        return torch.stack([torch.randn(shape, generator=g) for g in generator])
    return torch.randn((batch, *shape), generator=generator)


def build_pipeline(profile: Profile, transformer: str | Path | OmniHumanTransformer3DModel, num_inference_steps: int) -> OmniHumanPipeline:
    """Join a checkpoint's transformer with the profile's frozen encoders.

    Args:
        profile: names the encoders.
        transformer: a diffusers folder (`config.json` beside the safetensors) or a model.
        num_inference_steps: what the pipeline samples with by default; 1 for a student.

    Raises:
        FileNotFoundError: the checkpoint folder does not exist.
    """
    if not isinstance(transformer, OmniHumanTransformer3DModel):
        transformer = load_transformer(transformer)
    text = TextEncoder(resolve_source(profile.encoders.text), profile.encoders.text_tokens)
    return OmniHumanPipeline(
        transformer=transformer.eval().requires_grad_(False),
        vae=load_autoencoder(resolve_source(profile.encoders.autoencoder)),
        text_encoder=text.model,
        tokenizer=text.tokenizer,
        audio_encoder=AudioEncoder(resolve_source(profile.encoders.audio)).model,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.0),
        num_inference_steps=num_inference_steps,
        fps=profile.video.fps,
        text_tokens=profile.encoders.text_tokens,
        pose_keypoints=list(profile.transformer.pose_keypoints),
        guidance_scale=1.0 if num_inference_steps == 1 else profile.evaluation.guidance_scale,
    )


def load_transformer(folder: str | Path) -> OmniHumanTransformer3DModel:
    """Read a checkpoint's transformer, safetensors only.

    Raises:
        FileNotFoundError: nothing there, with the asset that makes it.
    """
    path = Path(folder)
    if not (path / "config.json").is_file():
        raise FileNotFoundError(f"no transformer at {path}; materialise the asset that writes it (see `python -m assets --help`)")
    kind = json.loads((path / "config.json").read_text()).get("_class_name")
    if kind != "OmniHumanTransformer3DModel":
        raise ValueError(f"{path} holds a {kind}; OmniHumanTransformer3DModel.from_wan reads an official Wan2.1 one")
    return OmniHumanTransformer3DModel.from_pretrained(str(path), use_safetensors=True)

"""What a call of the pipeline costs beside its networks: against diffusers' `WanPipeline`, and a student's one step."""

from dataclasses import dataclass

import torch
from diffusers import WanPipeline, WanTransformer3DModel

from benchmarks.interleaved import Comparison, compare
from omnihuman.autoencoder import decode_video, encode_video, to_pixels
from omnihuman.conditions.audio import encode_audio
from omnihuman.conditions.text_of_bases import encode_text
from omnihuman.pipeline import OmniHumanPipeline, build_pipeline
from profiles import load_profile
from training.stages.model import build_transformer

PROMPT = "A person talks."


def against_wan(steps: int = 8) -> Comparison:
    """Our pipeline against `WanPipeline`, conditions off, from prompt to frames: same weights, encoders, sizes and steps.

    tests/omnihuman/test_wan_pipeline.py shows that both make the same latents.
    """
    ours = _pipeline(steps)
    config = {
        key: ours.transformer.config[key]
        for key in ("num_attention_heads", "attention_head_dim", "text_dim", "ffn_dim", "num_layers")
    }
    wan = WanTransformer3DModel(**config).eval().requires_grad_(False)
    wan.load_state_dict(
        {name: value for name, value in ours.transformer.state_dict().items() if name in wan.state_dict()}
    )
    theirs = WanPipeline(ours.tokenizer, ours.text_encoder, ours.vae, ours.scheduler, transformer=wan)
    theirs.set_progress_bar_config(disable=True)
    sizes = {"height": 64, "width": 64, "num_frames": 17, "num_inference_steps": steps, "output_type": "np"}
    return compare(
        lambda: _afresh(ours)(PROMPT, guidance_scale=1.0, **sizes),
        lambda: theirs(PROMPT, guidance_scale=1.0, max_sequence_length=ours.config.text_tokens, **sizes),
        rounds=15,
    )


@dataclass(frozen=True)
class OneStep:
    """A student's whole call beside one forward and one decode: `again` with picture, prompt and sound whose encodings the pipeline keeps,
    `first` with ones that are new to it, `encoded` the same where the other side runs the three encoders too."""

    again: Comparison
    first: Comparison
    encoded: Comparison


def one_step(side: int = 64, rounds: int = 25) -> OneStep:
    """A student's call, picture and sound to frames of `side` x `side`, against its transformer once and its decoder once."""
    pipeline, frames = _pipeline(1), 17
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 255, (1, side, side, 3), dtype=torch.uint8, generator=generator)
    sound = torch.randn(1, 17_000, generator=generator) * 0.1
    given = pipeline.encode_conditions([PROMPT], image, sound, {}, frames, side, side)
    noise, time = torch.randn(1, 16, 5, side // 8, side // 8, generator=generator), torch.full((1,), 1000.0)

    @torch.no_grad()
    def networks() -> None:
        decode_video(pipeline.vae, noise - pipeline.transformer(noise, time, return_dict=False, **given)[0])

    def encoders_and_networks() -> None:
        encode_text(pipeline.text_encoders, pipeline.tokenizers, [PROMPT], pipeline.config.text_tokens)
        encode_video(pipeline.vae, to_pixels(image[:, None]))
        encode_audio(pipeline.audio_encoder, sound, frames, pipeline.config.fps)
        networks()

    def first() -> None:
        _afresh(pipeline)([PROMPT], image, sound)

    again = compare(lambda: pipeline([PROMPT], image, sound), networks, rounds)
    return OneStep(again, compare(first, networks, rounds), compare(first, encoders_and_networks, rounds))


def _afresh(pipeline: OmniHumanPipeline) -> OmniHumanPipeline:
    """The same pipeline, which has seen nothing yet."""
    pipeline.encoding_cache.clear()
    return pipeline


def _pipeline(steps: int) -> OmniHumanPipeline:
    profile = load_profile("laptop")
    return build_pipeline(profile, build_transformer(profile, None, 0), steps)


def comparisons() -> dict[str, Comparison]:
    """For `python -m benchmarks`, by what it prints."""
    wan, step, larger = against_wan(), one_step(), one_step(256, rounds=5)
    return {
        "pipeline, conditions off / diffusers' WanPipeline, 8 steps": wan,
        "one-step call / one forward and one decode, sound, picture and prompt known": step.again,
        "  all three new to it": step.first,
        "  all three new, and encoded on the other side too": step.encoded,
        "  known, 256 x 256 pixels": larger.again,
    }

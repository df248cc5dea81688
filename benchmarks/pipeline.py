"""What a call of the pipeline costs beside its networks: against diffusers' `WanPipeline`, and a student's one step."""

import time
from dataclasses import dataclass

import torch
from diffusers import WanPipeline, WanTransformer3DModel

from benchmarks.interleaved import Comparison, compare
from omnihuman.autoencoder import decode_video
from omnihuman.pipeline import OmniHumanPipeline, build_pipeline
from profiles import load_profile
from training.model import build_transformer

PROMPT = "A person talks."


def against_wan(steps: int = 8) -> Comparison:
    """Our pipeline against `WanPipeline`, conditions off, from prompt to frames: same weights, encoders, sizes and steps.

    tests/omnihuman/test_wan_pipeline.py shows that both make the same latents.
    """
    ours = _pipeline(steps)
    config = {key: ours.transformer.config[key] for key in ("num_attention_heads", "attention_head_dim", "text_dim", "ffn_dim", "num_layers")}
    wan = WanTransformer3DModel(**config).eval().requires_grad_(False)
    wan.load_state_dict({name: value for name, value in ours.transformer.state_dict().items() if name in wan.state_dict()})
    theirs = WanPipeline(ours.tokenizer, ours.text_encoder, ours.vae, ours.scheduler, transformer=wan)
    theirs.set_progress_bar_config(disable=True)
    sizes = {"height": 64, "width": 64, "num_frames": 17, "num_inference_steps": steps, "output_type": "np"}
    return compare(
        lambda: _afresh(ours)(PROMPT, guidance_scale=1.0, **sizes),
        lambda: theirs(PROMPT, guidance_scale=1.0, max_sequence_length=ours.config.text_tokens, **sizes), rounds=15,
    )


@dataclass(frozen=True)
class OneStep:
    """A student's whole call beside one forward and one decode: `first` with picture, prompt and sound that are new to it, `again` with
    the same ones, whose encodings the pipeline keeps. `encoders` are fastest seconds of text, reference and audio."""

    first: Comparison
    again: Comparison
    encoders: dict[str, float]


def one_step(batch: int = 1) -> OneStep:
    """A student's call, picture and sound to frames, against its transformer once and its decoder once."""
    pipeline = _pipeline(1)
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 255, (batch, 64, 64, 3), dtype=torch.uint8, generator=generator)
    sound = torch.randn(batch, 17_000, generator=generator) * 0.1
    given = pipeline.encode_conditions([PROMPT] * batch, image, sound, None, 17, 64, 64)
    noise, time_ = torch.randn(batch, 16, 5, 8, 8, generator=generator), torch.full((batch,), 1000.0)

    @torch.no_grad()
    def networks() -> None:
        decode_video(pipeline.vae, noise - pipeline.transformer(noise, time_, return_dict=False, **given)[0])

    first = compare(lambda: _afresh(pipeline)([PROMPT] * batch, image, sound), networks, rounds=25)
    again = compare(lambda: pipeline([PROMPT] * batch, image, sound), networks, rounds=25)
    parts = {
        "text and reference": lambda: _afresh(pipeline).encode_person([PROMPT] * batch, image),
        "audio": lambda: _afresh(pipeline).encode_movement(sound, None, 17, 64, 64),
    }
    return OneStep(first, again, {name: _fastest(call) for name, call in parts.items()})


def _afresh(pipeline: OmniHumanPipeline) -> OmniHumanPipeline:
    """The same pipeline, which has seen nothing yet."""
    pipeline.encoding_cache.clear()
    return pipeline


def _fastest(call, rounds: int = 15) -> float:
    best = float("inf")
    with torch.no_grad():
        for _ in range(rounds):
            started = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - started)
    return best


def _pipeline(steps: int) -> OmniHumanPipeline:
    profile = load_profile("laptop")
    return build_pipeline(profile, build_transformer(profile, None, 0), steps)


def lines() -> list[str]:
    """For `python -m benchmarks`."""
    wan, step = against_wan(), one_step()
    encoders = ", ".join(f"{name} {seconds * 1e3:.0f} ms" for name, seconds in step.encoders.items())
    return [
        f"pipeline, conditions off / diffusers' WanPipeline, 8 steps:  {wan.ratio:.3f}  ({wan.ours * 1e3:.0f} / {wan.theirs * 1e3:.0f} ms)",
        f"one-step call / one forward and one decode, first call:      {step.first.ratio:.3f}  ({step.first.ours * 1e3:.0f} / {step.first.theirs * 1e3:.0f} ms; {encoders})",
        f"  again with the same picture, prompt and sound:             {step.again.ratio:.3f}  ({step.again.ours * 1e3:.0f} / {step.again.theirs * 1e3:.0f} ms)",
    ]

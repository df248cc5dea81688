"""FLOPs of one forward pass of a transformer, by the trace that plans go by: what a training's utilisation counts."""

import json
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

import torch

from omnihuman.bases.registry import DEFAULT, base_named
from training.plan.trace import trace, without_bytes


def forward_flops(
    config: Mapping[str, Any],
    latents: tuple[int, ...],
    text: int,
    packed: Mapping[str, int],
    given: Collection[str],
    architecture: str = DEFAULT,
) -> float:
    """Of one sample, multiplications and additions.

    Args:
        config: the transformer's.
        latents: C, F, h, w.
        text: rows.
        packed: latent frames beside the video's, by name: `reference`, `motion`.
        given: the conditions that the model is given, of these two and `audio` and `pose`.
        architecture: of the transformer, see `omnihuman.bases.registry`.
    """
    plain = {key: value for key, value in config.items() if not key.startswith("_")}
    beside = tuple(sorted((name, count) for name, count in packed.items() if name in given))
    return _traced(architecture, json.dumps(plain), latents, text, beside, "audio" in given, "pose" in given)


@cache
def _traced(
    architecture: str,
    config: str,
    latents: tuple[int, ...],
    text: int,
    packed: tuple[tuple[str, int], ...],
    audio: bool,
    pose: bool,
) -> float:
    """From models of one and two blocks of each kind, for all blocks of a kind with sound are equal, and all without."""
    model, kind = json.loads(config), base_named(architecture).load()
    (channels, frames, height, width) = latents
    seen = 1 + model.get("temporal_stride", 4) * (frames - 1)
    shapes = {"hidden_states": latents, "encoder_hidden_states": (text, kind.text_width(model))}
    shapes |= {name: (channels, count, height, width) for name, count in packed}
    shapes |= {"audio": (seen, model["audio_layers"], model["audio_dim"])} if audio else {}
    shapes |= {"pose": (model["pose_keypoints"], seen, 4 * height, 4 * width)} if pose else {}

    def of(blocks: dict[str, int], heard: tuple[int, ...] | None) -> float:
        cut = kind(**model | blocks | {"audio_blocks": heard}).eval()
        inputs = {name: torch.empty((1, *shape)) for name, shape in shapes.items()}
        with torch.no_grad():
            return trace(lambda: cut(timestep=torch.empty(1), **inputs), [cut]).all_flops

    with without_bytes():
        if not kind.kinds:
            return of({}, model["audio_blocks"])
        least = {name: int(number == 0) for number, name in enumerate(kind.kinds)}
        one, listening = of(least, ()), of(least, (0,))
        blocks = sum(
            (model[name] - least[name]) * (of(least | {name: least[name] + 1}, ()) - one) for name in kind.kinds
        )
    layers = sum(model[name] for name in kind.kinds)
    heard = layers if model["audio_blocks"] is None else len(model["audio_blocks"])
    return one + blocks + heard * (listening - one)

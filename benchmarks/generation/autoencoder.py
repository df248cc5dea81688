"""The shipped autoencoder: frames per second encoded and decoded, and the norm's share."""

import time

import torch

from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder
from profiles import resolve_source


def frames_per_second(clips: int = 16, rounds: int = 3) -> dict[str, float]:
    """Best of `rounds` on 17-frame clips of 64 x 64."""
    autoencoder = load_autoencoder(resolve_source("profile:laptop/autoencoder"))
    pixels = torch.rand(clips, 3, 17, 64, 64) * 2 - 1
    best = {"encode": float("inf"), "decode": float("inf")}
    for _ in range(rounds):
        started = time.perf_counter()
        latents = encode_video(autoencoder, pixels)
        middle = time.perf_counter()
        decode_video(autoencoder, latents)
        best["encode"] = min(best["encode"], middle - started)
        best["decode"] = min(best["decode"], time.perf_counter() - middle)
    return {name: clips * 17 / seconds for name, seconds in best.items()}

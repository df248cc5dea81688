"""Does an autoencoder draw the tenth second as it draws the first: `python -m benchmarks.generation.long_decoding [profile:NAME/autoencoder]`.

True latents of rendered puppets: each window of 17 frames is encoded by itself, as trainings see it, so nothing but decoding can differ along a video. "alone" decodes
each window as a video of its own, "in a row" all latents as one video, as a stream does; "after the four before" each latent at the end of a video of five.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics.sharpness import high_frequency_energy
from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder, to_frames, to_pixels
from profiles import resolve_source
from puppets import render

SEED = 90_000_001
WINDOW = 17  # frames; five latents


def decoded(autoencoder: torch.nn.Module, windows: list[Tensor]) -> Iterator[tuple[str, np.ndarray]]:
    """Each way and its `(B, T, H, W, 3)` uint8 frames, of `(B, C, 5, h, w)` latents of windows that share a frame."""
    alone = [to_frames(decode_video(autoencoder, latents)).numpy() for latents in windows]
    yield "alone", np.concatenate([alone[0], *(frames[:, 1:] for frames in alone[1:])], axis=1)
    row = torch.cat([windows[0], *(latents[:, :, 1:] for latents in windows[1:])], dim=2)
    yield "in a row", to_frames(decode_video(autoencoder, row)).numpy()
    parts = [alone[0]]
    for latent in range(5, row.shape[2]):
        parts.append(to_frames(decode_video(autoencoder, row[:, :, latent - 4 : latent + 1])).numpy()[:, -4:])
    yield "after the four before", np.concatenate(parts, axis=1)


def main() -> None:
    """Print a row for each way and each window."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("autoencoder", nargs="?", default="profile:laptop/autoencoder")
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--windows", type=int, default=6)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    autoencoder = load_autoencoder(resolve_source(arguments.autoencoder))
    starts = range(0, arguments.windows * (WINDOW - 1), WINDOW - 1)
    people = [render(SEED + clip, frames=starts[-1] + WINDOW) for clip in range(arguments.clips)]
    truth = np.stack([person.frames for person in people])
    windows = [encode_video(autoencoder, to_pixels(torch.from_numpy(truth[:, s : s + WINDOW]))) for s in starts]
    print("| decoded | window | |mean colour - truth's|, of 1 | |pixel - truth's|, of 1 | detail / truth |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for way, frames in decoded(autoencoder, windows):
        for number, start in enumerate(starts):
            part = slice(start + 1, start + WINDOW)
            difference = (frames[:, part].astype(np.float32) - truth[:, part]) / 255
            colour = np.abs(difference.mean(axis=(1, 2, 3))).mean()
            detail = high_frequency_energy(frames[:, part]).sum() / high_frequency_energy(truth[:, part]).sum()
            print(f"| {way} | {number + 1} | {colour:.4f} | {np.abs(difference).mean():.4f} | {detail:.2f} |")


if __name__ == "__main__":
    main()

"""Does an autoencoder draw the tenth second as it draws the first: `python -m benchmarks.generation.long_decoding [profile:NAME/autoencoder]`.

True latents of rendered puppets: each window of 17 frames is encoded by itself, as trainings see it, so nothing but decoding can differ along a video. "alone" decodes
each window as a video of its own, "in a row" all latents as one video, as a stream does; "after the four before" each latent at the end of a video of five.
"encoded whole" decodes in a row what the encoder makes of the whole video. A line before the table says how far a window's last latent, and its others, are from those:
each latent of a streaming student stands where a window's last stood in training. The last column is the change from a latent's last frame to the next one's first beside
that inside latents: more of it than in the drawn pictures, whose row is the first, is a seam of the decoder's.
"""

import argparse
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from evaluation.metrics.sharpness import high_frequency_energy
from evaluation.questions.streaming_student import latent_changes
from omnihuman.autoencoder import LatentGrid, decode_video, encode_video, load_autoencoder, to_frames, to_pixels
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


def shown(windows: int) -> Iterator[tuple[str, range]]:
    """The first two by themselves, those until the sixth, and, of more than six, the last quarter of all."""
    yield from ((str(number + 1), range(number, number + 1)) for number in range(min(2, windows)))
    if windows > 2:
        yield f"3 to {min(6, windows)}", range(2, min(6, windows))
    if windows > 6:
        yield "last quarter", range(windows - windows // 4, windows)


def distances(autoencoder: torch.nn.Module, pixels: Tensor, whole: Tensor) -> dict[str, float]:
    """Root mean square distance, from latents of the whole video, of those that windows have which begin after it: their last, and those between."""
    last, between = [], []
    for latent in range(5, whole.shape[2]):
        encoded = (
            encode_video(autoencoder, pixels[:, :, 4 * latent - 16 : 4 * latent + 1])
            - whole[:, :, latent - 4 : latent + 1]
        )
        last.append(encoded[:, :, 4].float().square().mean())
        between.append(encoded[:, :, 1:4].float().square().mean())
    return {name: float(torch.stack(part).mean().sqrt()) for name, part in (("last", last), ("between", between))}


def main() -> None:
    """Print a row for each way and part of the video."""
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
    pixels = to_pixels(torch.from_numpy(truth))
    windows = [encode_video(autoencoder, pixels[:, :, s : s + WINDOW]) for s in starts]
    encoded = encode_video(autoencoder, pixels)
    whole = to_frames(decode_video(autoencoder, encoded)).numpy()
    if arguments.windows > 2:
        apart = distances(autoencoder, pixels[:, :, :41], encoded[:, :, :11])
        print(
            f"latents of windows against those of the video encoded whole, rms of values whose standard deviation is {encoded.float().std():.2f}: "
            f"a window's last {apart['last']:.3f}, its second to fourth {apart['between']:.3f}\n"
        )
    print(
        "| decoded | window | |mean colour - truth's|, of 1 | |pixel - truth's|, of 1 | detail / truth | change between / within latents |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    stride = LatentGrid.of(autoencoder).temporal_stride
    for way, frames in (("as drawn", truth), *decoded(autoencoder, windows), ("in a row, encoded whole", whole)):
        for number, those in shown(arguments.windows):
            part = slice(starts[those[0]] + 1, starts[those[-1]] + WINDOW)
            difference = (frames[:, part].astype(np.float32) - truth[:, part]) / 255
            colour = np.abs(difference.reshape(len(frames), len(those), WINDOW - 1, -1, 3).mean(axis=(2, 3))).mean()
            detail = high_frequency_energy(frames[:, part]).sum() / high_frequency_energy(truth[:, part]).sum()
            between, within = latent_changes(frames[:, starts[those[0]] : part.stop], stride)
            changes = f"{between:.4f} / {within:.4f}, {between / within:.2f}"
            print(
                f"| {way} | {number} | {colour:.4f} | {np.abs(difference).mean():.4f} | {detail:.2f} | {changes} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

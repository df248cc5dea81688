"""Sound and pose of single latents: what of them a latent may know, and no more."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from omnihuman.errors import InputError

BEFORE = 2  # latents whose frames of sound are at hand before a latent's own


def first_frame_heard(latent: int, stride: int = 4) -> int:
    """Number of the video frame with which the sound of a latent begins, as `audio_of_latents` takes it; `stride` is frames of a latent."""
    return stride * max(0, latent - BEFORE)


def audio_of_latents(projection: nn.Module, states: Tensor, start: int, count: int, lookahead: int) -> Tensor:
    """Audio tokens `(B, count, s, dim)`, s the temporal stride, of latents `start` and on, none of which knows sound past its last frame and the lookahead.

    The projection joins neighbouring frames; where those after a latent are not heard yet, its last one that is stands for them, as
    at a video's end.

    Args:
        projection: the transformer's.
        states: `(B, T, K, D)` of video frames from `first_frame_heard(start)` on. Frames past the last latent and its lookahead are left out.
        start, count: which latents.
        lookahead: video frames.

    Raises:
        InputError: sound that ends before the last latent, or a projection that looks at more frames than are at hand.
    """
    stride, wide = int(projection.temporal_stride), int(projection.window)  # type: ignore[arg-type]
    first, most = first_frame_heard(start, stride), BEFORE * stride - stride + 1
    if wide > most:
        raise InputError(
            f"audio_window is {wide} frames; a causal pass keeps the sound of {BEFORE} latents, {most} frames"
        )
    last = stride * (start + count - 1)
    if states.shape[1] < last + 1 - first:
        raise InputError(
            f"latent {start + count - 1} ends with video frame {last}; the sound given ends with {first + states.shape[1] - 1}"
        )
    pieces = []
    for latent in range(start, start + count):
        begin = first_frame_heard(latent, stride)
        end = min(stride * latent + 1 + min(lookahead, wide), first + states.shape[1])
        known = states[:, begin - first : end - first]
        missing = -(known.shape[1] - 1) % stride
        known = torch.cat([known, known[:, -1:].expand(-1, missing, -1, -1)], dim=1) if missing else known
        pieces.append((known, latent - begin // stride))
    return torch.cat(_in_one_call(projection, pieces), dim=1)


def _in_one_call(projection: Callable[[Tensor], Tensor], pieces: list[tuple[Tensor, int]]) -> list[Tensor]:
    """The tokens of one latent of each piece; pieces of the same length go through the projection together."""
    made: dict[int, Tensor] = {}
    for length in {piece.shape[1] for piece, _ in pieces}:
        which = [i for i, (piece, _) in enumerate(pieces) if piece.shape[1] == length]
        tokens = projection(torch.cat([pieces[i][0] for i in which])).chunk(len(which))
        made |= {i: part[:, pieces[i][1]][:, None] for i, part in zip(which, tokens, strict=True)}
    return [made[i] for i in range(len(pieces))]


def pose_of_latents(guider: Callable[[Tensor], Tensor], heatmaps: Tensor) -> Tensor:
    """`(B, channels, n, h, w)` of n latents, from heatmaps of one latent more on either side.

    A latent's guidance joins that of the latents before and after it, so a pose is known one latent ahead.

    Args:
        guider: the transformer's.
        heatmaps: `(B, K, s (n + 2), 4h, 4w)`, s the temporal stride, of the frames that `frames_around` names.
    """
    # The guider takes sn+1 frames, of which the first is a latent by itself: one that nobody reads.
    whole = guider(torch.cat([heatmaps[:, :, :1], heatmaps], dim=2))
    return whole[:, :, 2:-1]


def frames_around(start: int, count: int, last: int, stride: int = 4) -> list[int]:
    """Video frames, four each (`stride`), of the latents from the one before latent `start` to the one after the last of `count`.

    Of latent 0, which is one frame, that one four times. Before the beginning latent 0 stands again, and after the end latent `last`.
    """
    around = [min(max(latent, 0), last) for latent in range(start - 1, start + count + 1)]
    ends = [(latent, stride * latent + 1) for latent in around]
    return [frame for latent, end in ends for frame in ([0] * stride if latent == 0 else range(end - stride, end))]

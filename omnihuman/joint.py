"""The joint of two segments of a long video: pictures that go over from one to the other without a change of sharpness.

A mean of two pictures is softer than either where they differ, which shows as a pulse at every joint. So a mixed frame's detail is
brought back to what it was. Detail is the upper half of a picture's spatial spectrum, which is what the metric of sharpness sums
(evaluation/metrics/sharpness.py).
"""

import torch
from torch import Tensor

CUTOFF = 0.25  # cycles per pixel, half of Nyquist
LUMA = (0.299, 0.587, 0.114)
NO_DETAIL = 1e-6
MOST = 0.05  # by which levelling changes a frame's detail


def dissolve(old: Tensor, new: Tensor, stride: int = 4) -> Tensor:
    """`new` `(B, 3, T, H, W)` of latents of `stride` frames, levelled, with its first frames mixed with `old` `(B, 3, n, H, W)`, n = 4k+1; n = 0 leaves it as it is."""
    return mix(old, level(new, stride)) if old.shape[2] else new


def mix(old: Tensor, new: Tensor) -> Tensor:
    """`dissolve` without levelling, of at least one frame.

    Frame i of n is `new` by i / n: in n equal steps from the old, whose decoder has long begun, to the first frame that is new alone. Its
    detail is the old frame's, which goes over in the same steps to as much more or less as the new segment has of the same frames. The first
    frame is not compared: it is the old one, and a causal decoder draws a segment's first softer than what follows
    (docs/results/2026-11-29-joints-of-long-videos.md).
    """
    shared = old.shape[2]
    weight = (torch.arange(shared, device=new.device) / shared).view(1, 1, -1, 1, 1)
    first, second = old.to(new.device).float(), new[:, :, :shared].float()
    own, other = _strength(first), _strength(second)
    compared = slice(1 if shared > 1 else 0, None)
    change = other[:, :, compared].mean(dim=2, keepdim=True) / own[:, :, compared].mean(dim=2, keepdim=True)
    mixed = _with_strength(first.lerp(second, weight), own * (1 + weight * (change - 1)))
    return torch.cat([mixed.to(new.dtype), new[:, :, shared:]], dim=2)


def level(pictures: Tensor, stride: int = 4) -> Tensor:
    """A segment as it was decoded, `(B, 3, 4k+1, H, W)`, without the ripple of a latent's period of `stride` frames.

    The decoder makes four frames of a latent and draws some of the four softer than others, whatever they show. So the detail of each of the
    places is brought to the mean of all, as it is over the segment's latents, by at most `MOST`; what changes otherwise stays. The
    first frame, which is a latent by itself, is left.
    """
    frames = [
        frame.float() for frame in pictures[:, :, 1:].split(1, dim=2)
    ]  # one by one: all spectra need not fit in memory
    places = torch.cat([_rms(_luma_detail(frame)) for frame in frames], dim=2).unflatten(2, (-1, stride)).mean(dim=2)
    factor = (places.mean(dim=2, keepdim=True) / places).clamp(1 - MOST, 1 + MOST)
    levelled = [
        (frame + _detail(frame) * (factor[:, :, [number % stride]] - 1)).to(pictures.dtype)
        for number, frame in enumerate(frames)
    ]
    return torch.cat([pictures[:, :, :1], *levelled], dim=2)


def _with_strength(pictures: Tensor, strength: Tensor) -> Tensor:
    """`(B, 3, T, H, W)` whose detail has this strength `(B, 1, T, 1, 1)`."""
    return pictures + _detail(pictures) * (strength / _strength(pictures) - 1)


def _strength(pictures: Tensor) -> Tensor:
    """`(B, 1, T, 1, 1)`: root mean square of each picture's luma detail, less of it towards the border, as the metric weighs it."""
    height, width = pictures.shape[-2:]
    window = torch.outer(_hann(height), _hann(width)).to(pictures.device)
    return _rms(_luma_detail(pictures) * window)


def _hann(size: int) -> Tensor:
    return torch.hann_window(size, periodic=False)


def _rms(detail: Tensor) -> Tensor:
    return detail.square().mean(dim=(1, 3, 4), keepdim=True).sqrt().clamp_min(NO_DETAIL)


def _luma_detail(pictures: Tensor) -> Tensor:
    return _detail((pictures * pictures.new_tensor(LUMA).view(1, 3, 1, 1, 1)).sum(dim=1, keepdim=True))


def _detail(pictures: Tensor) -> Tensor:
    """What lies above the cutoff in `(..., H, W)`, each picture beside its mirror images, so that its border is no edge."""
    height, width = pictures.shape[-2:]
    wide = torch.cat([pictures, pictures.flip(-1)], dim=-1)
    tiled = torch.cat([wide, wide.flip(-2)], dim=-2)
    radius = torch.hypot(torch.fft.fftfreq(2 * height)[:, None], torch.fft.rfftfreq(2 * width)[None])
    spectrum = torch.fft.rfft2(tiled) * (radius > CUTOFF).to(pictures.device)
    return torch.fft.irfft2(spectrum, s=(2 * height, 2 * width))[..., :height, :width]

"""The joint of two segments: equal steps from one to the other, and no frame that is softer or sharper for it."""

import numpy as np
import torch

from evaluation.metrics.sharpness import high_frequency_energy
from omnihuman.autoencoder import to_frames
from omnihuman.joint import dissolve, level


def test_a_dissolve_goes_from_the_old_to_the_new_in_equal_steps():
    old, new = (
        torch.full((1, 3, 5, 2, 2), -1.0, dtype=torch.bfloat16),
        torch.full((1, 3, 9, 2, 2), 0.5, dtype=torch.bfloat16),
    )
    found = dissolve(old, new)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(
        found[0, 0, :, 0, 0].float(), torch.tensor([-1.0, -0.7, -0.4, -0.1, 0.2, *[0.5] * 4]), atol=0.005, rtol=0
    )
    assert torch.equal(dissolve(old[:, :, :0], new), new)


def test_a_dissolve_keeps_detail_where_the_segments_differ_and_where_the_decoder_begins_soft():
    old, new = (torch.randn(2, 3, count, 32, 32, generator=torch.Generator().manual_seed(count)) for count in (5, 9))
    new[:, :, 0] *= 0.9  # as a causal decoder's first frame
    detail = (dissolve(old, new).diff(dim=-1)).square().mean(dim=(0, 1, 3, 4)).sqrt()
    assert detail.std() / detail.mean() < 0.02
    plain = (
        old.lerp(new[:, :, :5], torch.arange(5).view(1, 1, -1, 1, 1) / 5)
        .diff(dim=-1)
        .square()
        .mean(dim=(0, 1, 3, 4))
        .sqrt()
    )
    assert plain.min() / plain.max() < 0.8
    still = old[:, :, :1].expand(-1, -1, 9, -1, -1)
    torch.testing.assert_close(dissolve(still[:, :, :5], still), still)


def test_a_dissolve_is_as_sharp_as_a_whole_new_latent_not_as_its_first_frame():
    """A decoder makes two frames of one and draws one of them softer."""
    noise = torch.randn(2, 3, 1, 32, 32, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 17, -1, -1)
    alternating = noise * (1 - 0.1 * (torch.arange(17) % 2)).view(1, 1, -1, 1, 1)
    found = dissolve(noise[:, :, 12:] * 0.95, alternating)[:, :, :5].diff(dim=-1).square().mean(dim=(0, 1, 3, 4)).sqrt()
    torch.testing.assert_close(found / found.mean(), torch.ones(5), atol=0.005, rtol=0)


def test_a_mixed_frame_has_its_own_detail_as_the_benchmark_measures_it():
    """The old segment's frames go up and down by 4 %, and the new one is sharper by 6 %; neither is a frame's own that the joint may change."""
    generator = torch.Generator().manual_seed(0)
    old, new = (torch.randn(8, 3, count, 64, 64, generator=generator) * 0.1 for count in (5, 17))
    own = torch.tensor([1.0, 0.96, 1.0, 0.96, 1.0])
    old, new = old * own.view(1, 1, -1, 1, 1), new * 1.06
    new[:, :, 0] *= 0.8
    wanted = own * (1 + torch.arange(5) / 5 * (1.06 / own[1:].mean() - 1))
    torch.testing.assert_close(
        sharpness(dissolve(old, new)[:, :, :5]), sharpness(old) / own * wanted, atol=0, rtol=0.01
    )


def test_levelling_takes_away_a_latents_ripple_and_leaves_what_the_pictures_show():
    """Of four frames one is drawn softer by 4 %; and from the ninth frame on all are softer by 20 %, as pictures may be."""
    noise = torch.randn(8, 3, 1, 64, 64, generator=torch.Generator().manual_seed(0)).expand(-1, -1, 17, -1, -1) * 0.1
    shown = torch.tensor([1.0] * 9 + [0.8] * 8)
    ripple = torch.tensor([1.0, *[0.96, 1.0, 1.0, 1.0] * 4])
    levelled = level(noise * (shown * ripple).view(1, 1, -1, 1, 1))
    wanted = shown * torch.tensor([1.0, *[0.99] * 16])
    found = sharpness(levelled)
    torch.testing.assert_close(found / found[0], wanted, atol=0, rtol=0.005)
    flat = torch.zeros(1, 3, 9, 21, 14)
    assert torch.equal(level(flat), flat)


def test_a_joint_of_one_frame_is_the_old_segments():
    old, new = (torch.rand(1, 3, count, 16, 16, generator=torch.Generator().manual_seed(count)) for count in (1, 5))
    torch.testing.assert_close(dissolve(old, new)[:, :, :1], old)


def test_a_joint_of_flat_pictures_and_odd_sizes_is_finite():
    old, new = torch.zeros(1, 3, 5, 21, 14), torch.rand(1, 3, 9, 21, 14, generator=torch.Generator().manual_seed(0))
    assert dissolve(old, new).isfinite().all() and dissolve(new[:, :, :5], old).isfinite().all()


def sharpness(pictures):
    """`(T,)`, a mean over pictures in [-1, 1], of the metric's energy."""
    frames = to_frames(pictures).numpy()
    energy = np.stack([high_frequency_energy(clip[:, None]) for clip in frames])
    return torch.from_numpy(np.sqrt(energy).mean(axis=0)).float()

"""Conditions: what reaches which latent, where a heatmap peaks, when a sound is heard."""

import pytest
import torch

from omnihuman.conditions.audio import resample_states
from omnihuman.conditions.pose import FINE, PoseGuider, render_heatmaps
from omnihuman.guidance import annealed_scale, guided_velocity
from omnihuman.latents import fold_frames_into_latents


def test_frame_0_fills_latent_0_and_frames_4k_minus_3_to_4k_latent_k():
    folded = fold_frames_into_latents(torch.arange(9), dim=0)
    assert folded.tolist() == [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]


def test_folding_refuses_other_frame_counts():
    with pytest.raises(ValueError, match=r"4n\+1"):
        fold_frames_into_latents(torch.zeros(8), dim=0)


def test_a_heatmap_peaks_at_its_keypoint_and_its_centre_of_mass_is_the_position():
    keypoints = torch.zeros(1, 1, 133, 3)
    keypoints[0, 0, 9] = torch.tensor([37.3, 21.8, 1.0])
    heat = render_heatmaps(keypoints, [9], 8, 8)[0, 0, 0]
    rows, columns = torch.meshgrid(torch.arange(8 * FINE), torch.arange(8 * FINE), indexing="ij")
    cell = 8 / FINE
    x = ((columns + 0.5) * cell * heat).sum() / heat.sum() - 0.5
    y = ((rows + 0.5) * cell * heat).sum() / heat.sum() - 0.5
    assert x.item() == pytest.approx(37.3, abs=0.1) and y.item() == pytest.approx(21.8, abs=0.1)


def test_an_unsure_keypoint_leaves_its_map_empty():
    keypoints = torch.full((1, 1, 133, 3), 20.0)
    keypoints[..., 2] = 0.4
    assert render_heatmaps(keypoints, [9], 8, 8).abs().max() == 0


def test_pose_of_a_frame_reaches_its_latent_and_the_adjacent_ones():
    guider = PoseGuider(2, 4)
    base = torch.rand(1, 2, 13, 4 * FINE, 4 * FINE)
    changed = base.clone()
    changed[:, :, 6] += 1
    moved = (guider(base) - guider(changed)).abs().amax(dim=(0, 1, 3, 4)) > 1e-7
    assert moved.tolist() == [False, True, True, True]


def test_resampling_reads_each_frames_centre():
    """A state that holds its own centre time gives each frame its centre time back."""
    times = (torch.arange(80) * 320 + 200) / 16_000
    frames = resample_states(times.view(1, -1, 1, 1), 17, 16.0)[0, :, 0, 0]
    torch.testing.assert_close(frames, (torch.arange(17) + 0.5) / 16, atol=1e-4, rtol=0)


def test_annealing_runs_from_start_to_end():
    assert [annealed_scale(i, 3, 6.5, 3.5) for i in range(3)] == [6.5, 5.0, 3.5]
    assert annealed_scale(0, 1, 6.5, 3.5) == 6.5


def test_guidance_of_one_is_the_conditional_velocity_and_two_goes_past_it():
    conditional, unconditional = torch.tensor([2.0]), torch.tensor([1.0])
    assert guided_velocity(conditional, unconditional, 1.0).item() == 2.0
    assert guided_velocity(conditional, unconditional, 2.0).item() == 3.0

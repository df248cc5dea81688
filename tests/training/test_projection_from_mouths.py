"""An audio projection that is taught what mouths do before it sees any."""

from dataclasses import replace

import torch

from omnihuman.conditions.audio import AudioProjection
from omnihuman.latents import fold_frames_into_latents
from training.recipes.projection_from_mouths import ProjectionRecipe, mouth_r, teach

RECIPE = replace(ProjectionRecipe(), steps=150, batch=8, frames=17)


def test_a_taught_projection_tells_the_opening_of_the_frame_it_stands_for():
    drawn = torch.Generator().manual_seed(0)
    states = torch.randn(64, 17, 2, 8, generator=drawn)
    direction = torch.randn(8, generator=drawn)
    opening = states.mean(dim=2) @ direction
    mouths = torch.stack([torch.zeros_like(opening), (opening - opening.mean()) / opening.std()], dim=-1)
    projection = AudioProjection(8, 2, 32, 1, 2)
    head = teach(projection, states[:48], mouths[:48], RECIPE)
    assert mouth_r(projection, head, states[48:], mouths[48:]) > 0.8
    late = torch.roll(mouths, 1, dims=1)
    assert mouth_r(projection, head, states[48:], late[48:]) < 0.3, "its own frame, not the one before"
    told = head(projection(states[48:]))
    assert told.shape == fold_frames_into_latents(mouths[48:], 1, 2).shape

"""The loader alone against the training step that eats its batches, laptop sizes."""

import tempfile
from pathlib import Path

import torch

from benchmarks.interleaved import Comparison, compare
from benchmarks.training.snapshot import write_snapshot
from profiles import load_profile
from training.data.loader import SnapshotData
from training.flow_matching import interpolate, per_sample_loss, sample_timesteps
from training.stages.model import build_transformer


def loader_against_step() -> Comparison:
    """Seconds to load one batch of stage 3, conditions rendered, and seconds to train on it in plain torch."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        profile = load_profile("laptop", [])
        write_snapshot(root, profile)
        stage = profile.stage_3
        data = SnapshotData(
            root / "snapshot", root / "features", profile, "text", stage.seed, stage.batch_size, stage.ratios
        )
        model = build_transformer(profile, None, 0)
        optimizer = torch.optim.AdamW(model.parameters())  # quicker than the profile's Muon: the harder comparison
        batch, numbers = data.batch(0), iter(range(10**9))

        def step() -> None:
            t = sample_timesteps(batch.uniform, stage.timestep_law, stage.timestep_shift)
            x_t = interpolate(batch.latents, batch.noise, t)
            velocity = model(x_t, t * 1000, return_dict=False, **batch.conditions())[0]
            per_sample_loss(velocity, batch.latents, batch.noise).mean().backward()
            optimizer.step()
            optimizer.zero_grad()

        return compare(lambda: data.batch(next(numbers)).conditions(), step)

"""The loader alone against the training step that eats its batches, laptop sizes."""

import json
import tempfile
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

from benchmarks.interleaved import Comparison, compare
from profiles import load_profile
from profiles.schema import Profile
from training.data import SnapshotData
from training.flow_matching import interpolate, per_sample_loss, sample_timesteps
from training.model import build_transformer

SAMPLES, SHARDS = 128, 4


def loader_against_step() -> Comparison:
    """Seconds to load one batch of stage 3, conditions rendered, and seconds to train on it in plain torch."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        profile = load_profile("laptop", [])
        _write_snapshot(root, profile)
        stage = profile.stage_3
        data = SnapshotData(root / "snapshot", root / "features", profile, "text", stage.seed, stage.batch_size, stage.ratios)
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


def _write_snapshot(root: Path, profile: Profile) -> None:
    """Random features in the product's files and the laptop's shapes."""
    video, model = profile.video, profile.transformer
    bucket, grid = video.name_of(video.main), (video.height // 8, video.width // 8)
    tables = []
    for shard in (f"s-{number}" for number in range(SHARDS)):
        shapes = {
            "latents": (16, video.latent_frames, *grid), "reference_latents": (16, 1, *grid), "motion_latents": (16, 2, *grid),
            "text": (profile.encoders.text_tokens, model.text_dim),
            "audio": (video.frames, model.audio_layers, model.audio_dim),
        }  # fmt: skip
        tensors = {name: torch.randn(SAMPLES, *shape).half() for name, shape in shapes.items()}
        tensors["null_text"] = tensors["text"][0].clone()
        tensors["keypoints"] = torch.rand(SAMPLES, video.frames, 133, 3) * video.height
        folder = root / "features" / shard
        folder.mkdir(parents=True)
        save_file(tensors, folder / f"features-{bucket}.safetensors")
        ids = [f"{shard}-{row}" for row in range(SAMPLES)]
        table = pd.DataFrame({"sample_id": ids, "clip_id": ids, "shard": shard, "bucket": bucket, "row": range(SAMPLES)})
        tables.append(table.assign(text=True, audio=True, pose=True, reference_outside=True, has_motion=True))
    (root / "snapshot").mkdir()
    pd.concat(tables).to_parquet(root / "snapshot" / "samples.parquet")
    (root / "snapshot" / "snapshot.json").write_text(json.dumps({"digest": "random", "encoders": {}}))

"""A snapshot of random features in the product's files and a profile's shapes: speed does not need pixels."""

import json
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

from profiles.schema import Profile

SAMPLES, SHARDS = 128, 4


def write_snapshot(root: Path, profile: Profile) -> None:
    """`root/snapshot` and `root/features`, the main bucket only."""
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
        table = pd.DataFrame(
            {"sample_id": ids, "clip_id": ids, "shard": shard, "bucket": bucket, "row": range(SAMPLES)}
        )
        tables.append(table.assign(text=True, audio=True, pose=True, reference_outside=True, has_motion=True))
    (root / "snapshot").mkdir()
    pd.concat(tables).to_parquet(root / "snapshot" / "samples.parquet")
    (root / "snapshot" / "snapshot.json").write_text(json.dumps({"digest": "random", "encoders": {}}))

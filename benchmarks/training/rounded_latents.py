"""`python -m benchmarks.training.rounded_latents`: what 8 bits cost: error of latents and pixels, and held-out loss after a short training.

Puppets are encoded by the laptop profile's own encoders and kept twice, as float16 and as int8. The same stage is trained on each, in plain
torch and float32 from the same weights with the same draws; both are judged on held-out puppets in float16. A third training, on float16 with
other draws, says how far apart two trainings are anyway.
"""

import argparse
import copy
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import puppets
from curation.features.encoders import load_encoders
from curation.features.feature_writer import BucketWriter, TextWriter
from curation.features.training_samples import CutSample, Sample
from curation.features.windows import Window
from media.features.rounding import from_int8, to_int8
from media.records import SnapshotRecord
from media.speech.level import measure_speech
from omnihuman.autoencoder import decode_video, to_frames
from profiles import Profile, load_profile
from training.data.conditions import Conditions
from training.data.loader import SnapshotData
from training.flow_matching import interpolate, per_sample_loss, sample_timesteps
from training.stages.model import build_transformer

QUANTILES = (0.1, 0.3, 0.5, 0.7, 0.9)
BATCH = 16


def encode(
    profile: Profile, count: int
) -> tuple[dict[str, np.ndarray], list[np.ndarray], np.ndarray, dict[str, float]]:
    """Rows of the first 17 frames of so many puppets with the last as reference, their texts, the empty one, and what rounding does."""
    encoders, video = load_encoders(profile), profile.video
    parts, texts = [], []
    for first in range(0, count, BATCH):
        cuts = [_cut(video, seed) for seed in range(first, first + BATCH)]
        parts.append(encoders.encode("latents", cuts, video) | encoders.encode("audio", cuts, video))
        texts += list(encoders.encode_captions([cut.sample.caption for cut in cuts])["text"])
    rows = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    exact = rows["latents"][:BATCH].astype(np.float16)
    rounded = from_int8(*to_int8(exact))
    drawn = [
        to_frames(decode_video(encoders.autoencoder, torch.from_numpy(x.astype(np.float32)))).float()
        for x in (exact, rounded)
    ]
    error = {
        "latents, root mean square": float(np.sqrt(np.square(rounded - exact).mean()) / exact.astype(np.float32).std()),
        "pixels, root mean square of 255": float((drawn[0] - drawn[1]).square().mean().sqrt()),
    }
    keypoints = np.zeros((count, video.frames, 133, 3), np.float32)
    return rows | {"keypoints": keypoints}, texts, encoders.null_text(), error


def _cut(video, seed: int) -> CutSample:
    puppet = puppets.render(seed)
    window = Window(0, len(puppet.frames) - 1, True)
    sample = Sample(f"p{seed:05}", f"p{seed:05}", puppet.caption, video.main, window, 0, "", {})
    sound = puppet.audio[: round(video.frames / video.fps * video.sample_rate)]
    speech = measure_speech(puppet.audio)
    return CutSample(sample, puppet.frames[: video.frames], puppet.frames[-1], None, sound, speech)


def write(root: Path, profile: Profile, rows: dict[str, np.ndarray], texts: list[np.ndarray], null: np.ndarray) -> None:
    """`root/snapshot`, and the features as `root/float16` and `root/int8`."""
    count, bucket = len(texts), profile.video.name_of(profile.video.main)
    for latents in ("float16", "int8"):
        folder = root / latents / "s-0"
        folder.mkdir(parents=True)
        with TextWriter(folder, profile.encoders.text_tokens) as writer:
            for text in (null, *texts):
                writer.add(text)
        shapes = {name: values.shape[1:] for name, values in rows.items()}
        made = BucketWriter(folder, bucket, shapes, rows["has_motion"] == 1, latents)
        made.put(range(count), rows | {"text_row": np.arange(1, count + 1)})
        made.close()
    ids = [f"p{row:05}" for row in range(count)]
    table = pd.DataFrame({"sample_id": ids, "clip_id": ids, "shard": "s-0", "bucket": bucket, "row": range(count)})
    (root / "snapshot").mkdir()
    table.assign(text=True, audio=True, pose=False, reference_outside=True, has_motion=False).to_parquet(
        root / "snapshot" / "samples.parquet"
    )
    SnapshotRecord({"digest": "puppets", "encoders": {}}).write(root / "snapshot")


def train(
    root: Path, latents: str, profile: Profile, model: torch.nn.Module, steps: int, seed: int, batch: int
) -> None:
    """Stage 2's conditions and timesteps, AdamW at 5e-4."""
    stage = profile.stage_2
    data = SnapshotData(root / "snapshot", root / latents, profile, "text", seed, batch, stage.ratios)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-4)
    for number in range(steps):
        for part in data.rank_batch(number).split(1):
            t = sample_timesteps(part.uniform, stage.timestep_law, stage.timestep_shift)
            velocity = model(
                interpolate(part.latents, part.noise, t), t * 1000, return_dict=False, **part.conditions()
            )[0]
            per_sample_loss(velocity, part.latents, part.noise).mean().backward()
            optimizer.step()
            optimizer.zero_grad()


@torch.no_grad()
def held_out_losses(root: Path, latents: str, profile: Profile, model: torch.nn.Module) -> np.ndarray:
    """`(clips,)` mean loss over quantiles of t, with text, reference and sound; the same noise for every model."""
    stage = profile.stage_2
    data = SnapshotData(root / "snapshot", root / latents, profile, "text", 0, 4, stage.ratios, held_out=True)
    batch = data.chosen(range(len(data)), Conditions(True, True, True))
    found = []
    for quantile in QUANTILES:
        t = sample_timesteps(torch.full((len(data),), quantile), stage.timestep_law, stage.timestep_shift)
        velocity = model(interpolate(batch.latents, batch.noise, t), t * 1000, return_dict=False, **batch.conditions())[0]  # fmt: skip
        found.append(per_sample_loss(velocity, batch.latents, batch.noise).numpy())
    return np.mean(found, axis=0)


def main() -> None:
    """Print errors, then a table of held-out losses."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--puppets", type=int, default=96)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the profile")
    given = parser.parse_args()
    profile = load_profile("laptop", ["curation.held_out_share=0.25", *given.set])
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        rows, texts, null, error = encode(profile, given.puppets)
        write(root, profile, rows, texts, null)
        print(f"{given.puppets} puppets encoded", flush=True)
        for name, value in error.items():
            print(f"{name}: {value:.5f}", flush=True)
        start, losses = build_transformer(profile, None, 0), {}
        losses["untrained"] = held_out_losses(root, "float16", profile, start)
        for name, latents, seed in (("float16", "float16", 1), ("int8", "int8", 1), ("float16, other draws", "float16", 2)):  # fmt: skip
            model = copy.deepcopy(start)
            train(root, latents, profile, model, given.steps, seed, given.batch)
            losses[name] = held_out_losses(root, "float16", profile, model)
            if name == "int8":
                losses["int8, judged on int8"] = held_out_losses(root, "int8", profile, model)
            print(f"{name}: {losses[name].mean():.5f}", flush=True)
    print(
        f"| trained on | held-out loss of {len(losses['int8'])} clips | less float16's | standard error of the difference |"
    )
    print("| --- | ---: | ---: | ---: |")
    for name, each in losses.items():
        difference = each - losses["float16"]
        print(f"| {name} | {each.mean():.5f} | {difference.mean():+.5f} | {difference.std(ddof=1) / len(each) ** 0.5:.5f} |")  # fmt: skip


if __name__ == "__main__":
    main()

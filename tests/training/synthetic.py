"""A snapshot of random features in the product's own file formats, and jobs over it: training tests need no pixels."""

import hashlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import torch
from safetensors.torch import save_file

from profiles import load_profile
from training.jobs import TrainingJob
from training.launch import launch_command, launch_environment

TINY = [
    "transformer.num_layers=3", "transformer.num_attention_heads=2", "transformer.attention_head_dim=24", "transformer.ffn_dim=64",
    "transformer.text_dim=12", "transformer.audio_dim=8", "transformer.audio_layers=2", "transformer.pose_channels=4",
    "video.height=32", "video.width=32", "video.frames=9", "engine.checkpoint_every=2",
    "stage_1.batch_size=4", "stage_2.batch_size=4", "stage_3.batch_size=4", "consistency.batch_size=4",
    "adversarial_images.batch_size=4", "adversarial_videos.batch_size=4", "adversarial_videos.critic_warmup=2",
]


def write_snapshot(root: Path, samples: int = 24) -> None:
    """`root/snapshot` and `root/features/s-0`."""
    generator = torch.Generator().manual_seed(0)

    def randn(*shape):
        return torch.randn(shape, generator=generator)

    features = root / "features" / "s-0"
    features.mkdir(parents=True)
    save_file(
        {
            "latents": randn(samples, 16, 3, 4, 4).half(), "reference_latents": randn(samples, 16, 1, 4, 4).half(),
            "text": randn(samples, 5, 12).half(), "null_text": randn(5, 12).half(), "audio": randn(samples, 9, 2, 8).half(),
            "has_audio": torch.ones(samples, dtype=torch.uint8), "keypoints": torch.rand((samples, 9, 133, 3), generator=generator) * 32,
        },
        features / "features.safetensors",
    )
    (root / "snapshot").mkdir()
    table = pd.DataFrame({"sample_id": [f"c{i:03}" for i in range(samples)], "clip_id": [f"c{i:03}" for i in range(samples)], "shard": "s-0", "row": range(samples)})
    table["text"], table["audio"], table["pose"] = True, table.index % 4 != 0, table.index % 2 == 1
    table.to_parquet(root / "snapshot" / "samples.parquet")
    digest = hashlib.sha256(b"synthetic").hexdigest()
    (root / "snapshot" / "snapshot.json").write_text(json.dumps({"digest": digest}))


def make_job(root: Path, name: str, kind: str, section: str, steps: int, overrides: list[str] | None = None, **parents) -> TrainingJob:
    """A job of `steps` steps that writes `root/name`."""
    profile = load_profile("laptop", [*TINY, f"{section}.steps={steps}", *(overrides or [])])
    return TrainingJob(
        kind=kind, name=name, profile_values=profile.model_dump(mode="json"), section=section, snapshot=str(root / "snapshot"),
        features_root=str(root / "features"), output=str(root / name), work=str(root / "work" / name), **parents,
    )


def start(job: TrainingJob, ranks: int = 1) -> subprocess.Popen:
    """Start the real launcher in its own process group."""
    path = job.write(Path(job.work) / "job.json")
    engine = job.profile.engine.model_copy(update={"ranks": ranks})
    return subprocess.Popen(
        launch_command(path, engine), env=launch_environment() | {"OMP_NUM_THREADS": "1"}, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )


def finish(job: TrainingJob, ranks: int = 1) -> str:
    """Run to the end and return the output; a failure shows its last lines."""
    process = start(job, ranks)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output[-4000:]
    return output


def kill_at(job: TrainingJob, step: int, ranks: int = 1) -> None:
    """kill -9 the whole group as soon as the run's checkpoint of `step` is on disk."""
    process = start(job, ranks)
    latest = Path(job.work) / "checkpoints" / "latest.json"
    deadline = time.monotonic() + 240
    while not (latest.is_file() and json.loads(latest.read_text())["step"] >= step):
        assert process.poll() is None, process.communicate()[0][-4000:]
        assert time.monotonic() < deadline, "no checkpoint appeared"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def losses(job: TrainingJob) -> pd.DataFrame:
    """The finished run's curve."""
    return pd.read_parquet(Path(job.output) / "losses.parquet")

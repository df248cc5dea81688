"""A snapshot of random features in the product's own file formats, and jobs over it: training tests need no pixels."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.numpy import load_file as numpy_tensors
from safetensors.torch import load_file, save_file

from curation.features.feature_writer import BucketWriter, TextWriter
from profiles import load_profile
from tests.forked import WarmTraining, launched
from training.run.jobs import TrainingJob
from training.run.launch import launch_command, launch_environment

TINY = [
    "transformer.num_layers=3",
    "transformer.num_attention_heads=2",
    "transformer.attention_head_dim=24",
    "transformer.ffn_dim=64",
    "transformer.text_dim=12",
    "transformer.audio_dim=8",
    "transformer.audio_layers=2",
    "transformer.pose_channels=4",
    "video.height=32",
    "video.width=32",
    "video.frames=9",
    "engine.checkpoint_every=2",
    "stage_1.batch_size=4",
    "stage_2.batch_size=4",
    "stage_3.batch_size=4",
    "consistency.batch_size=4",
    "curation.held_out_share=0",
    "adversarial_images.batch_size=4",
    "adversarial_videos.batch_size=4",
    "adversarial_videos.critic_warmup=2",
    "slim_decoder.batch_size=4",
    "streaming.batch_size=4",
    "streaming.teacher_forcing=3",
    "streaming.critic_warmup=2",
    "streaming.window=2",
]


@dataclass(frozen=True)
class Rows:
    """So many samples of one bucket of 32 x 32 pixels or the like, in one shard."""

    shard: str = "s-0"
    samples: int = 24
    height: int = 32
    width: int = 32
    frames: int = 9

    @property
    def bucket(self) -> str:
        return f"{self.height}x{self.width}x{self.frames}@16"


def write_snapshot(root: Path, parts: Sequence[Rows] = (Rows(),)) -> None:
    """`root/snapshot` and `root/features/<shard>`: random features; of four samples, three may have audio and two pose."""
    generator = torch.Generator().manual_seed(0)
    tables = []
    for number, part in enumerate(parts):
        folder = root / "features" / part.shard
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_features(part, generator), folder / f"features-{part.bucket}.safetensors")
        ids = [f"c{number or ''}{i:03}" for i in range(part.samples)]
        table = pd.DataFrame(
            {"sample_id": ids, "clip_id": ids, "shard": part.shard, "bucket": part.bucket, "row": range(part.samples)}
        )
        table["text"], table["audio"], table["pose"] = True, table.index % 4 != 0, table.index % 4 > 1
        table["reference_outside"], table["has_motion"] = table.index % 8 != 7, table.index % 3 != 0
        tables.append(table)
    (root / "snapshot").mkdir()
    pd.concat(tables).to_parquet(root / "snapshot" / "samples.parquet")
    digest = hashlib.sha256(b"synthetic").hexdigest()
    (root / "snapshot" / "snapshot.json").write_text(json.dumps({"digest": digest}))


def _features(part: Rows, generator: torch.Generator) -> dict[str, torch.Tensor]:
    n, h, w = part.samples, part.height // 8, part.width // 8

    def randn(*shape):
        return torch.randn(shape, generator=generator)

    return {
        "latents": randn(n, 16, 1 + part.frames // 4, h, w).half(),
        "reference_latents": randn(n, 16, 1, h, w).half(),
        "motion_latents": randn(n, 16, 2, h, w).half(),
        "has_motion": torch.ones(n, dtype=torch.uint8),
        "text": randn(n, 5, 12).half(),
        "null_text": randn(5, 12).half(),
        "audio": randn(n, part.frames, 2, 8).half(),
        "has_audio": torch.ones(n, dtype=torch.uint8),
        "keypoints": torch.rand((n, part.frames, 133, 3), generator=generator) * 32,
    }


def lay_out_anew(root) -> None:
    """Write the synthetic snapshot's features in the second layout."""
    for old in sorted((root / "features").glob("*/features-*.safetensors")):
        rows, bucket = numpy_tensors(old), old.stem.removeprefix("features-")
        old.unlink()
        null, texts = rows.pop("null_text"), rows.pop("text")
        with TextWriter(old.parent, texts.shape[1]) as writer:
            writer.add(null)
            numbers = [writer.add(text) for text in texts]
        shapes = {name: values.shape[1:] for name, values in rows.items()}
        made = BucketWriter(old.parent, bucket, shapes, rows["has_motion"] == 1, "float16")
        made.put(range(len(texts)), rows | {"text_row": np.array(numbers)})
        made.close()


def make_job(
    root: Path, name: str, kind: str, section: str, steps: int, overrides: list[str] | None = None, **parents
) -> TrainingJob:
    """A job of `steps` steps that writes `root/name`."""
    profile = load_profile("laptop", [*TINY, f"{section}.steps={steps}", *(overrides or [])])
    return TrainingJob(
        kind=kind,
        name=name,
        profile_values=profile.model_dump(mode="json"),
        section=section,
        snapshot=str(root / "snapshot"),
        features_root=str(root / "features"),
        output=str(root / name),
        work=str(root / "work" / name),
        **parents,
    )


def start(job: TrainingJob, ranks: int = 1, warm: bool = True, anew: bool = False) -> subprocess.Popen:
    """Start the training in its own process group: forked by the session's warm server, or by the real DeepSpeed launcher.

    That launcher and its ranks are forked by the session's server too, unless they are to make their imports `anew`.
    """
    path = job.write(Path(job.work) / "job.json")
    engine = job.profile.engine.model_copy(update={"ranks": ranks})
    environment = launch_environment() | {"OMP_NUM_THREADS": "1"}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    if warm:
        return WarmTraining([path, ranks], env=environment, **pipes)
    command = launch_command(path, engine)
    command = command if anew else launched(command, Path(job.work))
    return subprocess.Popen(command, env=environment, start_new_session=True, **pipes)


def finish(job: TrainingJob, ranks: int = 1, warm: bool = True, anew: bool = False) -> str:
    """Run to the end and return the output; a failure shows its last lines."""
    process = start(job, ranks, warm, anew)
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
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def losses(job: TrainingJob) -> pd.DataFrame:
    """The finished run's curve."""
    return pd.read_parquet(Path(job.output) / "losses.parquet")


def weights(job: TrainingJob) -> dict[str, torch.Tensor]:
    """The finished run's product."""
    (file,) = Path(job.output).glob("*/diffusion_pytorch_model.safetensors")
    return load_file(file)


def with_parent(root: Path) -> Path:
    """`root` with a snapshot and `root/parent`, a short stage 1 for others to start from."""
    write_snapshot(root)
    finish(make_job(root, "parent", "stage", "stage_1", 3))
    return root

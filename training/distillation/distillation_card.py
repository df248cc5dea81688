"""What stands beside a student's weights: how to sample it in diffusers' own layout, its curves, and a card for people."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from media.records import ProductRecord
from omnihuman.bases.checkpoint import class_name
from omnihuman.bases.registry import Base, base_of_class
from omnihuman.deferred_imports import deferring
from profiles.schema import Profile
from training.run.curves import loss_curves
from training.run.jobs import TrainingJob

with deferring():  # else diffusers brings PyTorch's compiler
    from diffusers import FlowMatchEulerDiscreteScheduler

CARD = """\
---
library_name: diffusers
tags: [one-step, talking-human, omnihuman]
---
# {name}
A one-step generator of the profile `{profile}`, made by {how}.

| | |
| --- | --- |
| parent | {parent} |
| {critic_title} | {critic} |
| snapshot | `{snapshot}` |
| weights | `{weights}` |
| parameters | {parameters:,} |
| updates | {updates} |
| roll-backs | {rollbacks} |
| seconds, peak memory of this attempt | {seconds:g} s, {memory:g} GiB |
| MLflow run | {run} |

## Sampling
`omnihuman generate --model {folder}` makes a video with it. `model_index.json` and `scheduler/` ask for one step without guidance; the
frozen encoders are the profile's.
```python
from omnihuman.pipeline import build_pipeline
from profiles import load_profile

pipe = build_pipeline(load_profile("{profile}"), "{folder}/transformer", num_inference_steps=1{streaming})
frames = pipe("A person talks.", image=image[None], audio=sound[None]).frames
{two_steps}```

## Recipe
```yaml
{recipe}```

## Curves
![curves](curves.png)

All numbers are in `losses.parquet`.

## Scores
Training measures none on held-out clips; `benchmark_scores` does, and its table goes with the registered model.
"""
# A stream makes each latent in one.
TWO_STEPS = 'frames = pipe("A person talks.", image=image[None], audio=sound[None], num_inference_steps=2).frames\n'
HOW = {
    "consistency": "discrete consistency distillation of its parent (APT section 4.2)",
    "adversarial": "adversarial post-training against real samples (APT section 4)",
    "streaming": "teacher forcing, then adversarial student forcing, of a causal student (APT2)",
}


def write_card(folder: Path, job: TrainingJob, record: dict[str, Any], losses: pd.DataFrame) -> None:
    """Write `README.md`, `curves.png`, `model_index.json` and `scheduler/` into a student's folder."""
    (folder / "curves.png").write_bytes(loss_curves(losses))
    FlowMatchEulerDiscreteScheduler(shift=1.0).save_pretrained(str(folder / "scheduler"))
    base = base_of_class(class_name(folder / "transformer"), folder)
    index = model_index(job.profile, base, record.get("streaming"))
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    (folder / "README.md").write_text(_card(job, record))


def model_index(profile: Profile, base: Base, streaming: dict[str, Any] | None = None) -> dict[str, Any]:
    """`OmniHumanPipeline`'s configuration for one step. The frozen encoders are none of this folder's: they are given to
    `from_pretrained`, and the registered model holds them."""
    given = {
        "transformer": [base.module, base.model],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    }
    absent = {name: [None, None] for name in ("vae", "text_encoder", "tokenizer", "audio_encoder")}
    return {
        "_class_name": "OmniHumanPipeline",
        "_diffusers_version": version("diffusers"),
        **given,
        **absent,
        "num_inference_steps": 1,
        "guidance_scale": 1.0,
        "fps": profile.video.fps,
        "text_tokens": profile.encoders.text_tokens,
        "pose_keypoints": list(profile.transformer.pose_keypoints),
        **({"streaming": streaming} if streaming else {}),
    }


def _card(job: TrainingJob, record: dict[str, Any]) -> str:
    rollbacks = record.get("rollbacks", [])
    return CARD.format(
        name=job.name,
        profile=job.profile.name,
        how=HOW[job.kind],
        streaming=f", streaming={record['streaming']}" if record.get("streaming") else "",
        two_steps="" if record.get("streaming") else TWO_STEPS,
        parent=_origin(job.parent),
        critic_title="diffusion weights" if job.diffusion_parent else "teacher",
        critic=_origin(job.diffusion_parent or job.parent),
        snapshot=record["snapshot_digest"][:16],
        weights=record["weights_digest"][:16],
        parameters=record["parameters"],
        updates=record["steps"],
        rollbacks="; ".join(r["reason"] for r in rollbacks) or "none",
        seconds=record["seconds"],
        memory=record["peak_memory_gib"],
        run=record["mlflow_run_id"] or "none",
        folder=job.name,
        recipe=yaml.safe_dump(record["section"], sort_keys=False, width=100),
    )


def _origin(parent: str | None) -> str:
    if parent is None:
        return "none"
    digest = ProductRecord.read(Path(parent)).weights_digest
    return f"{Path(parent).name} `{digest[:16]}`"

"""The finished product of a training job: weights in diffusers layout, the curve, and a record, as one atomic folder."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from media import whole_directory
from omnihuman.digests import weights_digest
from omnihuman.transformer import OmniHumanTransformer3DModel
from training.ema import ExponentialMovingAverage
from training.jobs import TrainingJob
from training.recorder import Recorder

Extra = Callable[[Path, TrainingJob, dict[str, Any], pd.DataFrame], None]


def write_output(
    job: TrainingJob, model: OmniHumanTransformer3DModel, average: ExponentialMovingAverage, recorder: Recorder,
    record: dict[str, Any], extra: Extra | None = None,
) -> dict[str, Any]:
    """Save the averaged weights as `transformer/` beside `record.json` and `losses.parquet`; returns the record.

    `extra` may add files to the folder before it appears; it gets the folder, the job, the record and the curve.

    The folder is written beside its place and renamed, so a reader sees the old product or the new one.
    """
    average.copy_to(model)
    with whole_directory(Path(job.output)) as draft:
        model.save_pretrained(str(draft / "transformer"), safe_serialization=True)
        losses = recorder.losses()
        losses.to_parquet(draft / "losses.parquet", index=False)
        record = {
            "name": job.name, "kind": job.kind, "profile": job.profile.name,
            "section": getattr(job.profile, job.section).model_dump(mode="json"),
            "parent": job.parent and Path(job.parent).name, "weights_digest": weights_digest(draft / "transformer"),
            "parameters": sum(p.numel() for p in model.parameters()),
            "mlflow_run_id": recorder.run.run_id if recorder.run else None, **recorder.summary(), **record,
        }
        (draft / "record.json").write_text(json.dumps(record, indent=1) + "\n")
        if extra is not None:
            extra(draft, job, record, losses)
    return record

"""The finished product of a training job: weights in diffusers layout, the curve, and a record, as one atomic folder."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from media import whole_directory
from media.records import ProductRecord
from media.weights import fill
from omnihuman.bases.model import OmniHumanModel
from omnihuman.digests import weights_digest
from omnihuman.precision import cast_weights
from training.run.adapter import write_adapter
from training.run.finished import remember_finished
from training.run.jobs import TrainingJob
from training.run.recorder import Recorder
from training.stages.lora import merged, trained_adapter

TRANSFORMER, AUTOENCODER = "transformer", "vae"  # diffusers' names of a pipeline's parts
Extra = Callable[[Path, TrainingJob, dict[str, Any], pd.DataFrame], None]


def write_transformer(
    job: TrainingJob,
    model: OmniHumanModel,
    weights: dict[str, Tensor],
    recorder: Recorder,
    record: dict[str, Any],
    extra: Extra | None = None,
) -> dict[str, Any]:
    """Save `weights` as `transformer/` beside `record.json` and `losses.parquet`; returns the record. Rank 0 only.

    A model that was trained with LoRA leaves its `adapter/` too.

    The folder is written beside its place and renamed, so a reader sees the old product or the new one.

    Args:
        job: names the folder.
        model: of whose configuration the weights are; its own weights may be in parts (ZeRO-3) and are not read.
        weights: whole, on the CPU; LoRA's factors are merged into the matrices they belong to.
        recorder: holds the curve.
        record: numbers of this kind of job.
        extra: adds files to the folder before it appears; it gets the folder, the job, the record and the curve.
    """
    finished = rebuild(model, merged(weights, model))
    cast_weights(finished, torch.bfloat16 if job.profile.engine.precision == "bf16" else torch.float32)
    adapter = trained_adapter(weights, model)

    def beside(draft: Path) -> dict[str, Any]:
        return {} if adapter is None else {"adapter": write_adapter(draft, job, adapter, finished)}

    return write_product(job, finished, TRANSFORMER, recorder, record, extra, beside)


def write_product(
    job: TrainingJob,
    finished: Any,
    part: str,
    recorder: Recorder,
    record: dict[str, Any],
    extra: Extra | None = None,
    beside: Callable[[Path], dict[str, Any]] = lambda draft: {},
) -> dict[str, Any]:
    """`write_transformer` of any diffusers model; it is saved as `part/`, and `beside` adds folders that the record speaks of."""
    with whole_directory(Path(job.output)) as draft:
        finished.save_pretrained(str(draft / part), safe_serialization=True)
        record = {**record, **beside(draft)}
        losses = recorder.losses()
        losses.to_parquet(draft / "losses.parquet", index=False)
        record = {
            "name": job.name,
            "kind": job.kind,
            "profile": job.profile.name,
            "section": getattr(job.profile, job.section).model_dump(mode="json"),
            "parent": job.parent and Path(job.parent).name,
            "weights_digest": weights_digest(draft / part),
            "parameters": sum(p.numel() for p in finished.parameters()),
            "mlflow_run_id": recorder.run.run_id if recorder.run else None,
            **recorder.summary(),
            **record,
            **({"continued_from": job.continued_from} if job.continued_from else {}),
        }
        ProductRecord(record).write(draft)
        if extra is not None:
            extra(draft, job, record, losses)
    recorder.checkpoint(record)
    remember_finished(job, record)
    return record


def rebuild(model: OmniHumanModel, weights: dict[str, Tensor]) -> OmniHumanModel:
    """A model of the same configuration that holds `weights`, without allocating twice."""
    with torch.device("meta"):
        empty: Any = type(model).from_config(model.config)  # type: ignore[attr-defined]
    tables = dict(model.named_buffers())
    unlearned = tuple(f"{re.escape(name)}$" for name in tables)
    fill(empty, weights, "the training's average", "start it again", may_lack=unlearned, assign=True)
    for name, table in tables.items():  # no state dict need hold them
        place, _, leaf = name.rpartition(".")
        setattr(empty.get_submodule(place), leaf, table)
    return empty

"""What a resume must not change: configuration, data and parent weights."""

import hashlib
import json
from pathlib import Path

from media.records import ProductRecord
from training.run.jobs import TrainingJob


def job_fingerprint(job: TrainingJob, snapshot_digest: str) -> str:
    """16 hex digits over the profile's model, video, engine and section, the snapshot and the parents' records."""
    values = job.profile_values
    parents = [_parent_digest(p) for p in (job.parent, job.diffusion_parent)]
    engine = {
        k: v
        for k, v in values["engine"].items()
        if k not in ("checkpoint_every", "checkpoint_minutes", "keep_checkpoints", "hostfile", "ranks")
    }
    if engine["precision"] == "bf16":
        engine["weights"] = "float32"  # before, DeepSpeed's bf16 mode rounded them: such a training is not gone on with
    data = [values["video"], values["curation"]["held_out_share"], snapshot_digest]
    parts = [job.kind, job.section, values["transformer"], values[job.section], engine, data, parents]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _parent_digest(folder: str | None) -> str | None:
    return None if folder is None else ProductRecord.read(Path(folder)).weights_digest

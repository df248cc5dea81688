"""What a stage trained with LoRA leaves beside its merged transformer: its updates of the base's matrices, and OmniHuman's own weights, a file each."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from media import sha256_of_file
from media.records import ProductRecord
from omnihuman.bases.model import OmniHumanModel
from omnihuman.bases.weights import save_new_parts
from omnihuman.digests import weights_digest
from omnihuman.wan.dialects.adapter_writing import written_as
from omnihuman.wan.dialects.adapters import DIFFUSERS_WEIGHTS, Adapter, read_adapter
from omnihuman.wan.dialects.in_memory import stacked
from omnihuman.wan.dialects.tensor_files import write_tensors
from profiles import resolve_source
from training.run.jobs import TrainingJob

FOLDER = "adapter"
UPDATES, NEW_PARTS = DIFFUSERS_WEIGHTS, "omnihuman_new_parts.safetensors"
BASE = "base"  # of the file's metadata


def write_adapter(draft: Path, job: TrainingJob, adapter: Adapter, finished: OmniHumanModel) -> dict[str, Any]:
    """Write both files into the folder `adapter` of a product.

    A parent that was trained with LoRA too is stacked under it: the updates stand on what the first of them stood on.

    Args:
        draft: of the product.
        job: says what the updates stand on.
        adapter: the updates, in the numbers that they were trained in.
        finished: the merged model, of which the new parts are.

    Returns:
        What the product's record says of it.
    """
    folder = draft / FOLDER
    folder.mkdir()
    adapter, base = _on_its_base(job, adapter)
    tensors, metadata, _ = written_as(adapter, "diffusers")
    write_tensors(folder / UPDATES, tensors, metadata | {BASE: json.dumps(base, sort_keys=True)})
    save_new_parts(finished, folder / NEW_PARTS)
    ranks = Counter(update.rank for update in adapter.updates.values())
    alphas = Counter(update.alpha for update in adapter.updates.values())
    return {
        "digest": sha256_of_file(folder / UPDATES),
        "new_parts_digest": sha256_of_file(folder / NEW_PARTS),
        "modules": len(adapter.updates),
        "rank": ranks.most_common(1)[0][0],
        "alpha": alphas.most_common(1)[0][0],
        **base,
    }


def _on_its_base(job: TrainingJob, adapter: Adapter) -> tuple[Adapter, dict[str, str]]:
    """The updates, with those of the parent; and name and digest of the weights that they stand on, "" where these are no folder here."""
    if job.parent is not None:
        parent = Path(job.parent)
        record = ProductRecord.read(parent)
        if record.adapter is None:
            return adapter, {"base": parent.name, "base_digest": record.weights_digest}
        below = read_adapter(parent / FOLDER / UPDATES)
        return stacked([below, adapter]), {name: record.adapter[name] for name in ("base", "base_digest")}
    source = job.profile.transformer.base
    if source is None:
        return adapter, {"base": f"the seed of {job.section}", "base_digest": ""}
    place = Path(resolve_source(source, or_file=True))
    if not place.exists():
        return adapter, {"base": source, "base_digest": ""}
    weights = place / "transformer" if (place / "transformer").is_dir() else place
    digest = sha256_of_file(weights) if weights.is_file() else weights_digest(weights)
    return adapter, {"base": place.name, "base_digest": digest}

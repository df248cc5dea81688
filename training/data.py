"""Batches from a frozen snapshot: memory-mapped features, an order that depends on seed and position alone.

Sample number p of a run (p counts from 0 over all epochs and ranks) is fixed by the seed: which clip, which conditions,
which noise, which timestep. So resume needs one number, and another number of ranks sees the same data in the same order.
"""

import json
from collections import Counter
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from torch import Tensor

from omnihuman.pose import render_heatmaps
from profiles.schema import Profile, Ratios
from training.conditions import Conditions, draw_conditions


class SnapshotError(Exception):
    """The snapshot cannot be trained on; the message says which side disagrees and what to re-run."""


@dataclass(frozen=True)
class Batch:
    """One rank's samples. Masks are `(B,)` floats; `labels` names each sample's strongest condition.

    Attributes:
        latents: `(B, 16, F, h, w)` normalised clean latents x_0.
        noise: the same shape, standard normal.
        uniform: `(B,)` draws for the timestep.
        text: `(B, L, D)`, the null prompt where text is off.
        null_text: `(B, L, D)`, the null prompt.
        audio: `(B, 4F-3, K, D)`.
        pose: `(B, keypoints, 4F-3, 4h, 4w)` heatmaps.
        reference: `(B, 16, 1, h, w)`.
    """

    latents: Tensor
    noise: Tensor
    uniform: Tensor
    text: Tensor
    null_text: Tensor
    audio: Tensor
    pose: Tensor
    reference: Tensor
    audio_mask: Tensor
    pose_mask: Tensor
    reference_mask: Tensor
    labels: tuple[str, ...]
    clip_ids: tuple[str, ...]

    def to(self, device: torch.device, dtype: torch.dtype) -> "Batch":
        """Move tensors; strings stay."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved: dict[str, Any] = {k: v.to(device, dtype) for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **moved)

    def conditions(self) -> dict[str, Tensor]:
        """Keyword arguments for `OmniHumanTransformer3DModel`; a condition that no sample uses is left out."""
        given: dict[str, Tensor] = {"encoder_hidden_states": self.text}
        for name in ("audio", "pose", "reference"):
            mask = getattr(self, f"{name}_mask")
            if bool(mask.any()):
                given |= {name: getattr(self, name), f"{name}_mask": mask}
        return given

    def as_images(self) -> "Batch":
        """The first latent frame alone: latent 0 of the causal autoencoder is an image."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {k: values[k][:, :, :1] for k in ("latents", "noise", "pose")}
        return Batch(**values | {"audio": self.audio[:, :1]})


class SnapshotData:
    """Reads samples of one subset of a snapshot by global position."""

    def __init__(self, snapshot: Path, features_root: Path, profile: Profile, subset: str, seed: int):
        """Open the manifest and check that the features are those of this profile.

        Raises:
            SnapshotError: missing manifest, an empty subset, or features made with other encoders or sizes.
        """
        manifest = snapshot / "snapshot.json"
        if not manifest.is_file():
            raise SnapshotError(f"no {manifest}; materialise training_snapshot first")
        self.record = json.loads(manifest.read_text())
        table = pd.read_parquet(snapshot / "samples.parquet")
        self.table = table[table[subset]].sort_values("sample_id").reset_index(drop=True)
        if self.table.empty:
            raise SnapshotError(f"the snapshot {snapshot} has no sample in the subset {subset!r}; ingest clips that pass its predicate")
        self.digest: str = self.record["digest"]
        self.features_root, self.profile, self.seed = features_root, profile, seed
        self._files: dict[str, safe_open] = {}
        self._check_sizes()

    def _check_sizes(self) -> None:
        made, model = self._row("audio", 0).shape[1:], self.profile.transformer
        if tuple(made) != (model.audio_layers, model.audio_dim):
            raise SnapshotError(
                f"the snapshot's audio features are {tuple(made)} (hidden states, width), the profile's transformer takes "
                f"({model.audio_layers}, {model.audio_dim}); re-run condition_features with the profile's encoders.audio"
            )
        text = self._row("text", 0).shape[-1]
        if text != model.text_dim:
            raise SnapshotError(f"the snapshot's text features are {text} wide, the profile's transformer takes {model.text_dim}")

    def __len__(self) -> int:
        return len(self.table)

    def _file(self, shard: str):
        if shard not in self._files:
            path = self.features_root / shard / "features.safetensors"
            if not path.is_file():
                raise SnapshotError(f"the snapshot names shard {shard}, but {path} is missing; re-run condition_features --shard {shard}")
            self._files[shard] = safe_open(path, framework="pt")
        return self._files[shard]

    def _row(self, name: str, index: int) -> Tensor:
        entry = self.table.iloc[index]
        return self._file(entry["shard"]).get_slice(name)[int(entry["row"])]

    def index_at(self, position: int) -> int:
        """Which row of the subset is sample number `position`: a fresh permutation each epoch."""
        epoch, offset = divmod(position, len(self.table))
        return int(self._permutation(epoch)[offset])

    def _permutation(self, epoch: int) -> np.ndarray:
        if getattr(self, "_epoch", None) != epoch:
            self._epoch, self._order = epoch, np.random.default_rng([self.seed, 1, epoch]).permutation(len(self.table))
        return self._order

    def batch(self, positions: range, ratios: Ratios) -> Batch:
        """Load the samples at `positions`, drawing conditions, timestep and noise for each from (seed, position)."""
        rows = [self._sample(position, ratios) for position in positions]
        conditions = [c for c, _ in rows]
        tensors = {name: torch.stack([sample[name] for _, sample in rows]) for name in rows[0][1] if name != "clip_id"}
        masks = {f"{n}_mask": torch.tensor([float(getattr(c, n)) for c in conditions]) for n in ("audio", "pose", "reference")}
        keypoints = tensors.pop("keypoints")
        height, width = tensors["latents"].shape[-2:]
        pose = render_heatmaps(keypoints, self.profile.transformer.pose_keypoints, height, width)
        return Batch(
            **tensors, **masks, pose=pose, labels=tuple(c.label for c in conditions),
            clip_ids=tuple(sample["clip_id"] for _, sample in rows),
        )

    def _sample(self, position: int, ratios: Ratios) -> tuple[Conditions, dict]:
        index = self.index_at(position)
        entry = self.table.iloc[index]
        file, row = self._file(entry["shard"]), int(entry["row"])
        rng = np.random.default_rng([self.seed, 2, position])
        active = draw_conditions(ratios, bool(entry["audio"]), bool(entry["pose"]), rng)
        uniform = torch.tensor(rng.random(), dtype=torch.float32)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        latents = file.get_slice("latents")[row].float()
        return active, {
            "latents": latents,
            "noise": torch.randn(latents.shape, generator=generator),
            "uniform": uniform,
            "text": (file.get_slice("text")[row] if active.text else file.get_tensor("null_text")).float(),
            "null_text": file.get_tensor("null_text").float(),
            "audio": file.get_slice("audio")[row].float(),
            "reference": file.get_slice("reference_latents")[row].float(),
            "keypoints": file.get_slice("keypoints")[row].float(),
            "clip_id": str(entry["clip_id"]),
        }


def rank_positions(step: int, batch_size: int, rank: int, ranks: int) -> range:
    """The global positions that `rank` of `ranks` trains on in optimiser step `step`: its slice of one shared batch.

    Raises:
        ValueError: the batch does not divide by the number of ranks.
    """
    if batch_size % ranks:
        raise ValueError(f"batch_size {batch_size} does not divide by {ranks} ranks")
    share = batch_size // ranks
    start = step * batch_size + rank * share
    return range(start, start + share)


def label_shares(batches: Counter[str]) -> dict[str, float]:
    """Realised share of each condition set."""
    total = sum(batches.values())
    return {f"share/{name}": count / total for name, count in sorted(batches.items())}

"""Whether a snapshot's features are what this profile trains on; every error names both sides."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from media.user_error import UserError
from omnihuman.conditions.hearing import Hearing
from omnihuman.digests import weights_digest
from profiles import ProfileError, resolve_source
from profiles.conditions import STRONGEST, SUBSETS, TABLE
from profiles.networks import NETWORKS
from profiles.schema import Bucket, Profile

COLUMNS = ("sample_id", "clip_id", "shard", "bucket", "row", *SUBSETS, "reference_outside", "has_motion")


class SnapshotError(UserError):
    """The snapshot cannot be trained on; the message says which side disagrees and what to re-run."""


def check_table(table: pd.DataFrame, snapshot: Path) -> None:
    """Raises SnapshotError when samples.parquet was written by an earlier version."""
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise SnapshotError(
            f"{snapshot / 'samples.parquet'} has no column {', '.join(missing)}: it was frozen by an earlier version; "
            "re-run condition_features and training_snapshot"
        )


def check_conditions(table: pd.DataFrame, profile: Profile, stage: str, snapshot: Path) -> None:
    """Look for samples of every condition that this stage or one after it brings in: days of training should not end where they are missing.

    Args:
        table: the samples that are trained on.
        profile: with its stages.
        stage: the one that is to begin.
        snapshot: for the message.

    Raises:
        SnapshotError: a condition is to be trained, and no sample has it.
    """
    stages = list(STRONGEST)
    for row in TABLE:
        ratio = getattr(getattr(profile, row.stage).ratios, row.name)
        if stages.index(row.stage) < stages.index(stage) or not row.subset or not ratio or table[row.name].any():
            continue
        raise SnapshotError(
            f"{row.stage} brings in {row.name} (ratio {ratio:g}), and none of the {len(table)} samples of {snapshot} may train it; "
            f"`omnihuman subsets explain CLIP` says which clause a clip fails. Add clips, change curation.{row.name}, or train without it: "
            f"{row.stage}.ratios.{row.name}=0"
        )


def check_encoders(made_with: Mapping[str, object], profile: Profile, snapshot: Path) -> None:
    """Compare the hashes that snapshot.json records with the weights that the profile names, where they are on this disk.

    Training itself needs no encoder, so weights that are elsewhere are no error; the shapes are checked in any case.

    Raises:
        SnapshotError: the features were made with other weights.
    """
    different = []
    for name in NETWORKS if made_with else ():
        source, made = getattr(profile.encoders, name), made_with.get(name)
        if source is None or made is None:
            if name in ("text_2", "text_3") and (source is None) != (made is None):
                different.append(
                    f"{name}: made with {str(made)[:12] if made else 'none'}, the profile names {source or 'none'}"
                )
            continue
        here = _digest(source)
        if here is not None and made != here:
            different.append(f"{name}: made with {str(made)[:12]}, the profile's {source} is {here[:12]}")
    hearing = _hearing(profile.encoders.audio) if "hearing" in made_with else None
    if hearing is not None and made_with["hearing"] != hearing:
        different.append(
            f"hearing: made with {made_with['hearing']!r}, the profile's {profile.encoders.audio} asks for {hearing!r}"
        )
    tokens = made_with.get("text_tokens", profile.encoders.text_tokens)
    if tokens != profile.encoders.text_tokens:
        different.append(f"text_tokens: made with {tokens}, the profile has {profile.encoders.text_tokens}")
    kept, asked = made_with.get("audio_states"), profile.encoders.audio_states
    if kept != (None if asked is None else list(asked)):
        different.append(f"audio_states: made with {kept or 'all'}, the profile has {list(asked) if asked else 'all'}")
    if different:
        raise SnapshotError(
            f"the features of {snapshot} were made with other encoders than those of profile {profile.name}: "
            f"{'; '.join(different)}; re-run condition_features and training_snapshot, or name the encoders that made them"
        )


def _hearing(source: str) -> str | None:
    try:
        folder = Path(resolve_source(source))
    except ProfileError:
        return None
    return Hearing.read(folder).identity if folder.is_dir() else None


def _digest(source: str) -> str | None:
    try:
        return weights_digest(resolve_source(source))
    except (ProfileError, FileNotFoundError):
        return None


def check_shapes(shapes: Mapping[str, tuple[int, ...]], bucket: Bucket, profile: Profile, path: Path) -> None:
    """Compare the rows of a bucket's features with what bucket and model take.

    Raises:
        SnapshotError: a tensor is missing or its rows have another shape.
    """
    model, channels = profile.transformer, profile.transformer.latent_channels
    grid = (bucket.height // bucket.stride, bucket.width // bucket.stride)
    expected: dict[str, tuple[int | None, ...]] = {
        "latents": (channels, bucket.latent_frames, *grid),
        "reference_latents": (channels, 1, *grid),
        "motion_latents": (channels, profile.video.motion_latents, *grid),
        "text": (None, model.text_dim),
        "audio": (bucket.frames, model.audio_layers, model.audio_dim),
        "keypoints": (bucket.frames, 133, 3),
    }
    wrong = []
    for name, shape in expected.items():
        rows = shapes.get(name)
        if (
            rows is None
            or len(rows) != len(shape)
            or any(w is not None and f != w for f, w in zip(rows, shape, strict=True))
        ):
            wanted = "x".join("any" if size is None else str(size) for size in shape)
            wrong.append(
                f"{name}: rows of {'x'.join(map(str, rows)) if rows else 'nothing'}, the profile takes {wanted}"
            )
    if wrong:
        raise SnapshotError(
            f"{path} does not fit profile {profile.name} (video and transformer): {'; '.join(wrong)}; "
            "re-run condition_features with this profile's encoders and buckets"
        )

"""Where a job's transformer comes from: the previous stage's checkpoint, an official Wan2.1, or the profile's own sizes."""

import inspect
from pathlib import Path
from typing import Any

import torch

from omnihuman.pipeline import load_transformer
from omnihuman.transformer import OmniHumanTransformer3DModel
from omnihuman.wan.checkpoint import WAN_CONFIG
from profiles import resolve_source
from profiles.schema import Profile
from training.errors import TrainingError


def build_transformer(profile: Profile, parent: str | None, seed: int) -> OmniHumanTransformer3DModel:
    """Load `parent/transformer`, else `profile.transformer.base`, else initialise from `seed`.

    Raises:
        FileNotFoundError: the parent checkpoint does not exist.
        TrainingError: the parent was made with another model configuration; both sides are named.
    """
    config, new_parts = profile.transformer, own_configuration(profile)
    torch.manual_seed(seed)
    if parent is not None:
        model = load_transformer(Path(parent) / "transformer")
        expected = new_parts if config.base is not None else new_parts | {"in_channels": config.latent_channels}
        different = {k: (model.config[k], v) for k, v in expected.items() if _plain(model.config[k]) != _plain(v)}
        if different:
            raise TrainingError(
                f"checkpoint {parent} and profile {profile.name} disagree (checkpoint, profile): {different}"
            )
        return model
    if config.base is not None:
        model, report = OmniHumanTransformer3DModel.from_wan(
            resolve_source(config.base), **new_parts, return_report=True
        )
        if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
            print(report, flush=True)
        return model
    return OmniHumanTransformer3DModel(
        num_layers=config.num_layers,
        num_attention_heads=config.num_attention_heads,
        attention_head_dim=config.attention_head_dim,
        ffn_dim=config.ffn_dim,
        text_dim=config.text_dim,
        freq_dim=config.freq_dim,
        rope_max_seq_len=config.rope_max_seq_len,
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        **new_parts,
    )


def own_configuration(profile: Profile) -> dict[str, Any]:
    """What OmniHuman adds to Wan's configuration, by the names that `OmniHumanTransformer3DModel` takes."""
    config = profile.transformer
    taken = inspect.signature(OmniHumanTransformer3DModel.__init__).parameters
    own = {name: getattr(config, name) for name in taken if name not in ("self", *WAN_CONFIG)}
    return own | {"pose_keypoints": len(config.pose_keypoints)}


def _plain(value):
    return list(value) if isinstance(value, (list, tuple)) else value

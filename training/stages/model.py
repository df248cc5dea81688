"""Where a job's transformer comes from: the previous stage's checkpoint, a base (an official Wan2.1, or one of OmniHuman's own), or the
profile's own sizes."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from omnihuman.pipeline import load_transformer
from omnihuman.transformer import OmniHumanTransformer3DModel
from omnihuman.wan.checkpoint import OWN, WAN_CONFIG, class_name, open_wan
from profiles import resolve_source
from profiles.schema import Profile
from training.errors import TrainingError


def build_transformer(profile: Profile, parent: str | None, seed: int) -> OmniHumanTransformer3DModel:
    """Load `parent/transformer`, else `profile.transformer.base`, else initialise from `seed`.

    Raises:
        FileNotFoundError: the parent checkpoint does not exist.
        TrainingError: the parent or the base has other sizes or another configuration than the profile; both sides are named.
    """
    config, new_parts = profile.transformer, own_configuration(profile)
    torch.manual_seed(seed)
    if parent is not None:
        return _agreeing(Path(parent) / "transformer", f"checkpoint {parent}", profile)
    if config.base is not None:
        source = resolve_source(config.base, or_file=True)
        if is_omnihuman(source):
            model = _agreeing(Path(source), f"base {config.base}", profile)
            check_sizes(profile, model.config)
            return model
        check_sizes(profile, open_wan(source).config)
        model, report = OmniHumanTransformer3DModel.from_wan(source, **new_parts, return_report=True)
        if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
            print(report, flush=True)
        return model
    return OmniHumanTransformer3DModel(**_sizes(profile), **new_parts)


def check_sizes(profile: Profile, base: Mapping[str, Any]) -> None:
    """Compare a base's configuration with the sizes that the profile says: plans, memory and time go by the profile's.

    Raises:
        TrainingError: they differ; both sides are named.
    """
    sizes = _sizes(profile)
    different = {name: (base[name], size) for name, size in sizes.items() if base.get(name, size) != size}
    if different:
        raise TrainingError(
            f"base {profile.transformer.base} and profile {profile.name} disagree (base, profile): {different}; "
            "set the profile's transformer keys to the base's sizes, or name another base"
        )


def _sizes(profile: Profile) -> dict[str, Any]:
    """Wan's own configuration, as far as a profile says it."""
    config = profile.transformer
    return {
        "num_layers": config.num_layers,
        "num_attention_heads": config.num_attention_heads,
        "attention_head_dim": config.attention_head_dim,
        "ffn_dim": config.ffn_dim,
        "text_dim": config.text_dim,
        "freq_dim": config.freq_dim,
        "rope_max_seq_len": config.rope_max_seq_len,
        "in_channels": config.latent_channels,
        "out_channels": config.latent_channels,
    }


def is_omnihuman(source: str) -> bool:
    """Whether a base is a folder of OmniHuman's own transformer, which knows its conditions already; False for Wan's and for hub ids."""
    return class_name(source) == OWN


def _agreeing(folder: Path, name: str, profile: Profile) -> OmniHumanTransformer3DModel:
    """The transformer of `folder`, which has the parts that the profile asks for."""
    model, expected = load_transformer(folder), own_configuration(profile)
    if profile.transformer.base is None:
        expected |= {"in_channels": profile.transformer.latent_channels}
    different = {k: (model.config[k], v) for k, v in expected.items() if _plain(model.config[k]) != _plain(v)}
    if different:
        raise TrainingError(f"{name} and profile {profile.name} disagree ({name.split()[0]}, profile): {different}")
    return model


def own_configuration(profile: Profile) -> dict[str, Any]:
    """What OmniHuman adds to Wan's configuration, by the names that `OmniHumanTransformer3DModel` takes."""
    config = profile.transformer
    taken = inspect.signature(OmniHumanTransformer3DModel.__init__).parameters
    own = {name: getattr(config, name) for name in taken if name not in ("self", *WAN_CONFIG)}
    return own | {"pose_keypoints": len(config.pose_keypoints)}


def _plain(value):
    return list(value) if isinstance(value, (list, tuple)) else value

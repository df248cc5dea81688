"""Where a job's transformer comes from: the previous stage's checkpoint, a base (as it was published, or one of OmniHuman's own), or the
profile's own sizes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from omnihuman.bases.checkpoint import read_configuration
from omnihuman.bases.model import NEW_PARTS, OmniHumanModel
from omnihuman.bases.registry import Base, base_at, base_named, bases, is_ours
from omnihuman.bases.weights import own_arguments
from omnihuman.pipeline import load_transformer
from profiles import ProfileError, resolve_source
from profiles.schema import Profile
from training.errors import TrainingError

STRIDE = "temporal_stride"  # what Wan's base is told besides, of latents that are not of four frames


def build_transformer(profile: Profile, parent: str | None, seed: int) -> OmniHumanModel:
    """Load `parent/transformer`, else `profile.transformer.base`, else initialise from `seed`.

    Raises:
        FileNotFoundError: the parent checkpoint does not exist.
        TrainingError: the parent or the base has other sizes or another configuration than the profile; both sides are named.
        InputError: the base is of a kind that is not supported.
    """
    config, new_parts = profile.transformer, own_configuration(profile)
    torch.manual_seed(seed)
    if parent is not None:
        return _agreeing(Path(parent) / "transformer", f"checkpoint {parent}", profile)
    if config.base is not None:
        source = resolve_source(config.base, or_file=True)
        base = base_of(profile)
        if is_ours(source):
            model = _agreeing(Path(source), f"base {config.base}", profile)
            check_sizes(profile, base, model.config)
            return model
        kind = base.load()
        check_sizes(profile, base, kind.open_base(source).config)
        model, report = kind.from_base(source, **new_parts, return_report=True)
        if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
            print(report, flush=True)
        return model
    kind = base_of(profile).load()
    return kind(**kind.sizes(config), **kind.unsaid(config), **new_parts)


def base_of(profile: Profile) -> Base:
    """What the profile's base is: what its folder says, else what `transformer.architecture` does, else Wan.

    Raises:
        InputError: none that is supported.
        TrainingError: folder and profile say different things.
    """
    config = profile.transformer
    found = None if config.base is None else base_at(resolve_source(config.base, or_file=True))
    asked = None if config.architecture is None and found is not None else base_named(config.architecture)
    if found is not None and asked is not None and found != asked:
        raise TrainingError(
            f"base {config.base} is of the architecture {found.architecture!r}, and the profile says transformer.architecture={asked.architecture}; "
            f"set it to {found.architecture} or null, or name another base"
        )
    base = found or asked
    assert base is not None
    return base


def splits_tokens(profile: Profile, ranks: int) -> bool:
    """Whether so many ranks can share a sample's tokens."""
    return profile.transformer.num_attention_heads % ranks == 0 and (
        ranks == 1 or planned_base(profile).load().splits_sequence
    )


def planned_base(profile: Profile) -> Base:
    """What the profile's base is, for plans: where its folder is not here, what `transformer.architecture` says, else Wan."""
    try:
        return base_of(profile)
    except ProfileError:
        return base_named(profile.transformer.architecture)


def published_configuration(profile: Profile) -> dict[str, Any]:
    """What the base's config.json says in diffusers' words, for plans; nothing where no such file is here."""
    config = profile.transformer
    try:
        source = Path(resolve_source(config.base, or_file=True)) if config.base else None
    except ProfileError:  # weights that are not downloaded yet
        return {}
    for folder in () if source is None else (source, source / "transformer"):
        if (folder / "config.json").is_file():
            kind, said = base_of(profile).load(), read_configuration(folder / "config.json")
            original = said.get("_class_name") not in (kind.__name__, kind.published.__name__)
            return {} if original else {key: said[key] for key in own_arguments(kind.published) if key in said}
    return {}


def check_takes_videos(profile: Profile, section: str) -> None:
    """Refuse to train an image model on videos. Stages train it where every bucket is one frame; `adversarial_images` trains images in any case.

    Raises:
        TrainingError: the section and the base are named.
    """
    frames = max(bucket.frames for bucket in profile.video.all_buckets)
    base = base_of(profile)
    if section == "adversarial_images" or frames == 1 or base.load().takes_video:
        return
    able = ", ".join(other.architecture for other in bases() if other.load().takes_video)
    raise TrainingError(
        f"{section} trains videos of {frames} frames, and {base.load().base_name} ({base.architecture}) is an image model: set video.frames=1 and train the "
        f"stages and adversarial_images on images, or take a base of videos ({able})"
    )


def check_sizes(profile: Profile, base: Base, found: Mapping[str, Any]) -> None:
    """Compare a base's configuration with the sizes that the profile says: plans, memory and time go by the profile's.

    Raises:
        TrainingError: they differ; both sides are named.
    """
    sizes = base.load().sizes(profile.transformer)
    different = {name: (found[name], size) for name, size in sizes.items() if _plain(found.get(name, size)) != size}
    if different:
        raise TrainingError(
            f"base {profile.transformer.base} and profile {profile.name} disagree (base, profile): {different}; "
            "set the profile's transformer keys to the base's sizes, or name another base"
        )


def _agreeing(folder: Path, name: str, profile: Profile) -> OmniHumanModel:
    """The transformer of `folder`, which has the parts that the profile asks for."""
    model, expected = load_transformer(folder), own_configuration(profile)
    if profile.transformer.base is None:
        kind = base_of(profile).load()
        if not isinstance(model, kind):
            raise TrainingError(
                f"{name} is a {type(model).__name__}, and profile {profile.name} asks for a {kind.__name__}: set transformer.architecture, or take "
                "another parent"
            )
        expected |= {"in_channels": kind.sizes(profile.transformer)["in_channels"]}
    different = {k: (model.config.get(k), v) for k, v in expected.items() if _plain(model.config.get(k)) != _plain(v)}
    if different:
        raise TrainingError(f"{name} and profile {profile.name} disagree ({name.split()[0]}, profile): {different}")
    return model


def own_configuration(profile: Profile, kind: type[OmniHumanModel] | None = None) -> dict[str, Any]:
    """What OmniHuman adds to a base's configuration: by the names that every `OmniHumanModel` takes, and how many text encoders it listens to.

    `kind` is the base's class where the profile says no longer which it is, as one that a plan has cut.

    Raises:
        InputError: the profile names more or fewer of them than the base takes.
    """
    config, kind = profile.transformer, kind or planned_base(profile).load()
    own = {name: getattr(config, name) for name in NEW_PARTS} | {"pose_keypoints": len(config.pose_keypoints)}
    if STRIDE in own_arguments(kind):
        own[STRIDE] = profile.video.temporal_stride
    elif profile.video.temporal_stride != 4:
        raise TrainingError(
            f"video.temporal_stride is {profile.video.temporal_stride}, and {kind.base_name} is made for latents of four frames: take Wan's base, or "
            "an autoencoder of four"
        )
    return own | kind.of_texts(len(profile.encoders.texts))


def _plain(value):
    return list(value) if isinstance(value, (list, tuple)) else value

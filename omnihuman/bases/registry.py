"""Which bases there are, and which one a folder holds: what its config.json calls the class decides."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from omnihuman.bases.checkpoint import class_name
from omnihuman.errors import InputError


@dataclass(frozen=True)
class Base:
    """Where a base's file is, so that those that nobody asks for are not imported.

    Attributes:
        architecture: as a profile's `transformer.architecture` names it.
        module: where the model class is.
        model: name of the subclass of `omnihuman.bases.model.OmniHumanModel`, as saved models name it.
        published: what published folders call the class.
    """

    architecture: str
    module: str
    model: str
    published: tuple[str, ...]

    def load(self) -> Any:
        """Import the model class."""
        return getattr(import_module(self.module), self.model)


_BASES = {
    base.architecture: base
    for base in (
        Base("wan", "omnihuman.transformer", "OmniHumanTransformer3DModel", ("WanTransformer3DModel", "WanModel")),
        Base(
            "hunyuan_video",
            "omnihuman.bases.hunyuan_video",
            "OmniHumanHunyuanVideoTransformer3DModel",
            ("HunyuanVideoTransformer3DModel",),
        ),
        Base(
            "hunyuan_video15",
            "omnihuman.bases.hunyuan_video15",
            "OmniHumanHunyuanVideo15Transformer3DModel",
            ("HunyuanVideo15Transformer3DModel",),
        ),
        Base(
            "stable_diffusion3",
            "omnihuman.bases.stable_diffusion3",
            "OmniHumanSD3Transformer2DModel",
            ("SD3Transformer2DModel",),
        ),
    )
}
DEFAULT = "wan"


def register(base: Base) -> None:
    """Make one more base known to this process."""
    _BASES[base.architecture] = base


def bases() -> tuple[Base, ...]:
    """All that are known."""
    return tuple(_BASES.values())


def base_named(architecture: str | None) -> Base:
    """By a profile's name of it; None is Wan.

    Raises:
        InputError: there is none; those that there are are listed.
    """
    try:
        return _BASES[architecture or DEFAULT]
    except KeyError:
        raise InputError(
            f"transformer.architecture is {architecture!r}; there are {', '.join(sorted(_BASES))} (docs/extend/base.md adds one)"
        ) from None


def base_of_class(name: str | None, place: str | Path) -> Base:
    """By the class that a config.json names, published or one of ours.

    Raises:
        InputError: none that is supported; those that are are listed.
    """
    for base in bases():
        if name == base.model or name in base.published:
            return base
    supported = ", ".join(f"{base.published[0]} ({base.architecture})" for base in bases())
    raise InputError(
        f"{place} holds a {name or 'model whose config.json names no class'}, which is no base of OmniHuman's; supported are {supported}"
    )


def base_at(source: str | Path) -> Base | None:
    """Of a folder of a transformer or of its pipeline; None of what is no folder here: Wan's single files and hub ids.

    Raises:
        InputError: another kind of model.
    """
    for folder in (Path(source), Path(source) / "transformer"):
        if (folder / "config.json").is_file():
            return base_of_class(class_name(folder), folder)
    return None


def is_ours(source: str | Path) -> bool:
    """Whether a folder holds a transformer of OmniHuman's own, which knows its conditions already."""
    name = class_name(source)
    return any(name == base.model for base in bases())

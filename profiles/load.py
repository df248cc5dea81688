"""Find a profile by name or path, apply `key.path=value` overrides, validate once."""

import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from media.user_error import UserError
from profiles.schema import Profile

HERE = Path(__file__).parent


class ProfileError(UserError):
    """A profile that does not exist or does not validate; the message names the key and the remedy."""

    exit_code = 2


def available_profiles() -> list[str]:
    """Names of the profiles that ship with the project."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def load_profile(name: str | None = None, overrides: Sequence[str] | None = None) -> Profile:
    """Load and validate.

    Args:
        name: a shipped profile or the path of a YAML file; default `$OMNIHUMAN_PROFILE`, then `laptop`.
        overrides: `stage_1.steps=10` and the like, values in YAML; default `$OMNIHUMAN_SET`, separated by spaces.

    Raises:
        ProfileError: unknown profile, unknown key, or a value that does not fit.
    """
    name = name or os.environ.get("OMNIHUMAN_PROFILE", "laptop")
    overrides = os.environ.get("OMNIHUMAN_SET", "").split() if overrides is None else overrides
    path = Path(name) if name.endswith((".yaml", ".yml")) else HERE / f"{name}.yaml"
    if not path.is_file():
        raise ProfileError(
            f"no profile {name!r}; shipped profiles are {', '.join(available_profiles())}, or give a .yaml path"
        )
    return _validated(_read(path.read_bytes(), str(path)), overrides, str(path))


def changed_profile(profile: Profile, overrides: Sequence[str]) -> Profile:
    """A profile with more overrides; what its presets filled in stays as it is.

    Raises:
        ProfileError: unknown key, or a value that does not fit.
    """
    return _validated(profile.model_dump(mode="json"), overrides, profile.name)


def _validated(values: Any, overrides: Sequence[str], name: str) -> Profile:
    if not isinstance(values, dict):
        raise ProfileError(f"profile {name} holds no keys; profiles/laptop.yaml shows a whole one")
    for override in overrides:
        _apply(values, override)
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ProfileError(f"profile {name} does not validate:\n" + "\n".join(lines)) from error


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals:
        raise ProfileError(f"override {override!r} is not of the form key.path=value")
    *parents, leaf = key.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ProfileError(f"override {override!r}: {parent} holds {values!r}, which has no keys")
    values[leaf] = _read(text, f"override {override!r}")


def _read(text: str | bytes, where: str) -> Any:
    try:
        return yaml.load(text, yaml.CSafeLoader)  # libyaml's: the same values, in an eighth of the time
    except yaml.YAMLError as error:
        raise ProfileError(f"{where} is no YAML: {error}") from error


def resolve_source(source: str, or_file: bool = False) -> str:
    """Turn a profile's weight source into a folder or hub id; with `or_file` one file is taken too.

    `package:NAME/SUB` is the folder SUB inside the installed package NAME; `profile:SUB` is a folder beside the
    profiles; anything else stays as it is.

    Raises:
        ProfileError: the named package is not installed, or the folder is missing.
    """
    scheme, _, rest = source.partition(":")
    if scheme == "profile":
        folder = HERE / rest
    elif scheme == "package":
        package, _, sub = rest.partition("/")
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise ProfileError(
                f"{source}: package {package} is not installed; run `pip install {package.replace('_', '-')}`"
            )
        folder = Path(next(iter(spec.submodule_search_locations))) / sub
    elif source.startswith((".", "/")):
        folder = Path(source)
    else:
        return source
    if not (folder.is_dir() or (or_file and folder.is_file())):
        raise ProfileError(
            f"{source}: no folder {'or file ' if or_file else ''}{folder}; download the weights there or correct the profile"
        )
    return str(folder)

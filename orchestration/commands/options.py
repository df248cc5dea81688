"""What commands share: options, and the workspace that they open.

A command imports its work when it runs: help and a mistyped option are answered without pandas, torch or even a profile.
"""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from media.user_error import UserError

if TYPE_CHECKING:
    from assets.core.workspace import Workspace

SetOption = Annotated[list[str] | None, typer.Option("--set", help="override a profile key: --set stage_1.steps=10")]
ProfileOption = Annotated[
    str | None, typer.Option(help="laptop, people, wan2.1-1.3b, wan2.1-14b, seaweed-8b, or a .yaml path")
]
DeviceOption = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1 or auto; default the profile's evaluation.device")
]
QuantiseOption = Annotated[
    str | None,
    typer.Option(
        help="int8 or fp8: hold the transformer's matrices in 8 bits, half of bfloat16's memory; default the profile's evaluation.quantise"
    ),
]


class CommandError(UserError, ValueError):
    """Options that cannot be followed, or something missing that a command reads; the message says what to do."""


def open_with(
    profile: str | None = None,
    overrides: list[str] | None = None,
    writes: bool = True,
    device: str | None = None,
    quantise: str | None = None,
) -> "Workspace":
    """The workspace, profile and overrides also in the environment, where processes that this one starts find them.

    Args:
        profile, overrides: as options name them.
        writes: the command makes files in the home; one that only looks goes on where it may not be written.
        device, quantise: in place of `evaluation.device` and `evaluation.quantise`.

    Raises:
        assets.core.home.HomeError: it writes, and no file can be made there.
        profiles.ProfileError: unknown profile or key.
    """
    from assets.core.workspace import open_workspace

    if profile:
        os.environ["OMNIHUMAN_PROFILE"] = profile
    said = {"evaluation.device": device, "evaluation.quantise": quantise}
    overrides = [*(overrides or ()), *(f"{key}={value}" for key, value in said.items() if value is not None)]
    if overrides:
        os.environ["OMNIHUMAN_SET"] = " ".join([os.environ.get("OMNIHUMAN_SET", ""), *overrides]).strip()
    workspace = open_workspace()
    if writes:
        from assets.core.home import check_home
        from media.access import keep_private

        keep_private()
        check_home(workspace)
    return workspace


def open_here(overrides: list[str] | None) -> "Workspace":
    """With overrides whose values may hold spaces, as predicates do; `$OMNIHUMAN_SET` cannot carry those."""
    from assets.core.workspace import Workspace, default_root
    from profiles import load_profile

    return Workspace(
        default_root(), load_profile(None, [*os.environ.get("OMNIHUMAN_SET", "").split(), *(overrides or [])])
    )


def need(remedy: str, *modules: str) -> None:
    """Raise CommandError with the remedy where one of these packages is not installed."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise CommandError(f"{' and '.join(missing)} not installed; run `{remedy}`")

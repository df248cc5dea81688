"""Component: this project's assets in your code location, all of them or some groups."""

import os
from collections.abc import Sequence

import dagster as dg
from dagster.components import Component, ComponentLoadContext, Model, Resolvable

from assets.core.workspace import HOME_VARIABLE
from assets.dagster.asset_factory import DECISION, INBOX, all_assets
from assets.launchers.resource import TrainingLauncher
from media.user_error import UserError
from orchestration.dagster_location.automation import CONDITIONS
from profiles import load_profile

PROFILE_VARIABLE = "OMNIHUMAN_PROFILE"


class ComponentError(UserError, ValueError):
    """Attributes of a component that cannot be used; the message names both sides."""


class TrainingAssets(Component, Model, Resolvable):
    """Assets from the inbox to the promoted champion, with their jobs, sensors and the nightly schedule.

    Runs of the code location read home and profile from its environment; the attributes set them where they are not set.

    Attributes:
        home: the folder with `data/` and `var/`, absolute.
        profile: name or path of a profile.
        groups: of the assets to bring; with some of them jobs, sensors and schedule, which are of the whole flow, are left to you.
    """

    home: str | None = None
    profile: str | None = None
    groups: Sequence[str] | None = None

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        """All definitions of the project, or the assets of some groups.

        Raises:
            ComponentError: an unknown group, a home that is no absolute path, or an environment that says otherwise.
            profiles.ProfileError: no such profile.
        """
        _settle("home", HOME_VARIABLE, self.home)
        _settle("profile", PROFILE_VARIABLE, self.profile)
        if self.home is not None and not os.path.isabs(self.home):
            raise ComponentError(
                f"home is {self.home}; give an absolute path, since runs start in folders of their own"
            )
        load_profile()
        if self.groups is None:
            from orchestration.definitions import defs

            return defs
        specs, assets = [INBOX, DECISION], all_assets(CONDITIONS)
        known = {group for asset in assets for group in asset.group_names_by_key.values()}
        if unknown := sorted(set(self.groups) - known):
            raise ComponentError(f"groups: {', '.join(unknown)} is none of {', '.join(sorted(known))}")
        kept = [asset for asset in assets if set(asset.group_names_by_key.values()) <= set(self.groups)]
        beside = [spec for spec in specs if spec.group_name in self.groups]
        return dg.Definitions(assets=[*beside, *kept], resources={"launcher": TrainingLauncher()})


def _settle(attribute: str, variable: str, value: str | None) -> None:
    if value is None:
        return
    there = os.environ.setdefault(variable, value)
    if there != value:
        raise ComponentError(
            f"{attribute} is {value} and ${variable} is {there}; say the same, or leave one of them out"
        )

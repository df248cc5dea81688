"""What the registry holds of what products say that they registered: on MLflow's page anybody can delete a version or an alias."""

import json

from assets.core.names import STUDENT
from assets.core.workspace import Workspace
from tracking.model_address import CHAMPION

VERSIONS, DECISION = "model_version.json", "decision.json"  # files of registered_model and promoted_champion


def registered_model_stands(workspace: Workspace) -> bool:
    """Whether every version that the asset registered is there. In a home that has no registry, as a fresh clone, nothing was deleted."""
    return not workspace.tracker.exists() or not missing_versions(workspace)


def promoted_champion_stands(workspace: Workspace) -> bool:
    """Whether the version that was champion after the last decision is there; the gate is asked again where it is not."""
    champion = recorded_champion(workspace)
    return champion is None or not workspace.tracker.exists() or workspace.registry.has(STUDENT, champion)


def missing_versions(workspace: Workspace) -> list[str]:
    """Names of the registered versions that the registry has not got (any more), as `omnihuman-student version 3`."""
    path = workspace.data("registered_model") / VERSIONS
    registered = json.loads(path.read_text()) if path.is_file() else {}
    return [
        f"{name} version {entry['version']}"
        for name, entry in registered.items()
        if not workspace.registry.has(name, entry["version"])
    ]


def recorded_champion(workspace: Workspace) -> int | None:
    """The champion after the last decision, as its record says; None where there was none, or no decision yet."""
    path = workspace.data("promoted_champion") / DECISION
    champion: int | None = json.loads(path.read_text())["champion"] if path.is_file() else None
    return champion


def where_champion_stands(workspace: Workspace) -> tuple[bool, str]:
    """Whether alias champion stands where the last decision left it or where people moved it, and a line that says where and what to do."""
    recorded = recorded_champion(workspace)
    if not workspace.tracker.exists():
        if recorded is None:
            return True, "no model is champion yet"
        return False, (
            f"version {recorded} was promoted in another home's registry; name its server by MLFLOW_TRACKING_URI, or register the weights "
            "here: `python -m assets registered_model --force`"
        )
    missing = missing_versions(workspace)
    if missing:
        return (
            False,
            f"{' and '.join(missing)} were registered and are gone; `omnihuman demo` registers the weights anew",
        )
    stands = workspace.registry.aliases(STUDENT).get(CHAMPION)
    if stands is not None:
        moved = "" if stands == recorded else f" (by hand; the last decision left it at {recorded or 'none'})"
        return True, f"models:/{STUDENT}@champion is version {stands}{moved}"
    if recorded is None:
        return True, "no model is champion yet"
    if workspace.registry.has(STUDENT, recorded):
        return False, f"alias champion was taken from version {recorded}; `omnihuman promote {recorded}` gives it back"
    return False, f"version {recorded} was champion and is gone; `omnihuman demo` asks the gate again"

"""The sensor that notices when somebody moves the champion by MLflow's own buttons, past the gate: it is recorded, and told."""

import json
import time
from typing import TYPE_CHECKING

import dagster as dg

from assets.core.workspace import Workspace, open_workspace
from orchestration.dagster_location.alerts import Alert, send, sinks
from tracking.mlflow_store import store_file

if TYPE_CHECKING:
    from assets.kinds.registration.champion_pair import StrayAlias

RECORDED = "past_the_gate"  # tag of the version that an alias was moved to


@dg.sensor(
    name="moved_champion_alert",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the sinks of $OMNIHUMAN_ALERTS when alias champion or previous was moved by MLflow's own buttons, and not by the gate, "
    "`omnihuman promote` or `omnihuman rollback`; recorded as an observation of promoted_champion and as a tag of the version.",
)
def moved_champion_alert(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """One alert per move. The cursor holds when the store's file was last written, and what was told."""
    workspace = open_workspace()
    written, told = _from_cursor(context.cursor)
    now_written = _last_written(workspace)
    if now_written is not None and now_written == written:
        return dg.SkipReason("nothing was written to the registry since the last look")
    stray = _stray(workspace)
    texts = [str(alias) for alias in stray]
    cursor = json.dumps([now_written, texts])
    if not stray or texts == told:
        context.update_cursor(cursor)
        return dg.SkipReason("; ".join(texts) or "every alias stands where the last move left it")
    remedy = (
        "`omnihuman promote VERSION` asks the gate (`--override REASON` does without), `omnihuman rollback` goes back"
    )
    facts = {f"{alias.model}@{alias.alias}": str(alias.stands_at or "nowhere") for alias in stray}
    send(
        Alert("moved_champion", "The champion was moved past the gate", f"{'; '.join(texts)}. {remedy}", facts), sinks()
    )
    _record(workspace, stray)
    metadata: dict[str, dg.MetadataValue] = {
        "past_the_gate": dg.MetadataValue.text("; ".join(texts)),
        "remedy": dg.MetadataValue.text(remedy),
    }
    context.log.warning("; ".join(texts))
    return dg.SensorResult(
        cursor=cursor,
        asset_events=[dg.AssetObservation("promoted_champion", metadata=metadata)],
    )


def _stray(workspace: Workspace) -> "list[StrayAlias]":
    file = store_file(workspace.tracking_uri)
    if file is not None and not file.is_file():
        return []  # asking would make the store
    from assets.kinds.registration.champion_pair import stray_aliases  # MLflow, which the code location does not need

    return stray_aliases(workspace.registry)


def _record(workspace: Workspace, stray: "list[StrayAlias]") -> None:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for alias in stray:
        if alias.stands_at is not None:
            workspace.registry.set_tags(alias.model, alias.stands_at, {RECORDED: f"{alias} (seen {when})"})


def _last_written(workspace: Workspace) -> int | None:
    """When a store of this machine was written, in nanoseconds; None where it is a server, or not there."""
    file = store_file(workspace.tracking_uri)
    return file.stat().st_mtime_ns if file is not None and file.is_file() else None


def _from_cursor(cursor: str | None) -> tuple[int | None, list[str]]:
    written, told = json.loads(cursor) if cursor else (None, [])
    return written, told

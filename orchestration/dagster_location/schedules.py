"""Nightly training, which asks first whether there is anything new to learn from."""

import logging

import dagster as dg

from assets.core.names import CHAMPION, SCRATCH
from assets.core.workspace import open_workspace
from assets.dagster.asset_factory import DECISION, begin_from
from assets.retraining.refresh_decision import RefreshDecision, record_decision
from orchestration.dagster_location.alerts import Alert, AlertError, send, sinks
from orchestration.dagster_location.jobs import train_job

_log = logging.getLogger(__name__)
TAG_LENGTH = 1000
REASON, RECORD, FINGERPRINT = "omnihuman/refresh", "omnihuman/refresh_record", "omnihuman/refresh_fingerprint"
START = "omnihuman/refresh_start"


@dg.schedule(
    job=train_job,
    cron_schedule="0 2 * * *",
    description="Trains (on from the champion's teacher where that can be), "
    "distils, scores and promotes when the champion misses new hours, drifted or withdrawn clips, or what people ask of it, or was made "
    "by other code; each decision is kept under var/refresh_decisions and as an observation of training_snapshot.",
)
def nightly_training(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Ask, keep the answer, and request the run or say why not."""
    from assets.retraining.refresh import ask  # lineage and drift, which the code location does not need

    workspace = open_workspace()
    if not workspace.shards("condition_features"):
        return dg.SkipReason(f"no shard under {workspace.data('condition_features')} is ready to be trained on yet")
    decision = ask(workspace)
    record = record_decision(decision, workspace.var / "refresh_decisions")
    context.instance.report_runless_asset_event(dg.AssetObservation("training_snapshot", metadata=_metadata(decision)))
    context.instance.report_runless_asset_event(dg.AssetMaterialization(DECISION.key, metadata=_metadata(decision)))
    _tell_of_drift(decision)
    if not decision.refresh:
        return dg.SkipReason(str(decision))
    start, why = _untried_start(context.instance, decision)
    if start is None:
        return dg.SkipReason(f"{decision}; but {why}")
    tags = {
        REASON: str(decision)[:TAG_LENGTH], RECORD: str(record), FINGERPRINT: _fingerprint(decision, start),
        START: f"{start}: {why}"[:TAG_LENGTH],
    }  # fmt: skip
    return dg.RunRequest(run_config=begin_from(start), tags=tags)


def _tell_of_drift(decision: RefreshDecision) -> None:
    """An alert that nobody takes must not cost the night's training."""
    drifted = [column for column in decision.facts.drift if column.drifted]
    if not drifted:
        return
    facts = {"champion": str(decision.facts.champion), "new_clips": str(decision.facts.new_clips)}
    title = f"{len(drifted)} score columns of {decision.facts.new_clips} new clips drifted from the champion's"
    try:
        send(Alert("drift", title, ", ".join(map(str, drifted)), facts), sinks())
    except AlertError:
        _log.exception("the alert of drift was not delivered to all")


def _untried_start(instance: dg.DagsterInstance, decision: RefreshDecision) -> tuple[str | None, str]:
    """Where to begin, and why: as decided, but from scratch after a continuation in vain, and not at all after both."""
    tried = _tried(instance, _fingerprint(decision, decision.start))
    if tried is None:
        return decision.start, decision.start_reason
    said = f"run {tried.run_id} of the same clips, code and settings is {tried.status.value.lower()}"
    finished = tried.status == dg.DagsterRunStatus.SUCCESS
    if decision.start == CHAMPION and finished and _tried(instance, _fingerprint(decision, SCRATCH)) is None:
        return SCRATCH, f"going on from the champion gave no better one: {said}"
    return None, said


def _fingerprint(decision: RefreshDecision, start: str) -> str:
    return f"{decision.facts.fingerprint}-{start}"


def _tried(instance: dg.DagsterInstance, fingerprint: str) -> dg.DagsterRun | None:
    """The last run that was asked for with these facts, unless it broke: a student that the gate refused would be no better
    tonight."""
    runs = instance.get_runs(dg.RunsFilter(tags={FINGERPRINT: fingerprint}), limit=1)
    broke = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
    return None if not runs or runs[0].status in broke else runs[0]


def _metadata(decision: RefreshDecision) -> dict[str, dg.MetadataValue]:
    """Plain numbers, so that the asset's page plots them over time."""
    facts = decision.facts
    numbers = {"refresh": int(decision.refresh), "new_clips": facts.new_clips, "lost_clips": facts.lost_clips}
    values: dict[str, dg.MetadataValue] = {name: dg.MetadataValue.int(value) for name, value in numbers.items()}
    values |= {f"new_hours_{name}": dg.MetadataValue.float(value) for name, value in facts.new_hours.items()}
    if facts.drift:
        values["largest_psi"] = dg.MetadataValue.float(max(column.psi for column in facts.drift))
        values["largest_ks"] = dg.MetadataValue.float(max(column.ks for column in facts.drift))
    if facts.served:
        values["largest_served_psi"] = dg.MetadataValue.float(max(one.column.psi for one in facts.served))
    return {
        "decision": dg.MetadataValue.text(str(decision)),
        "start": dg.MetadataValue.text(f"{decision.start}: {decision.start_reason}"),
        **values,
    }

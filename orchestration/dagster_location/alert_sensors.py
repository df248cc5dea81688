"""Sensors that send alerts: a run that failed, a student that the gate refused."""

import dagster as dg

from orchestration.dagster_location.alerts import Alert, send, sinks

MESSAGE_LENGTH = 2000


@dg.run_failure_sensor(
    name="failed_run_alert",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the sinks of $OMNIHUMAN_ALERTS (log, webhook, own code) which run failed, where and why.",
)
def failed_run_alert(context: dg.RunFailureSensorContext) -> None:
    """One alert per failed run, with the first failed step's error."""
    run = context.dagster_run
    failures = context.get_step_failure_events()
    steps = ", ".join(str(event.step_key) for event in failures) or "before any step"
    message = _first_cause(failures[0]) if failures else str(context.failure_event.message)
    partition = run.tags.get("dagster/partition", "")
    facts = {"run_id": run.run_id, "job": run.job_name, "steps": steps, "partition": partition}
    title = f"Run {run.run_id[:8]} of {run.job_name}{f' ({partition})' if partition else ''} failed in {steps}"
    send(Alert("failed_run", title, message[:MESSAGE_LENGTH], facts), sinks())


def _first_cause(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return (error.message if error is not None else str(event.message)).strip()


@dg.asset_sensor(
    asset_key=dg.AssetKey("promoted_champion"),
    name="refused_promotion_alert",
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Tells the sinks of $OMNIHUMAN_ALERTS when the gate refused a student, with each check's verdict.",
)
def refused_promotion_alert(context: dg.SensorEvaluationContext, event: dg.EventLogEntry) -> dg.SkipReason:
    """One alert per refusal."""
    materialization = event.asset_materialization
    values = {name: value.value for name, value in (materialization.metadata if materialization else {}).items()}
    if values.get("promoted") is not False:
        return dg.SkipReason("the gate promoted the student")
    challenger = str(values.get("challenger", "?"))
    title = f"The gate refused version {challenger} of the student"
    send(
        Alert(
            "refused_promotion",
            title,
            str(values.get("checks", "")),
            {"run_id": event.run_id, "challenger": challenger},
        ),
        sinks(),
    )
    return dg.SkipReason(f"told: {title}")

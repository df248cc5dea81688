"""Which planned shards to ask for: new ones, and again those whose ingest run failed, with growing pauses."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import dagster as dg

PARTITION_TAG = "dagster/partition"
FIRST_PAUSE = 60.0  # seconds after the first failure; each further one doubles it
ATTEMPTS = 6  # the last pause is half an hour; by then a person is needed


@dataclass
class Requests:
    """Runs to request, and what a person should know about the shards that are not requested."""

    runs: list[dg.RunRequest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def ingest_requests(instance: dg.DagsterInstance, job_name: str, shards: Sequence[str], now: float) -> Requests:
    """One request per shard that is planned and not made, unless a run of it is under way or failed a moment ago.

    Dagster starts a run key once, ever, so that a tick that dies repeats nothing; the key therefore counts the runs that
    ended without leaving the shard.

    Args:
        instance: whose runs are looked at.
        job_name: of the ingest job.
        shards: planned and not yet made.
        now: seconds since the epoch.
    """
    found = Requests()
    for shard in shards:
        records = instance.get_run_records(
            dg.RunsFilter(job_name=job_name, tags={PARTITION_TAG: shard}), limit=ATTEMPTS + 1
        )
        if any(not record.dagster_run.is_finished for record in records):
            found.notes.append(f"{shard} is being ingested")
            continue
        if len(records) >= ATTEMPTS:
            found.notes.append(
                f"{shard} failed {len(records)} times and is not tried again; see its last run {records[0].dagster_run.run_id}"
            )
            continue
        pause = FIRST_PAUSE * 2 ** (len(records) - 1) if records else 0.0
        ended = max((record.end_time or 0.0 for record in records), default=0.0)
        # A clock that was set back must not hold it up for ever.
        if 0 <= now - ended < pause:
            found.notes.append(f"{shard} failed and is tried again in {pause - (now - ended):.0f} s")
            continue
        found.runs.append(dg.RunRequest(run_key=f"{shard}/{len(records)}", partition_key=shard))
    return found

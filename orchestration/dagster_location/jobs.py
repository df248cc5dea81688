"""Named selections of the graph."""

import dagster as dg

from assets.core.catalogue import FLOW
from assets.core.names import CHAMPION, SCRATCH
from assets.dagster.asset_factory import begin_from

PER_SHARD = tuple(step.name for step in FLOW if step.sharded)

ingest_job = dg.define_asset_job(
    "ingest",
    dg.AssetSelection.assets("raw_clips"),
    description="One shard of the inbox; what reads it follows by itself.",
)
curate_job = dg.define_asset_job(
    "curate", dg.AssetSelection.assets(*PER_SHARD), description="All per-shard assets of a shard, for a backfill."
)
# Studies and slim decoders hang on the same parents, but nothing of the flow reads them: they are started by hand.
TRAINED = dg.AssetSelection.assets(*(step.name for step in FLOW if not step.sharded))
train_job = dg.define_asset_job(
    "train_and_promote",
    TRAINED,
    config=begin_from(SCRATCH),
    description="From scratch: snapshot, three stages, distillation, benchmark, registration, gate.",
)
continue_job = dg.define_asset_job(
    "continue_and_promote",
    TRAINED,
    config=begin_from(CHAMPION),
    description="On from the champion: snapshot, its teacher trained on as `continuation` says, distillation, benchmark, registration, gate.",
)
JOBS = [ingest_job, curate_job, train_job, continue_job]

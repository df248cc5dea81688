"""Dagster learns that data stands which no run of its own made."""

from collections.abc import Mapping

import dagster as dg

from assets.core.catalogue import STEPS
from assets.dagster.asset_factory import SHARDS

VERSION, CODE, INPUT = "dagster/data_version", "dagster/code_version", "dagster/input_data_version/"


def report_restored(instance: dg.DagsterInstance, adopted: Mapping[tuple[str, str | None], str], point: str) -> int:
    """Report a materialisation of each asset (and shard) whose last one had another content version; returns how many.

    What Dagster knows in this version already gets none: automation conditions would look at it as at news.

    Args:
        instance: that hears of it.
        adopted: (asset, shard) to content version.
        point: name of the restored state, for the asset's page.
    """
    shards = {shard for _, shard in adopted if shard is not None}
    new = sorted(shards - set(instance.get_dynamic_partitions(str(SHARDS.name))))
    if new:
        instance.add_dynamic_partitions(str(SHARDS.name), new)
        instance.report_runless_asset_event(dg.AssetObservation("inbox", metadata={"shards": new, "restored": point}))
    told = 0
    for (name, shard), version in adopted.items():
        if _known_version(instance, name, shard) == version:
            continue
        above = {up: adopted.get((up, shard if STEPS[up].sharded else None)) for up in STEPS[name].upstream}
        tags = {
            VERSION: version,
            CODE: STEPS[name].version,
            **{f"{INPUT}{up}": v for up, v in above.items() if v is not None},
        }
        instance.report_runless_asset_event(
            dg.AssetMaterialization(name, partition=shard, tags=tags, metadata={"restored": point})
        )
        told += 1
    return told


def _known_version(instance: dg.DagsterInstance, name: str, shard: str | None) -> str | None:
    partitions = None if shard is None else [shard]
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), asset_partitions=partitions)
    records = instance.fetch_materializations(wanted, limit=1).records
    found = records[0].asset_materialization if records else None
    return None if found is None or found.tags is None else found.tags.get(VERSION)

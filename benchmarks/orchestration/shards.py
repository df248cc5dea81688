"""What 10,000 shards cost: ticks of the sensor and of automation, the asset page's queries, one more shard in DVC, a refresh of nothing.

`python -m benchmarks.orchestration.shards [SHARDS] [FILES]`: shards of FILES clips each, as ingest leaves them on disk but without a picture in
them, in a real Dagster instance in SQLite. History of all shards but the first is the first one's rows under other names: Dagster
itself would take an hour to write it.
"""

import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from assets.core.catalogue import STEPS
from assets.core.dvc_stages import ensure_repository, record_in_dvc, record_shard
from assets.core.versions import fingerprint
from assets.core.workspace import HOME_VARIABLE, Workspace, open_workspace
from assets.make.execute import is_current
from assets.make.mark_current import adopt
from orchestration.dagster_location.instance import open_instance
from orchestration.dagster_location.jobs import PER_SHARD

DIGITS = 12


def main() -> None:
    """Print one line per measure."""
    count, files = (int(text) for text in (sys.argv[1:] + ["10000", "10"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as root:
        os.environ.update({HOME_VARIABLE: root, "OMNIHUMAN_PROFILE": "laptop", "OMNIHUMAN_REMOTE": "none"})
        workspace = open_workspace()
        ensure_repository(workspace)
        with open_instance(workspace) as instance:
            show("setting up", lambda: set_up(workspace, instance, count, files))
            stored = sum(path.stat().st_size for path in workspace.dagster_home.rglob("*") if path.is_file())
            print(f"Dagster's stores: {stored / 2**20:.0f} MiB, {stored / count / 2**10:.1f} KiB a shard", flush=True)
            sensor(workspace, instance, count)
            automation(instance, count)
            pages(instance)
            disk(workspace, count)


def show(name: str, work: Callable[[], Any]) -> Any:
    """Run `work` and print its seconds, of the clock and of this process."""
    wall, own = time.perf_counter(), time.process_time()
    found = work()
    print(f"{name:<64} {time.perf_counter() - wall:8.2f} s, {time.process_time() - own:8.2f} s of a core", flush=True)
    return found


def shard_name(number: int) -> str:
    """As long as a real one."""
    return f"s-{number:0{DIGITS}x}"


def set_up(workspace: Workspace, instance: dg.DagsterInstance, count: int, files: int) -> None:
    """Shards on disk, their clips in the inbox, their history in Dagster."""
    for number in range(count):
        put_shard(workspace, number, files)
    instance.add_dynamic_partitions("shard", [shard_name(number) for number in range(count)])
    instance.report_runless_asset_event(dg.AssetObservation("inbox", tags={"dagster/data_version": "1"}))
    for asset in PER_SHARD:
        report(instance, asset, 0)
    repeat_history(Path(instance.root_directory) / "history" / "runs" / "index.db", count)


def put_shard(workspace: Workspace, number: int, files: int) -> None:
    """The small files of one shard, and its clips in the inbox."""
    import hashlib

    import pyarrow as pa
    import pyarrow.parquet as pq

    contents = [f"{number}-{one}".encode() for one in range(files)]
    hashes = [hashlib.sha256(content).hexdigest() for content in contents]
    inbox = workspace.inbox / f"{number:05d}"
    inbox.mkdir(parents=True)
    for one, content in enumerate(contents):
        (inbox / f"{one}.mp4").write_bytes(content)
        os.utime(inbox / f"{one}.mp4", (1e9, 1e9))
    clips = pa.table({"clip_id": [value[:16] for value in hashes], "source_sha256": hashes})
    for asset in PER_SHARD:
        folder = workspace.data(asset, shard_name(number))
        folder.mkdir(parents=True)
        pq.write_table(clips, folder / ("clips.parquet" if asset == "raw_clips" else "table.parquet"))
        (folder / STEPS[asset].marker).write_text(json.dumps({"format": 2, "name": shard_name(number)}))
    pq.write_table(
        pa.table({"sha256": pa.array([], pa.string())}),
        workspace.data("raw_clips", shard_name(number)) / "quarantine.parquet",
    )


def report(instance: dg.DagsterInstance, asset: str, number: int) -> None:
    """A materialisation as a run would leave it: of a version, from a version of each input."""
    above = {f"dagster/input_data_version/{name}": f"v-{shard_name(number)}" for name in STEPS[asset].upstream}
    tags = {"dagster/data_version": f"v-{shard_name(number)}", **above}
    instance.report_runless_asset_event(
        dg.AssetMaterialization(asset, partition=shard_name(number), metadata={"clips": 1000}, tags=tags)
    )


def repeat_history(path: Path, count: int) -> None:
    """All events of shard 0, and their tags, for every other shard."""
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        events = database.execute("select * from event_logs where partition = ?", (shard_name(0),)).fetchall()
        names = [name for name in tuple(events[0].keys()) if name != "id"]
        put = f"insert into event_logs ({', '.join(names)}) values ({', '.join('?' * len(names))})"
        for event in events:
            tags = database.execute(
                "select asset_key, key, value, event_timestamp from asset_event_tags where event_id = ?", (event["id"],)
            ).fetchall()
            for number in range(1, count):
                row = [
                    value.replace(shard_name(0), shard_name(number)) if isinstance(value, str) else value
                    for value in (event[name] for name in names)
                ]
                made = database.execute(put, row).lastrowid
                named = [
                    (
                        made,
                        tag["asset_key"],
                        tag["key"],
                        tag["value"].replace(shard_name(0), shard_name(number)),
                        tag["event_timestamp"],
                    )
                    for tag in tags
                ]
                database.executemany(
                    "insert into asset_event_tags (event_id, asset_key, key, value, event_timestamp) values (?, ?, ?, ?, ?)",
                    named,
                )


def sensor(workspace: Workspace, instance: dg.DagsterInstance, count: int) -> None:
    """A tick of a code server that just started, one that has looked before, and one that finds a new shard."""
    from orchestration.dagster_location.sensors import inbox_sensor

    def tick() -> Any:
        return inbox_sensor(dg.build_sensor_context(instance=instance))

    assert isinstance(show("sensor, first tick of a code server", tick), dg.SkipReason)
    assert isinstance(show("sensor, nothing new", tick), dg.SkipReason)
    (workspace.inbox / "new.mp4").write_bytes(b"new")
    os.utime(workspace.inbox / "new.mp4", (1e9, 1e9))
    assert len(show("sensor, one new shard", tick).run_requests) == 1
    (workspace.inbox / "new.mp4").unlink()
    assert isinstance(show("sensor, its file gone again", tick), dg.SkipReason)
    assert len(show("all partitions by name", lambda: instance.get_dynamic_partitions("shard"))) == count


def automation(instance: dg.DagsterInstance, count: int) -> None:
    """Nothing new, then a shard whose clips were just ingested."""
    from orchestration.definitions import defs

    first = show("automation, first tick", lambda: dg.evaluate_automation_conditions(defs=defs, instance=instance))
    second = show(
        "automation, nothing new",
        lambda: dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=first.cursor),
    )
    instance.add_dynamic_partitions("shard", [shard_name(count)])
    report(instance, "raw_clips", count)
    third = show(
        "automation, one new shard",
        lambda: dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=second.cursor),
    )
    asked = {result.key.to_user_string() for result in third.results if not result.true_subset.is_empty}
    print(
        f"  asked for: {first.total_requested}, {second.total_requested}, {third.total_requested} ({', '.join(sorted(asked))})"
    )


GRAPH = """{ assetNodes { id assetKey { path } groupName kinds isPartitioned dependencyKeys { path } dependedByKeys { path } staleStatus
  partitionStats { numMaterialized numPartitions numFailed numMaterializing } } }"""
PAGE = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode { id description staleStatus
  partitionStats { numMaterialized numPartitions numFailed numMaterializing }
  partitionKeysByDimension { name partitionKeys }
  assetPartitionStatuses { ... on DefaultPartitionStatuses { materializedPartitions failedPartitions unmaterializedPartitions materializingPartitions } } } } }"""
EVENTS = """query($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset { assetMaterializations(limit: 100) { partition timestamp
  metadataEntries { label __typename } } } } }"""


def pages(instance: dg.DagsterInstance) -> None:
    """What the UI asks for, to draw the graph of all assets and the page of one."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import ModuleTarget
    from dagster_graphql.schema import create_schema

    schema = create_schema()
    with WorkspaceProcessContext(
        instance, ModuleTarget("orchestration.definitions", None, working_directory=None, location_name=None)
    ) as process:

        def ask(query: str, **variables: Any) -> Any:
            answer = asyncio.run(
                schema.execute_async(query, variables=variables, context=process.create_request_context())
            )
            assert not answer.errors, answer.errors
            return answer.data

        key = {"path": ["clip_scores"]}
        show("page: graph of all assets", lambda: ask(GRAPH))
        show("page: graph of all assets, again", lambda: ask(GRAPH))
        show("page: partitions of one asset", lambda: ask(PAGE, key=key))
        show("page: partitions of one asset, again", lambda: ask(PAGE, key=key))
        show("page: its last 100 materialisations", lambda: ask(EVENTS, key=key))


def disk(workspace: Workspace, count: int) -> None:
    """One more shard in DVC, and whether anything is to do."""
    for asset in PER_SHARD:
        show(f"DVC, all shards of {asset}", lambda asset=asset: record_in_dvc(workspace, STEPS[asset]))
    adopted = show("a fresh clone takes over what was pulled", lambda: adopt(workspace))
    asked = [(STEPS[asset], shard) for asset in PER_SHARD for shard in workspace.shards(asset)]
    current = show(
        "is it current? for all shards of four assets", lambda: [is_current(workspace, *one) for one in asked]
    )
    assert len(adopted) == len(asked) == 4 * count and all(current)
    show(
        "what a snapshot of all of them is made from",
        lambda: fingerprint(workspace, STEPS["training_snapshot"], None, STEPS),
    )
    put_shard(workspace, count, 1)
    show("DVC, one more shard of raw_clips recorded by itself", lambda: record_in_dvc(workspace, STEPS["raw_clips"]))
    put_shard(workspace, count + 1, 1)
    show("DVC, one more shard that waits for others", lambda: record_shard(workspace, STEPS["raw_clips"]))


if __name__ == "__main__":
    main()

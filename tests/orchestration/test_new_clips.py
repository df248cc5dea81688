"""Three clips dropped into the inbox: one shard, and only that shard's assets run."""

import os

import dagster as dg
import pytest

from assets.demo_corpus import PuppetFile, render_puppet
from assets.workspace import open_workspace
from orchestration.definitions import defs
from orchestration.sensors import inbox_sensor

pytestmark = pytest.mark.end_to_end
PER_SHARD = ["raw_clips", "clip_scores", "filtered_subsets", "condition_features"]


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path))
    monkeypatch.setenv("OMNIHUMAN_PROFILE", "laptop")
    monkeypatch.delenv("OMNIHUMAN_SET", raising=False)
    found = open_workspace()
    found.inbox.mkdir()
    return found


def drop(workspace, seeds):
    """Files that were written a while ago: the sensor leaves fresh ones for a later look."""
    for seed in seeds:
        puppet = PuppetFile(seed, "clean", 25)
        render_puppet(puppet, workspace.inbox)
        for path in workspace.inbox.glob(f"{puppet.name}*"):
            os.utime(path, (1e9, 1e9))


class Automation:
    """The sensor's and the conditions' part, run to rest as the daemon would, with every executed step recorded."""

    def __init__(self, instance):
        self.instance, self.cursor, self.steps = instance, None, []
        self.asset_graph = defs.resolve_asset_graph()

    def run(self, names, partition):
        job = defs.resolve_implicit_global_asset_job_def()
        done = job.execute_in_process(
            instance=self.instance, asset_selection=[dg.AssetKey(n) for n in names], partition_key=partition
        )
        self.steps += [(event.step_key, partition) for event in done.get_step_success_events()]

    def tick_sensor(self):
        result = inbox_sensor(dg.build_sensor_context(instance=self.instance, definitions=defs))
        if isinstance(result, dg.SkipReason):
            return []
        for request in result.dynamic_partitions_requests:
            self.instance.add_dynamic_partitions("shard", list(request.partition_keys))
        for event in result.asset_events:
            self.instance.report_runless_asset_event(event)
        for request in result.run_requests:
            self.run(["raw_clips"], request.partition_key)
        return [request.partition_key for request in result.run_requests]

    def tick_conditions(self):
        result = dg.evaluate_automation_conditions(defs=defs, instance=self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        wanted = {}
        for evaluation in result.results:
            for subset in [evaluation.true_subset]:
                if subset.is_empty:
                    continue
                for part in subset.expensively_compute_asset_partitions():
                    wanted.setdefault(part.partition_key, []).append(part.asset_key.to_user_string())
        for partition, names in wanted.items():
            self.run(names, partition)
        return sum(map(len, wanted.values()))

    def to_rest(self):
        while self.tick_conditions():
            pass


def test_three_new_clips_make_one_shard_and_only_its_assets_run(workspace):
    with dg.DagsterInstance.ephemeral() as instance:
        automation = Automation(instance)
        drop(workspace, range(900_000, 900_004))
        automation.tick_conditions()
        first = automation.tick_sensor()
        automation.to_rest()
        assert len(first) == 1
        assert sorted(automation.steps) == sorted((name, first[0]) for name in PER_SHARD)

        automation.steps.clear()
        drop(workspace, range(900_010, 900_013))
        second = automation.tick_sensor()
        automation.to_rest()
        assert len(second) == 1 and second != first
        assert len(automation.steps) == 4
        assert sorted(automation.steps) == sorted((name, second[0]) for name in PER_SHARD)

        automation.steps.clear()
        assert automation.tick_sensor() == []
        automation.to_rest()
        assert automation.steps == []

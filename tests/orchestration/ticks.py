"""Dropped clips, and what the daemon would do about them: the inbox sensor and the automation conditions, run to rest."""

import os

import dagster as dg

from assets.kinds.demo_corpus import PuppetFile, render_puppet
from orchestration.dagster_location.sensors import inbox_sensor
from orchestration.definitions import defs

PER_SHARD = ["raw_clips", "clip_scores", "filtered_subsets", "condition_features"]


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

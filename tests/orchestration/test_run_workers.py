"""A run whose process is gone is found out, and ends as failed; one that runs elsewhere is left alone."""

import json
import logging

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from assets.core.workspace import Workspace
from orchestration.dagster_location.instance import open_instance
from orchestration.run_workers import WatchedRunLauncher
from profiles import load_profile


@dg.op
def nothing():
    pass


@dg.job
def some_job():
    nothing()


@pytest.fixture
def instance(tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "OMNIHUMAN_HOME"):
        monkeypatch.setenv(name, "set back afterwards")
    with open_instance(Workspace(tmp_path, load_profile("laptop", []))) as found:
        yield found


def started(instance, tags):
    run = instance.create_run_for_job(some_job, tags=tags)
    instance.handle_new_event(_event(run, dg.DagsterEventType.PIPELINE_START))
    return instance.get_run_by_id(run.run_id)


def _event(run, kind):
    from dagster._core.events import DagsterEvent

    event = DagsterEvent(event_type_value=kind.value, job_name=run.job_name, message="began")
    return dg.EventLogEntry(
        error_info=None,
        user_message="",
        level=logging.INFO,
        run_id=run.run_id,
        timestamp=0.0,
        job_name=run.job_name,
        dagster_event=event,
    )


def test_dagster_yaml_asks_for_the_watch_and_for_one_retry(instance):
    assert (
        isinstance(instance.run_launcher, WatchedRunLauncher) and instance.run_launcher.supports_check_run_worker_health
    )
    assert instance.run_monitoring_enabled and instance.run_retries_enabled and instance.run_retries_max_retries == 1
    assert not instance.run_retries_retry_on_asset_or_op_failure


def test_a_run_whose_code_server_is_gone_fails_and_says_why(instance, tmp_path):
    gone = {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": str(tmp_path / "nobody.sock")})}
    run = started(instance, gone)
    assert run.status == dg.DagsterRunStatus.STARTED
    health = instance.run_launcher.check_run_worker_health(run)
    assert health.status == WorkerStatus.NOT_FOUND and "code server that started it is gone" in health.msg
    monitor_started_run(instance, None, instance.get_run_record_by_id(run.run_id), logging.getLogger())
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.FAILURE


def test_a_run_of_a_demo_is_its_own_business(instance):
    run = started(instance, {})
    assert instance.run_launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    monitor_started_run(instance, None, instance.get_run_record_by_id(run.run_id), logging.getLogger())
    assert instance.get_run_by_id(run.run_id).status == dg.DagsterRunStatus.STARTED

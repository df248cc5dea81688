"""Three clips dropped into the inbox: one shard, and only that shard's assets run."""

import dagster as dg
import pytest

from assets.core.workspace import open_workspace
from tests.orchestration.ticks import PER_SHARD, Automation, drop

pytestmark = pytest.mark.end_to_end


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path))
    monkeypatch.setenv("OMNIHUMAN_PROFILE", "laptop")
    monkeypatch.delenv("OMNIHUMAN_SET", raising=False)
    found = open_workspace()
    found.inbox.mkdir()
    return found


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

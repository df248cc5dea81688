"""Aliases move, versions keep their files, and nothing is pickled."""

import os
from pathlib import Path

import pytest

from tracking.registry import (
    RegistryError,
    champion_folder,
    get_alias,
    list_versions,
    move_champion,
    register_model,
    set_alias,
)
from tracking.runs import connect, open_run


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


def test_run_records_parameters_curve_and_failure(uri: str, tmp_path: Path) -> None:
    snapshot = tmp_path / "training_snapshot" / "snapshot.json"
    snapshot.parent.mkdir()
    snapshot.write_text('{"digest": "' + "ab" * 32 + '"}')
    with open_run(uri, "training", "stage_1", params={"steps": 3}, tags={"kind": "stage"}, snapshot=snapshot) as run:
        run.log_many([(step, {"loss": 1.0 / (step + 1)}) for step in range(1500)])
        run.figure(b"\x89PNG", "plots/one.png")
    found = connect(uri).get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["steps"] == "3"
    assert found.data.tags["snapshot_digest"] == "ab" * 32
    assert found.inputs.dataset_inputs[0].dataset.digest == "ab" * 16
    assert len(connect(uri).get_metric_history(run.run_id, "loss")) == 1500
    assert [f.path for f in connect(uri).list_artifacts(run.run_id, "plots")] == ["plots/one.png"]

    with pytest.raises(ZeroDivisionError), open_run(uri, "training", "bad") as failed:
        _ = 1 / 0
    assert connect(uri).get_run(failed.run_id).info.status == "FAILED"
    with open_run(uri, "training", "bad", run_id=failed.run_id):
        assert connect(uri).get_run(failed.run_id).info.status == "RUNNING"


def test_alias_round_trip(uri: str, tmp_path: Path) -> None:
    name = "alias-test"
    with pytest.raises(RegistryError, match="make demo"):
        champion_folder(uri, name)
    for number in (1, 2):
        folder = tmp_path / str(number)
        (folder / "transformer").mkdir(parents=True)
        (folder / "transformer" / "weights.safetensors").write_text(f"weights {number}")
        assert register_model(uri, name, folder, tags={"number": str(number)}).version == number
    assert move_champion(uri, name, 1) is None
    assert move_champion(uri, name, 2) == 1
    assert get_alias(uri, name, "previous").version == 1
    assert (champion_folder(uri, name) / "transformer" / "weights.safetensors").read_text() == "weights 2"
    assert [v.aliases for v in list_versions(uri, name)] == [("previous",), ("champion",)]
    assert move_champion(uri, name, 2) == 2, "moving a champion to itself keeps the previous one"
    assert get_alias(uri, name, "previous").version == 1
    with pytest.raises(RegistryError, match="no version 7"):
        set_alias(uri, name, "champion", 7)


def test_reaching_a_store_leaves_the_environment_as_it_was(tmp_path, monkeypatch):
    connect(f"sqlite:///{tmp_path}/one.db")
    assert "MLFLOW_TRACKING_URI" not in os.environ
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    connect(f"sqlite:///{tmp_path}/two.db")
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:1"

"""What MLflow is told waits while it is away, goes out in order when it is back, and counts once."""

import pytest
from mlflow.exceptions import MlflowException

from tracking import outbox as outbox_module
from tracking.outbox import Outbox, TrackingUnreachable, open_patient_run
from tracking.runs import Stopped, connect


class Line:
    """A client whose line can be cut: then every call fails as mlflow's own does."""

    def __init__(self, client):
        self.client, self.cut = client, False

    def __getattr__(self, name):
        if self.cut:
            raise MlflowException(f"API request to {name} failed: connection refused")
        return getattr(self.client, name)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def line(uri, monkeypatch):
    found = Line(connect(uri))
    monkeypatch.setattr(outbox_module, "connect", lambda uri: found)
    monkeypatch.setattr(outbox_module, "PAUSE", 0.0)
    return found


def run_in(uri, work, patience=0.0):
    return open_patient_run(uri, "training", "stage_1", {"steps": 4}, {}, None, work, patience)


def losses(line, run_id):
    return [(point.step, point.value) for point in line.client.get_metric_history(run_id, "loss")]


def test_an_outage_in_the_middle_loses_nothing(uri, line, tmp_path, capsys):
    with run_in(uri, tmp_path) as run:
        run.log_many([(0, {"loss": 4.0})])
        line.cut = True
        run.log_many([(1, {"loss": 3.0}), (2, {"loss": 2.0})])
        run.tag({"event": "skipped"})
        assert losses(line, run.run_id) == [(0, 4.0)]
        line.cut = False
        run.log_many([(3, {"loss": 1.0})])
    assert losses(line, run.run_id) == [(0, 4.0), (1, 3.0), (2, 2.0), (3, 1.0)]
    found = line.client.get_run(run.run_id)
    assert found.info.status == "FINISHED" and found.data.tags["event"] == "skipped"
    said = capsys.readouterr().out
    assert said.count("does not answer") == 1 and said.count("answers again") == 1


def test_an_outage_that_lasts_is_one_error_and_the_next_attempt_tells_it_all(uri, line, tmp_path):
    with pytest.raises(TrackingUnreachable, match="2 entries .*run the same command again"), run_in(uri, tmp_path) as run:
        line.cut = True
        run.log_many([(0, {"loss": 4.0})])
    with pytest.raises(TrackingUnreachable, match="run the same command again"), run_in(uri, tmp_path):
        pass
    line.cut = False
    with run_in(uri, tmp_path) as again:
        assert again.run_id == run.run_id
    assert losses(line, run.run_id) == [(0, 4.0)] and line.client.get_run(run.run_id).info.status == "FINISHED"


@pytest.mark.parametrize(("error", "status"), [(Stopped("asked"), "KILLED"), (ValueError("broken"), "FAILED")])
def test_an_attempt_that_ends_early_says_how(uri, line, tmp_path, error, status):
    with pytest.raises(type(error)), run_in(uri, tmp_path) as run:
        raise error
    assert line.client.get_run(run.run_id).info.status == status


def test_without_a_server_no_run_begins_and_the_error_names_the_remedy(uri, line, tmp_path):
    line.cut = True
    with pytest.raises(TrackingUnreachable, match="no run can begin; start the server"), run_in(uri, tmp_path):
        pass
    assert not (tmp_path / "mlflow_run_id").exists()


def test_what_a_kill_left_half_written_is_dropped_and_what_was_sent_twice_counts_once(uri, line, tmp_path):
    with run_in(uri, tmp_path) as run:
        run.log_many([(0, {"loss": 4.0})])
    path = tmp_path / "mlflow_outbox.jsonl"
    path.with_suffix(".sent").unlink()
    with path.open("a") as file:
        file.write('{"metrics": [["loss", 9')
    outbox = Outbox(path, line, run.run_id)
    outbox.put({"metrics": [["loss", 3.0, 1, 1]]})
    assert outbox.waiting() == 4 and outbox.send() is None and outbox.waiting() == 0
    assert sorted(losses(line, run.run_id)) == [(0, 4.0), (1, 3.0)]

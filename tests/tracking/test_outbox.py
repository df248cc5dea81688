"""What MLflow is told waits while it is away, goes out in order when it is back, and counts once."""

import time

import pytest
from mlflow.exceptions import MlflowException

from tracking import outbox as outbox_module
from tracking.outbox import Outbox, TrackingUnreachable, open_patient_run
from tracking.runs import Stopped, open_run
from tracking.tracker import Tracker


class Line:
    """A client whose line can be cut: then every call fails as mlflow's own does."""

    def __init__(self, uri):
        self.uri, self.client, self.cut = uri, Tracker(uri).client, False

    def __getattr__(self, name):
        if self.cut:
            raise MlflowException(f"API request to {name} failed: connection refused")
        return getattr(self.client, name)


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


@pytest.fixture
def line(uri, monkeypatch):
    found = Line(uri)
    monkeypatch.setattr(outbox_module, "PAUSE", 0.0)
    return found


def over(line):
    """The tracker whose client is that line."""
    tracker = Tracker(line.uri)
    tracker.client = line
    return tracker


def run_in(line, work, patience=0.0):
    return open_patient_run(over(line), "training", "stage_1", {"steps": 4}, {}, None, work, patience)


def losses(line, run_id):
    return [(point.step, point.value) for point in line.client.get_metric_history(run_id, "loss")]


def test_an_outage_in_the_middle_loses_nothing(line, tmp_path, capsys):
    with run_in(line, tmp_path) as run:
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


def test_an_outage_that_lasts_is_one_error_and_the_next_attempt_tells_it_all(line, tmp_path):
    with (
        pytest.raises(TrackingUnreachable, match="4 entries .*run the same command again"),
        run_in(line, tmp_path) as run,
    ):
        line.cut = True
        run.log_many([(0, {"loss": 4.0})])
    with pytest.raises(TrackingUnreachable, match="run the same command again"), run_in(line, tmp_path):
        pass
    line.cut = False
    with run_in(line, tmp_path) as again:
        assert again.run_id == run.run_id
    assert losses(line, run.run_id) == [(0, 4.0)] and line.client.get_run(run.run_id).info.status == "FINISHED"


@pytest.mark.parametrize(("error", "status"), [(Stopped("asked"), "KILLED"), (ValueError("broken"), "FAILED")])
def test_an_attempt_that_ends_early_says_how(line, tmp_path, error, status):
    with pytest.raises(type(error)), run_in(line, tmp_path) as run:
        raise error
    assert line.client.get_run(run.run_id).info.status == status


def attempts_of(line, run_id):
    home = line.client.get_run(run_id).info.experiment_id
    found = line.client.search_runs([home], f"tags.`mlflow.parentRunId` = '{run_id}'")
    return {run.info.run_name: run for run in found}


def test_every_attempt_is_a_run_inside_the_run_and_one_that_said_nothing_was_killed(line, tmp_path):
    with pytest.raises(Stopped), run_in(line, tmp_path) as run:
        run.attempt_tag({"first_step": "0"})
        raise Stopped("asked")
    killed = run_in(line, tmp_path)
    killed.__enter__()  # and nothing more: what kill -9 leaves
    assert attempts_of(line, run.run_id)["stage_1, attempt 2"].info.status == "RUNNING"
    with run_in(line, tmp_path) as last:
        last.attempt_tag({"first_step": "2"})
    found = attempts_of(line, run.run_id)
    assert {name: one.info.status for name, one in found.items()} == {
        "stage_1, attempt 1": "KILLED", "stage_1, attempt 2": "KILLED", "stage_1, attempt 3": "FINISHED",
    }  # fmt: skip
    assert (
        found["stage_1, attempt 1"].data.tags["first_step"] == "0"
        and found["stage_1, attempt 3"].data.tags["first_step"] == "2"
    )
    measured = found["stage_1, attempt 3"].data.metrics
    assert 0 < measured["seconds"] < 60 and 0.05 < measured["peak_memory_gib"] < 64


def test_an_attempt_that_begins_while_the_server_is_away_trains_all_the_same(line, tmp_path, capsys):
    with pytest.raises(Stopped), run_in(line, tmp_path) as run:
        raise Stopped("asked")
    with run_in(line, tmp_path) as again:
        pass
    line.cut = True
    with pytest.raises(TrackingUnreachable), run_in(line, tmp_path) as again:
        again.attempt_tag({"first_step": "2"})
        again.log_many([(0, {"loss": 4.0})])
    assert "this attempt gets no run of its own" in capsys.readouterr().out
    line.cut = False
    with run_in(line, tmp_path):
        pass
    assert losses(line, run.run_id) == [(0, 4.0)] and len(attempts_of(line, run.run_id)) == 3


def test_a_checkpoint_has_one_page_where_later_runs_bring_their_scores(line, tmp_path):
    for _ in range(2):  # as when the process was killed before it knew that this was sent
        with run_in(line, tmp_path) as run:
            run.checkpoint("stage_1", {"weights_digest": "ab"})
    with open_run(over(line), "evaluation", "benchmark_scores") as scores:
        scores.part("scores of teacher", {"audio.mouth": 0.9}, run.run_id)
        scores.part("scores of ground_truth", {"audio.mouth": 1.0}, None)
        scores.part("scores of a stranger", {"audio.mouth": 0.5}, "0" * 32)
    pages = line.client.search_logged_models(
        [line.client.get_run(run.run_id).info.experiment_id], filter_string=f"source_run_id = '{run.run_id}'"
    )
    assert [page.name for page in pages] == ["stage_1"] and pages[0].tags["weights_digest"] == "ab"
    page = line.client.get_logged_model(pages[0].model_id)
    assert [(metric.key, metric.value) for metric in page.metrics] == [("audio.mouth", 0.9)]
    parts = attempts_of(line, scores.run_id)
    assert {name: part.data.metrics["audio.mouth"] for name, part in parts.items()} == {
        "scores of teacher": 0.9, "scores of ground_truth": 1.0, "scores of a stranger": 0.5,
    }  # fmt: skip


def test_the_machine_is_watched_while_the_run_lasts(line, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    for _ in range(2):
        with run_in(line, tmp_path) as run:
            time.sleep(1.5)
    found = line.client.get_metric_history(run.run_id, "system/system_memory_usage_percentage")
    steps = [point.step for point in found]
    assert (
        len(steps) >= 4
        and sorted(set(steps)) == list(range(len(steps)))
        and all(0 < point.value < 100 for point in found)
    )


def test_without_a_server_no_run_begins_and_the_error_names_the_remedy(line, tmp_path):
    line.cut = True
    with pytest.raises(TrackingUnreachable, match="no run can begin; start the server"), run_in(line, tmp_path):
        pass
    assert not (tmp_path / "mlflow_run_id").exists()


def test_what_a_kill_left_half_written_is_dropped_and_what_was_sent_twice_counts_once(line, tmp_path):
    with run_in(line, tmp_path) as run:
        run.log_many([(0, {"loss": 4.0})])
    path = tmp_path / "mlflow_outbox.jsonl"
    path.with_suffix(".sent").unlink()
    with path.open("a") as file:
        file.write('{"metrics": [["loss", 9')
    outbox = Outbox(path, over(line), run.run_id)
    outbox.put({"metrics": [["loss", 3.0, 1, 1]]})
    assert outbox.waiting() == 6 and outbox.send() is None and outbox.waiting() == 0
    assert sorted(losses(line, run.run_id)) == [(0, 4.0), (1, 3.0)]

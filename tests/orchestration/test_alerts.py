"""A failed run and a refused student reach every sink, a webhook too; a sink that fails silences none of the others."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import dagster as dg
import pytest

from assets.core.names import STUDENT
from assets.core.workspace import open_workspace
from assets.kinds.registration.champion_pair import promote_pair
from curation.intake.inbox import candidate_files
from orchestration.dagster_location.alert_sensors import failed_run_alert, refused_promotion_alert
from orchestration.dagster_location.alerts import Alert, AlertError, Webhook, as_plain_text, log_sink, send, sinks
from orchestration.dagster_location.registry_sensor import RECORDED, moved_champion_alert

ALERT = Alert("failed_run", "Run 1 failed", "disk full", {"run_id": "1"})
HEARD: list[Alert] = []


def hear(alert):
    """A sink of somebody's own."""
    HEARD.append(alert)


@pytest.fixture(autouse=True)
def _own_sink(monkeypatch):
    HEARD.clear()
    monkeypatch.setenv("OMNIHUMAN_ALERTS", f"{__name__}:hear")


@pytest.fixture
def server():
    """A webhook that answers with the codes in `answers`, then 200."""
    got, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def do_GET(self):
            got.append("followed")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}/secret-path", got, answers
        listening.shutdown()
        thread.join()


def test_a_webhook_gets_text_and_facts_and_is_asked_again_after_a_server_error(server):
    url, got, answers = server
    answers += [503, 500]
    Webhook(url, pause=0)(ALERT)
    assert len(got) == 3 and got[2]["text"] == "Run 1 failed\ndisk full" and got[2]["facts"] == {"run_id": "1"}


@pytest.mark.parametrize(("codes", "times"), [([404], 1), ([500, 500, 500], 3), ([302], 1), ([307], 1)])
def test_a_webhook_that_refuses_is_an_error_that_keeps_its_secret(server, codes, times):
    url, got, answers = server
    answers += codes
    with pytest.raises(AlertError, match="127.0.0.1 did not take the alert") as error:
        Webhook(url, pause=0)(ALERT)
    assert len(got) == times and "secret-path" not in str(error.value)
    assert ("a redirect, which is not followed" in str(error.value)) == (codes[0] < 400)


def test_what_an_error_holds_is_no_markup_for_who_shows_it(server):
    """A file's name may be a link, call everybody in a channel, or begin a picture."""
    said = "<!channel> <http://evil.example|Log in> @all [here](http://evil.example) ![x](y) a&b"
    slack = as_plain_text(said, "hooks.slack.com")
    assert "<" not in slack and ">" not in slack and "&lt;!channel&gt;" in slack and "a&amp;b" in slack
    others = as_plain_text(said, "hooks.slack.com.example")
    assert "@all" not in others and "](" not in others and r"\[here\]\(http" in others and r"\<\!channel\>" in others
    url, got, _ = server
    Webhook(url, pause=0)(Alert("failed_run", "a", said))
    assert got[0]["text"] == f"a\n{others}" and got[0]["message"] == said


@pytest.mark.parametrize("name", ["ftp://host.example/secret", "file:///etc/secret", "slack://secret"])
def test_an_unknown_scheme_is_named_as_such_without_its_secret(name):
    with pytest.raises(AlertError, match=f"no alert goes by {name.partition('//')[0]}//; name an http") as error:
        sinks(name)
    assert "secret" not in str(error.value)


def test_the_same_is_logged_once_a_day(caplog, monkeypatch):
    told = [
        Alert("failed_run", "Run 7", "again"),
        Alert("failed_run", "Run 7", "again"),
        Alert("failed_run", "Run 8", ""),
    ]
    for alert in told:
        log_sink(alert)
    assert [record.getMessage() for record in caplog.records] == ["failed_run: Run 7: again", "failed_run: Run 8: "]
    now = time.monotonic()
    monkeypatch.setattr("media.once_a_day.time.monotonic", lambda: now + 90_000)
    log_sink(told[0])
    assert len(caplog.records) == 3


def test_a_link_out_of_the_inbox_is_told_once_and_not_at_each_look(tmp_path, caplog):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "secret").write_text("")
    (tmp_path / "inbox" / "a.mp4").symlink_to(tmp_path / "secret")
    for _ in range(3):
        assert candidate_files(tmp_path / "inbox") == []
    assert caplog.text.count("links out of") == 1


def test_every_sink_hears_it_though_one_fails(caplog):
    def broken(alert):
        raise ValueError("no paper")

    with pytest.raises(AlertError, match="ValueError: no paper"):
        send(ALERT, [broken, hear, *sinks("log")])
    assert HEARD == [ALERT] and "disk full" in caplog.text


def test_sent_again_it_reaches_only_who_has_not_heard_it():
    down, told = [True], Alert("failed_run", "Run 9", "disk full")

    def shaky(alert):
        if down[0]:
            raise OSError("unreachable")
        HEARD.append(alert)

    for _ in range(3):
        with pytest.raises(AlertError, match="unreachable"):
            send(told, [hear, shaky])
    assert [told] == HEARD
    down.clear()
    down.append(False)
    send(told, [hear, shaky])
    assert [told, told] == HEARD
    send(told, [hear, shaky])
    assert len(HEARD) == 4, "another alert of the same words is one"


@pytest.mark.parametrize("name", ["nothing", "no.such.module:f", "json:no_such_function", "json:__name__"])
def test_what_is_no_sink_is_named(name):
    with pytest.raises(AlertError, match="OMNIHUMAN_ALERTS"):
        sinks(name)


@dg.op
def breaks():
    try:
        raise OSError("disk full")
    except OSError as error:
        raise RuntimeError("could not write") from error


@dg.job
def broken_job():
    breaks()


def test_a_failed_run_is_told_with_its_step_and_first_cause():
    with dg.DagsterInstance.ephemeral() as instance:
        done = broken_job.execute_in_process(instance=instance, raise_on_error=False, tags={"dagster/partition": "s-1"})
        failure = next(event for event in done.all_events if event.event_type_value == "PIPELINE_FAILURE")
        context = dg.build_run_status_sensor_context("s", failure, instance, done.dagster_run).for_run_failure()
        failed_run_alert(context)
    (alert,) = HEARD
    assert alert.kind == "failed_run" and alert.text == "OSError: disk full"
    assert "broken_job (s-1) failed in breaks" in alert.title and alert.facts["run_id"] == done.run_id


@dg.asset(check_specs=[dg.AssetCheckSpec("contract", asset="table", blocking=True)])
def table():
    yield dg.MaterializeResult(
        check_results=[
            dg.AssetCheckResult(passed=False, check_name="contract", description="12 % of its rows broke a rule")
        ]
    )


def test_a_failed_check_fails_its_run_and_is_told():
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize([table], instance=instance, raise_on_error=False)
        failure = next(event for event in done.all_events if event.event_type_value == "PIPELINE_FAILURE")
        failed_run_alert(dg.build_run_status_sensor_context("s", failure, instance, done.dagster_run).for_run_failure())
    (alert,) = HEARD
    assert alert.kind == "failed_run" and "contract" in alert.text


def report(instance, promoted):
    event = dg.AssetMaterialization(
        "promoted_champion",
        metadata={"promoted": promoted, "challenger": 4, "checks": dg.MetadataValue.md("| sharpness | False |")},
    )
    instance.report_runless_asset_event(event)


def tell(context):
    return list(refused_promotion_alert(context))[0].skip_message or ""


def test_a_refused_student_is_told_once_and_a_promoted_one_never():
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)
        report(instance, True)
        assert "promoted" in tell(context) and HEARD == []
        report(instance, False)
        tell(context)
        tell(context)
    (alert,) = HEARD
    assert alert.title == "The gate refused version 4 of the student" and "sharpness" in alert.text


def test_a_champion_moved_by_mlflows_own_buttons_is_recorded_and_told_once(tmp_path, monkeypatch):
    for name in ("MLFLOW_TRACKING_URI", "OMNIHUMAN_SET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path))
    workspace = open_workspace()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(instance=instance)

        def tick():
            answer = moved_champion_alert(context)
            if isinstance(answer, dg.SensorResult):
                context.update_cursor(answer.cursor)
                return answer.asset_events
            return []

        assert tick() == [] and not workspace.tracker.exists(), "a look makes no store"
        (tmp_path / "model").mkdir()
        (tmp_path / "model" / "weights").write_text("w")
        for _ in range(2):
            workspace.registry.register(STUDENT, tmp_path / "model")
        promote_pair(workspace.registry, 1)
        assert tick() == [] and HEARD == []
        workspace.registry.set_alias(STUDENT, "champion", 2)  # what the page's button does
        (event,) = tick()
        assert tick() == [] and tick() == []
        promote_pair(workspace.registry, 2)
        assert tick() == []
    (alert,) = HEARD
    said = "omnihuman-student@champion stands at version 2, and the last move left it at version 1"
    assert alert.kind == "moved_champion" and said in alert.text and "omnihuman promote VERSION" in alert.text
    assert event.asset_key == dg.AssetKey("promoted_champion") and said in event.metadata["past_the_gate"].value
    assert said in workspace.registry.version(STUDENT, 2).tags[RECORDED]


def test_the_sensors_are_on_from_the_start():
    from orchestration.definitions import defs

    on = {sensor.name for sensor in defs.sensors or () if sensor.default_status == dg.DefaultSensorStatus.RUNNING}
    assert {"failed_run_alert", "refused_promotion_alert", "moved_champion_alert", "inbox_sensor"} <= on

"""The log of what was served: rows that say enough and nothing personal, forgotten in time, and the page that shows them."""

import sqlite3
import time

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from curation.scores.picture.exposure import brightness, histogram
from curation.scores.picture.luma import grey
from curation.scores.sound.level import audio_rms_db
from media import read_audio, sha256_of_file
from media.photographs import read_photograph
from omnihuman.exports import read_provenance
from profiles import load_profile
from serving.versions.canary import CanaryRule
from serving.versions.served_models import ServedModels
from serving.videos.log_page import add_log
from tests.serving import students
from tests.serving.students import home_with_students, served
from tracking.served_log import DAY, FILE, Served, ServedLog, ServedLogError, served_features


def row(job, age=0.0, **values):
    return Served(job=job, time=time.time() - age, model="m version 1", outcome="completed", **values)


def test_rows_come_back_newest_first_and_old_ones_are_forgotten(tmp_path):
    log = ServedLog(tmp_path / FILE)
    made = row("new", failed=("face",), checks={"face_share": 0.25}, inputs={"reference": "a" * 64}, canary=True)
    for one in (row("old", 3 * DAY), row("older", 9 * DAY), made):
        log.add(one)
    assert log.latest(2) == [made, ServedLog(tmp_path / FILE).latest(3)[1]] and log.count() == 3
    assert log.forget(5) == 1 and [one.job for one in log.latest(9)] == ["new", "old"]
    log.add(row("new"))
    assert log.count() == 2 and log.latest(1)[0].failed == ()


def test_features_are_columns_with_nan_where_an_input_has_none(tmp_path):
    log = ServedLog(tmp_path / FILE)
    log.add(row("a", 2, features={"brightness": 0.5, "loudness_lufs": None}))
    log.add(row("b", 1, features={"brightness": 0.25}))
    log.add(row("c", 0))  # failed before its inputs were read
    found = served_features(tmp_path / FILE, 10)
    assert found["brightness"].tolist() == [0.25, 0.5] and np.isnan(found["loudness_lufs"]).all()
    assert served_features(tmp_path / "nothing.db", 10) == {} and not (tmp_path / "nothing.db").exists()


def test_a_file_that_is_no_log_of_this_version_is_refused(tmp_path):
    (tmp_path / "text.db").write_text("not a database " * 100)
    with pytest.raises(ServedLogError, match="text.db cannot be used as the log of what was served .*; move it away"):
        ServedLog(tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "newer.db") as newer:
        newer.execute("PRAGMA user_version = 9")
    with pytest.raises(ServedLogError, match="is of a newer version"):
        ServedLog(tmp_path / "newer.db")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return home_with_students(tmp_path_factory.mktemp("students"))


def test_a_video_leaves_a_row_and_none_of_what_its_person_gave(home):
    words = "Alan speaks of Enigma."
    with served(home) as server:
        name = server.ask(prompt=words)
        server.made(name)
        (kept,) = server.log.latest(5)
        page = server.client.get("/log")
        assert server.client.get(f"/v1/videos/{name}").json()["prompt"] == words
        assert kept.output == sha256_of_file(home / "var" / "video_jobs" / name / "video.mp4")
        assert not (home / "var" / "video_jobs" / name / "inputs").exists()
    face, voice = home / "inputs" / "face.png", home / "inputs" / "voice.wav"
    assert (kept.job, kept.model, kept.version) == (name, "omnihuman-student version 1", 1)
    assert kept.inputs == {"reference": sha256_of_file(face), "audio": sha256_of_file(voice)}
    assert kept.settings["seed"] == 0 and len(kept.settings["prompt_sha256"]) == 64 and kept.client == ""
    assert kept.work_seconds > 0 and kept.memory_gib > 0.1 and kept.video_seconds == 0.25
    assert kept.checks["identity_by"] == "puppets' colours" and set(kept.failed) <= {"face", "identity", "sharpness"}
    shares = histogram(grey(read_photograph(face)[None]))
    assert kept.features["brightness"] == pytest.approx(brightness(shares)) and kept.features["seconds"] == 0.25
    heard = read_audio(voice, 16_000)[:4000]  # as long as the video
    assert kept.features["audio_rms_db"] == pytest.approx(audio_rms_db(heard), abs=0.01)
    assert kept.features["loudness_lufs"] is None, "BS.1770 hears in blocks of 0.4 s"
    assert page.status_code == 200 and name[:8] in page.text and "omnihuman-student version 1 is served" in page.text
    database = b"".join(path.read_bytes() for path in (home / "var").glob(f"{FILE}*"))
    assert words.encode() not in database and name.encode() in database


def test_what_is_asked_for_is_kept(home):
    with served(home, keep_inputs=True) as server:
        name = server.ask(prompt="Kept words.")
        server.made(name)
        assert server.log.latest(1)[0].settings["prompt"] == "Kept words."
        assert (home / "var" / "video_jobs" / name / "inputs" / "image" / "face.png").is_file()


def test_weights_in_eight_bits_are_served_promoted_and_said(home, tmp_path, monkeypatch):
    pytest.importorskip("torchao")
    monkeypatch.setattr(
        students, "PROFILE", load_profile("laptop", ["transformer.num_layers=2", "evaluation.quantise=int8"])
    )
    with served(home) as server:
        name = server.ask()
        server.made(name)
        assert server.log.latest(1)[0].settings["quantised"] == "int8"
        (tmp_path / "made.mp4").write_bytes(server.client.get(f"/v1/videos/{name}/content").content)
        assert read_provenance(tmp_path / "made.mp4")["quantised"] == "int8"
        server.promote(2)
        assert (server.models.current.version, server.models.current.quantised) == (2, "int8")
        server.promote(1)


def test_others_than_this_machine_see_the_log_with_a_key_for_it_alone(tmp_path):
    from types import SimpleNamespace

    from serving.http.clients import Clients
    from serving.http.keys import Right, add_key, read_keys

    file = tmp_path / "keys.yaml"
    keys = {right: add_key(file, str(right), frozenset({right})) for right in (Right.LOG, Right.VIDEOS)}
    models = ServedModels(SimpleNamespace(name="m", version=1), CanaryRule())

    def server(known):
        app = FastAPI()
        app.add_middleware(Clients, keys=known, sending=1)
        add_log(app, ServedLog(tmp_path / FILE), models, local=False)
        return TestClient(app)

    asks = {right: {"Authorization": f"Bearer {key}"} for right, key in keys.items()}
    known = server(read_keys(file))
    assert known.get("/log", headers=asks[Right.LOG]).status_code == 200
    assert known.get("/log", headers=asks[Right.VIDEOS]).status_code == 403
    assert server(None).get("/log").status_code == 403

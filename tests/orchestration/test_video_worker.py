"""The one thread behind the video server goes on with the next job, whatever the one before met; what ended is kept within a quota."""

import io
import json
import logging
import time
from types import SimpleNamespace

from serving.http.request_limits import Limits
from serving.versions.canary import CanaryRule
from serving.versions.served_models import ServedModels
from serving.videos.jobs import COMPLETED, FAILED, STATE, VIDEO, Checked, JobStore, Quota
from serving.videos.settings import VideoSettings
from serving.videos.worker import VideoWorker


def test_a_job_that_an_older_version_wrote_fails_alone_and_is_not_tried_for_ever(tmp_path, caplog):
    """Its settings are none of today's: that is found outside of everything that knows what to tell a visitor."""
    store = JobStore(tmp_path / "jobs", Limits())
    job = store.add(VideoSettings(), {}, lambda request: Checked())
    state = store.path(job.id) / STATE
    old = json.loads(state.read_text())
    state.write_text(json.dumps({**old, "settings": {**old["settings"], "no_longer": 1}}))
    ended = []
    counting = SimpleNamespace(finished=lambda outcome, seconds, video_seconds, failed: ended.append(outcome))
    models = ServedModels(SimpleNamespace(name="m", version=1), CanaryRule())
    worker = VideoWorker(None, models, store, counting, Quota())
    with caplog.at_level(logging.ERROR):
        worker._make(store.get(job.id))
    assert ended == [FAILED] and store.get(job.id).error == "the server could not make this video; its log says why"
    assert store.next_queued() is None and "no_longer" in caplog.text


def test_of_what_ended_the_oldest_go_first_by_number_by_bytes_and_by_age(tmp_path):
    store = JobStore(tmp_path / "jobs", Limits(waiting=9, per_client=9))
    now, names = time.time(), []
    for age in (50, 40, 30, 20, 10):
        job = store.add(VideoSettings(), {"audio": (io.BytesIO(b"0" * 10_000), "voice.wav")}, lambda request: Checked())
        (store.path(job.id) / VIDEO).write_bytes(b"0" * 10_000)
        store.change(job.id, status=COMPLETED, finished=now - age)
        names.append(job.id)
    waits = store.add(VideoSettings(), {"audio": (io.BytesIO(b"0" * 90_000), "voice.wav")}, lambda request: Checked())

    def left(**quota):
        store.forget_finished(Quota(**quota))
        return [names.index(job.id) for job in store.every() if job.id != waits.id]

    assert left() == [0, 1, 2, 3, 4]
    assert left(seconds=45) == [1, 2, 3, 4]
    assert left(jobs=3) == [2, 3, 4]
    assert left(size=50_000) == [3, 4], "each has 20 kB of upload and video, and its state beside"
    assert not store.path(names[2]).exists() and store.get(waits.id) is not None, "what waits is no part of it"

"""The one thread behind the video server goes on with the next job, whatever the one before met."""

import json
import logging
from types import SimpleNamespace

from serving.request_limits import Limits
from serving.video_jobs import FAILED, STATE, JobStore
from serving.video_settings import VideoSettings
from serving.video_worker import VideoWorker


def test_a_job_that_an_older_version_wrote_fails_alone_and_is_not_tried_for_ever(tmp_path, caplog):
    """Its settings are none of today's: that is found outside of everything that knows what to tell a visitor."""
    store = JobStore(tmp_path / "jobs", Limits())
    job = store.add(VideoSettings(), {}, lambda request: [])
    state = store.path(job.id) / STATE
    old = json.loads(state.read_text())
    state.write_text(json.dumps({**old, "settings": {**old["settings"], "no_longer": 1}}))
    ended = []
    counting = SimpleNamespace(finished=lambda outcome, seconds, video_seconds: ended.append(outcome))
    worker = VideoWorker(None, None, store, counting, keep_seconds=60)
    with caplog.at_level(logging.ERROR):
        worker._make(store.get(job.id))
    assert ended == [FAILED] and store.get(job.id).error == "the server could not make this video; its log says why"
    assert store.next_queued() is None and "no_longer" in caplog.text

"""How jobs are shown: OpenAI's video objects, as vLLM-Omni serves them, with what else is known of a job beside."""

from collections.abc import Sequence
from typing import Any

from serving.videos.jobs import COMPLETED, FAILED, Job, JobStore

ERROR_CODE = "video_generation_failed"


def video_object(store: JobStore, job: Job, keep_seconds: float) -> dict[str, Any]:
    """Everything but where its files lie and whose it is.

    Args:
        store: knows how many wait before it.
        job: what to show.
        keep_seconds: how long a job is kept after its end.
    """
    progress = 1.0 if job.status == COMPLETED else job.segments_done / job.segments if job.segments else 0.0
    return {
        "id": job.id,
        "object": "video",
        "model": job.model,
        "status": job.status,
        "progress": int(100 * progress),
        "created_at": int(job.created),
        "completed_at": None if job.finished is None else int(job.finished),
        "expires_at": None if job.finished is None else int(job.finished + keep_seconds),
        "prompt": job.settings.get("prompt"),
        "seconds": f"{job.seconds:g}",
        "size": job.size,
        "remixed_from_video_id": None,
        "error": {"code": ERROR_CODE, "message": job.error} if job.status == FAILED else None,
        # Ours.
        "settings": job.settings,
        "notes": job.notes,
        "segments": job.segments,
        "segments_done": job.segments_done,
        "waiting_before": store.waiting_before(job),
        "inference_time_s": None
        if job.finished is None or job.started is None
        else round(job.finished - job.started, 3),
    }


def video_list(shown: Sequence[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    """A part of a list of video objects."""
    first, last = (shown[0]["id"], shown[-1]["id"]) if shown else (None, None)
    return {"object": "list", "data": list(shown), "first_id": first, "last_id": last, "has_more": has_more}


def deleted(name: str) -> dict[str, Any]:
    """What is left of a job that was deleted."""
    return {"id": name, "object": "video.deleted", "deleted": True}

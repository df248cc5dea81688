"""`/v1/videos`: ask for a video, list, look, fetch, delete; the form is OpenAI's, as vLLM-Omni serves it."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from serving import generation
from serving.http.clients import HourlyLimit, needs
from serving.http.keys import ClientKey, Right
from serving.http.request_limits import BAD_INPUT, NotAllowedError, in_visitor_words
from serving.videos.answers import deleted, video_list, video_object
from serving.videos.form import Asked, openapi_body, read_asked
from serving.videos.jobs import COMPLETED, VIDEO, Checked, Job, JobStore, QueueFull, Share
from serving.videos.worker import VideoWorker

PLACE = "/v1/videos"
RETRY_SECONDS = "30"
PAGE = 20  # jobs of a list where nobody says how many, as OpenAI's


def add_videos(app: FastAPI, worker: VideoWorker, lists_by_address: bool) -> None:
    """`lists_by_address`: a client without a key may list the jobs of his address. Behind a gateway that is everybody's."""
    routes = APIRouter(prefix=PLACE, dependencies=[Depends(needs(Right.VIDEOS))])
    store, hourly = worker.store, HourlyLimit()

    def shown(job: Job) -> dict[str, Any]:
        return video_object(store, job, worker.quota.seconds)

    @routes.post("", openapi_extra=openapi_body())
    async def create(request: Request, response: Response) -> dict[str, Any]:
        """Queue a video. 403: not the caller's to set; 413: too large; 422: an input that cannot be used; 429: too many wait."""
        if not worker.ready:
            raise HTTPException(503, "the server is shutting down")
        async with read_asked(request, store.limits.upload_bytes) as asked:
            job = await run_in_threadpool(_add, worker, asked, request.state.client, request.state.key, hourly)
        worker.wake()
        response.headers["Location"] = f"{PLACE}/{job.id}"
        return shown(job)

    @routes.head("", include_in_schema=False)
    @routes.get("")
    def listed(
        request: Request,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = PAGE,
        order: Literal["asc", "desc"] = "desc",
    ) -> dict[str, Any]:
        """The client's own jobs, newest first unless `order` says otherwise. 403: the server cannot tell clients apart."""
        if request.state.key is None and not lists_by_address:
            raise HTTPException(403, "jobs are listed for clients with a key; start the server with --keys")
        own = [job for job in store.every() if job.client == request.state.client]
        if order == "desc":
            own.reverse()
        if after is not None:
            names = [job.id for job in own]
            if after not in names:
                raise HTTPException(404, f"after: no job {after}")
            own = own[names.index(after) + 1 :]
        return video_list([shown(job) for job in own[:limit]], len(own) > limit)

    @routes.head("/{name}", include_in_schema=False)
    @routes.get("/{name}")
    def status(name: str, request: Request) -> dict[str, Any]:
        """How far it is."""
        return shown(_found(store, name, request))

    @routes.head("/{name}/content", include_in_schema=False)
    @routes.get("/{name}/content")
    def content(name: str, request: Request, variant: Literal["video"] = "video") -> FileResponse:
        """The finished video; 409 before that."""
        job = _found(store, name, request)
        if job.status != COMPLETED:
            raise HTTPException(409, f"the video is not there: {job.status}" + (f", {job.error}" if job.error else ""))
        return FileResponse(store.path(name) / VIDEO, media_type="video/mp4", filename=f"{name}.mp4")

    @routes.delete("/{name}")
    def delete(name: str, request: Request) -> dict[str, Any]:
        """Forget a job with its files; one that is being made stops after its segment."""
        if not store.delete(_found(store, name, request).id):
            raise HTTPException(404, f"no job {name}")
        return deleted(name)

    app.include_router(routes)


def _add(worker: VideoWorker, asked: Asked, client: str, key: ClientKey | None, hourly: HourlyLimit) -> Job:
    """Queue what was asked for, within the server's limits and the key's own."""
    limits = worker.store.limits
    longest = min(limits.seconds, key.seconds or limits.seconds) if key else limits.seconds
    share = Share((key and key.waiting) or limits.per_client, longest)

    def check(request: generation.Request) -> Checked:
        found = _checked(worker, asked, request)
        if key is not None and key.per_hour is not None and (wait := hourly.take(client, key.per_hour)):
            why = f"you asked for {key.per_hour} videos within the last hour, which is as many as your key may"
            raise HTTPException(429, f"{why}; ask again later", {"Retry-After": f"{wait:.0f}"})
        return found

    try:
        limits.refuse_dropped(asked.settings.mark, asked.settings.face_check)
        return worker.store.add(asked.settings, asked.uploads, check, client, share)
    except NotAllowedError as error:
        raise HTTPException(403, str(error)) from error
    except QueueFull as error:
        raise HTTPException(429, str(error), {"Retry-After": RETRY_SECONDS}) from error
    except BAD_INPUT as error:
        raise HTTPException(422, str(error)) from error


def _checked(worker: VideoWorker, asked: Asked, request: generation.Request) -> Checked:
    """Look at a request's files before it is queued."""
    model = worker.model
    if asked.model and asked.model not in (model.name, *worker.called):
        raise HTTPException(404, f"model: {asked.model} is not served here; {model.name} is")
    try:
        prepared = generation.prepare_video(worker.workspace, model, request)
    except BAD_INPUT as error:
        raise HTTPException(422, in_visitor_words(error, request, worker.store.limits)) from error
    video = prepared.video
    size = f"{video.width}x{video.height}"
    if asked.size and asked.size != size:
        why = f"size: {asked.size} cannot be had of this picture, {size} can; leave size out, or crop the picture"
        raise HTTPException(422, why)
    seconds = video.frames / worker.workspace.profile.video.fps
    return Checked(model.name, seconds, size, tuple(prepared.inputs.notes()))


def _found(store: JobStore, name: str, request: Request) -> Job:
    """The job, for whoever asked for it; where no keys tell clients apart, for who knows its name."""
    job = store.get(name)
    if job is None or (request.state.key is not None and job.client != request.state.client):
        raise HTTPException(404, f"no job {name}")
    return job

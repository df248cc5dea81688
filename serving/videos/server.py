"""`omnihuman serve`: videos over HTTP. A request becomes a job on disk; one worker makes the jobs in turn.

FastAPI and not MLflow's scoring server: that one answers a call with its result, in JSON or CSV, within one request. A video takes
minutes, comes in and goes out as files, must outlive a restart, and has to be refused early when it is too large.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Form, HTTPException, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import create_model

from assets.core.addresses import LOOPBACK_NAMES
from assets.core.workspace import Workspace
from profiles.conditions import FILES
from serving import generation
from serving.http.body_limit import BodyLimit
from serving.http.clients import Clients
from serving.http.http_server import address, listen, run_app
from serving.http.request_limits import BAD_INPUT, Limits, NotAllowedError, check_host, in_visitor_words
from serving.http.same_origin import SameOrigin
from serving.http.server_metrics import CONTENT_TYPE_LATEST, ServerMetrics
from serving.model_choice import load_model
from serving.videos.jobs import DONE, VIDEO, Job, JobStore, QueueFull, Quota
from serving.videos.settings import VideoSettings
from serving.videos.worker import VideoWorker

JOBS = "video_jobs"  # below var/
DRAIN_SECONDS = 10  # for answers under way when the server ends
RETRY_SECONDS = "30"


if TYPE_CHECKING:
    VideoForm = VideoSettings
else:  # `POST /v1/videos`: the settings and the files that a person may give.
    VideoForm = create_model("VideoForm", __base__=VideoSettings, **dict.fromkeys(FILES, (UploadFile | None, None)))


def serve(
    workspace: Workspace,
    model: str,
    host: str,
    port: int,
    limits: Limits,
    expose: bool = False,
    quota: Quota = Quota(),  # noqa: B008 - frozen
    grace_seconds: float = 60.0,
    tokens: Mapping[str, str] | None = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code.

    Args:
        workspace: jobs lie in its `var/video_jobs`.
        model: as in `load_model`; resolved once, so that a promotion takes effect with a restart.
        host, port: 0 takes a free port; the address is printed.
        limits: of one request, and of the queue.
        expose: allow a host that other machines reach.
        quota: of finished jobs.
        grace_seconds: for the segment that is being made when the server ends.
        tokens: names of clients by the digest of their token; None asks for none.

    Raises:
        VisitorError: host or port that cannot be served.
        GenerateError, RegistryError: no such model.
    """
    check_host(host, expose)
    listening = listen(host, port)
    loaded = load_model(workspace, model)
    store = JobStore(workspace.var / JOBS, limits)
    metrics = ServerMetrics(store)
    worker = VideoWorker(workspace, loaded, store, metrics, quota)
    app = build_app(worker, metrics, None if expose else LOOPBACK_NAMES, grace_seconds, tokens)
    print(f"{loaded.name} on {address(host, listening)}/v1/videos; jobs in {store.folder}; Ctrl-C ends it", flush=True)
    return run_app(app, listening, DRAIN_SECONDS)


def build_app(
    worker: VideoWorker,
    metrics: ServerMetrics,
    hosts: Sequence[str] | None,
    grace_seconds: float,
    tokens: Mapping[str, str] | None = None,
) -> FastAPI:
    """The HTTP side of a worker that is not started yet; it starts and ends with the app."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        yield
        if not worker.stop(grace_seconds):
            print(
                f"the segment being made takes longer than {grace_seconds:g} s; its job goes on after the next start",
                flush=True,
            )

    app = FastAPI(
        title="OmniHuman videos", lifespan=life, docs_url=None, redoc_url=None
    )  # their pages fetch scripts from elsewhere
    limits = worker.store.limits
    app.add_middleware(BodyLimit, largest=limits.upload_bytes)
    app.add_middleware(Clients, tokens=tokens, sending=limits.per_client)
    app.add_middleware(SameOrigin, hosts=hosts)
    _count_answers(app, metrics)
    _word_errors(app)
    _add_videos(app, worker, lists_by_address=hosts is not None)
    _add_health(app, worker, metrics)
    return app


def _add_videos(app: FastAPI, worker: VideoWorker, lists_by_address: bool) -> None:
    """`lists_by_address`: a client that no token names may list the jobs of his address. Behind a gateway that is everybody's."""
    store = worker.store

    @app.post("/v1/videos", status_code=202)
    def create(
        form: Annotated[VideoForm, Form(media_type="multipart/form-data")],
        request: Request,
        response: Response,
    ) -> dict[str, Any]:
        """Queue a video. 403: not the caller's to set; 413: too large; 422: an input that cannot be used; 429: too many wait."""
        if not worker.ready:
            raise HTTPException(503, "the server is shutting down")
        given = {kind: getattr(form, kind) for kind in FILES}
        uploads = {kind: (part.file, part.filename or kind) for kind, part in given.items() if part is not None}
        settings = VideoSettings(**form.model_dump(exclude=set(FILES)))
        try:
            store.limits.refuse_dropped(settings.mark, settings.face_check)
            job = store.add(settings, uploads, lambda video: _check(worker, video), request.state.client)
        except NotAllowedError as error:
            raise HTTPException(403, str(error)) from error
        except QueueFull as error:
            raise HTTPException(429, str(error), {"Retry-After": RETRY_SECONDS}) from error
        except BAD_INPUT as error:
            raise HTTPException(422, str(error)) from error
        worker.wake()
        response.headers["Location"] = f"/v1/videos/{job.id}"
        return _shown(store, job)

    @app.head("/v1/videos", include_in_schema=False)
    @app.get("/v1/videos")
    def listed(request: Request) -> list[dict[str, Any]]:
        """The client's own jobs, newest first. 403: the server cannot tell clients apart."""
        if not (request.state.known or lists_by_address):
            raise HTTPException(403, "jobs are listed for clients with a token; start the server with --tokens")
        own = [job for job in store.every() if job.client == request.state.client]
        return [_shown(store, job) for job in reversed(own)]

    @app.head("/v1/videos/{name}", include_in_schema=False)
    @app.get("/v1/videos/{name}")
    def status(name: str, request: Request) -> dict[str, Any]:
        """How far it is."""
        return _shown(store, _found(store, name, request))

    @app.head("/v1/videos/{name}/video.mp4", include_in_schema=False)
    @app.get("/v1/videos/{name}/video.mp4")
    def video(name: str, request: Request) -> FileResponse:
        """The finished video; 409 before that."""
        job = _found(store, name, request)
        if job.status != DONE:
            raise HTTPException(409, f"the video is not there: {job.status}" + (f", {job.error}" if job.error else ""))
        return FileResponse(store.path(name) / VIDEO, media_type="video/mp4", filename=f"{name}.mp4")

    @app.delete("/v1/videos/{name}", status_code=204)
    def delete(name: str, request: Request) -> None:
        """Forget a job with its files; one that is being made stops after its segment."""
        if not store.delete(_found(store, name, request).id):
            raise HTTPException(404, f"no job {name}")


def _add_health(app: FastAPI, worker: VideoWorker, metrics: ServerMetrics) -> None:
    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok", "model": worker.model.name}

    @app.head("/ready", include_in_schema=False)
    @app.get("/ready")
    def ready() -> JSONResponse:
        """200 where a new job would be taken and made."""
        full = worker.store.waiting() >= worker.store.limits.waiting
        why = "" if worker.ready and not full else "the queue is full" if full else "the worker has ended"
        return JSONResponse({"ready": not why, "reason": why}, 503 if why else 200)

    @app.get("/metrics", include_in_schema=False)
    def numbers() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _check(worker: VideoWorker, request: generation.Request) -> list[str]:
    try:
        return generation.prepare_video(worker.workspace, worker.model, request).inputs.notes()
    except BAD_INPUT as error:
        raise HTTPException(422, in_visitor_words(error, request, worker.store.limits)) from error


def _found(store: JobStore, name: str, request: Request) -> Job:
    """The job, for whoever asked for it; where no tokens tell clients apart, for who knows its name."""
    job = store.get(name)
    if job is None or (request.state.known and job.client != request.state.client):
        raise HTTPException(404, f"no job {name}")
    return job


def _shown(store: JobStore, job: Job) -> dict[str, Any]:
    """Everything but where its files lie and whose it is, with how far it is and how many wait before it."""
    links = {"self": f"/v1/videos/{job.id}"} | (
        {"video": f"/v1/videos/{job.id}/video.mp4"} if job.status == DONE else {}
    )
    own = {name: value for name, value in vars(job).items() if name not in ("files", "client")}
    progress = 1.0 if job.status == DONE else job.segments_done / job.segments if job.segments else 0.0
    return {**own, "progress": round(progress, 3), "waiting_before": store.waiting_before(job), "links": links}


def _count_answers(app: FastAPI, metrics: ServerMetrics) -> None:
    @app.middleware("http")
    async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "other")
        metrics.answered(request.method, route, response.status_code)
        return response


def _word_errors(app: FastAPI) -> None:
    """Every refusal is `{"detail": one sentence}`."""

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        said = [f"{'.'.join(str(part) for part in found['loc'][1:])}: {found['msg']}" for found in error.errors()]
        return JSONResponse({"detail": "; ".join(said)}, 422)

    app.add_exception_handler(RequestValidationError, invalid)

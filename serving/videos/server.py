"""`omnihuman serve`: videos over HTTP. A request becomes a job on disk; one worker makes the jobs in turn.

FastAPI and not MLflow's scoring server: that one answers a call with its result, in JSON or CSV, within one request. A video takes
minutes, comes in and goes out as files, must outlive a restart, and has to be refused early when it is too large.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from assets.core.addresses import LOOPBACK_NAMES
from assets.core.workspace import Workspace
from serving.http.body_limit import BodyLimit
from serving.http.clients import Clients, needs
from serving.http.http_server import address, listen, run_app
from serving.http.keys import Keys, Right
from serving.http.refusals import refusal
from serving.http.request_limits import Limits, check_host
from serving.http.same_origin import SameOrigin
from serving.http.server_metrics import CONTENT_TYPE_LATEST, ServerMetrics
from serving.model_choice import load_model
from serving.videos.jobs import JobStore, Quota
from serving.videos.routes import PLACE, add_videos
from serving.videos.worker import VideoWorker

JOBS = "video_jobs"  # below var/
DRAIN_SECONDS = 10  # for answers under way when the server ends


def serve(
    workspace: Workspace,
    model: str,
    host: str,
    port: int,
    limits: Limits,
    expose: bool = False,
    quota: Quota = Quota(),  # noqa: B008 - frozen
    grace_seconds: float = 60.0,
    keys: Keys | None = None,
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
        keys: of the clients; None asks for none.

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
    worker.called = (model,)
    app = build_app(worker, metrics, None if expose else LOOPBACK_NAMES, grace_seconds, keys)
    print(f"{loaded.name} on {address(host, listening)}{PLACE}; jobs in {store.folder}; Ctrl-C ends it", flush=True)
    return run_app(app, listening, DRAIN_SECONDS)


def build_app(
    worker: VideoWorker,
    metrics: ServerMetrics,
    hosts: Sequence[str] | None,
    grace_seconds: float,
    keys: Keys | None = None,
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
    app.add_middleware(Clients, keys=keys, sending=limits.per_client)
    app.add_middleware(SameOrigin, hosts=hosts)
    _count_answers(app, metrics)
    _word_errors(app)
    add_videos(app, worker, lists_by_address=hosts is not None)
    _add_health(app, worker, metrics)
    return app


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

    @app.get("/metrics", include_in_schema=False, dependencies=[Depends(needs(Right.METRICS))])
    def numbers() -> Response:
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _count_answers(app: FastAPI, metrics: ServerMetrics) -> None:
    @app.middleware("http")
    async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "other")
        metrics.answered(request.method, route, response.status_code)
        return response


def _word_errors(app: FastAPI) -> None:
    """Every refusal is one sentence, in the form of `serving.http.refusals`."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        return refusal(error.status_code, str(error.detail), error.headers)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        said = [f"{'.'.join(str(part) for part in found['loc'][1:])}: {found['msg']}" for found in error.errors()]
        return refusal(422, "; ".join(said))

    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)

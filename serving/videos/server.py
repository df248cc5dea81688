"""`omnihuman serve`: videos over HTTP. A request becomes a job on disk; one worker makes the jobs in turn.

FastAPI and not MLflow's scoring server: that one answers a call with its result, in JSON or CSV, within one request. A video takes
minutes, comes in and goes out as files, must outlive a restart, and has to be refused early when it is too large.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException

from assets.core.addresses import LOOPBACK_NAMES
from assets.core.workspace import Workspace
from assets.kinds.detectors import keypoint_detector
from networks.on_device import one_thread
from serving.checks.output_checks import OutputChecker
from serving.http.body_limit import BodyLimit
from serving.http.clients import Clients, needs
from serving.http.http_server import address, listen, run_app
from serving.http.keys import Keys, Right
from serving.http.refusals import refusal
from serving.http.request_limits import Limits, VisitorError, check_host
from serving.http.same_origin import SameOrigin
from serving.http.server_metrics import CONTENT_TYPE_LATEST, ServerMetrics
from serving.live.engine import LiveEngine
from serving.live.metrics import LiveMetrics
from serving.live.routes import LIVE_VIDEOS, add_live
from serving.live.routes import PLACE as LIVE_PLACE
from serving.live.settings import LiveSettings
from serving.model_choice import Lora, followed_alias, load_beside, load_model, with_loras
from serving.versions.canary import CanaryRule
from serving.versions.follow import Follower, Load
from serving.versions.served_models import ServedModels
from serving.versions.webhook import add_webhook
from serving.videos.jobs import JobStore, Quota
from serving.videos.log_page import add_log
from serving.videos.recorder import Recorder
from serving.videos.routes import PLACE, add_videos
from serving.videos.worker import VideoWorker
from tracking.served_log import FILE, ServedLog

JOBS = "video_jobs"  # below var/
DRAIN_SECONDS = 10  # for answers under way when the server ends


@dataclass(frozen=True)
class ServerSettings:
    """What the operator says beside model and address.

    Attributes:
        limits: of one request, and of the queue.
        expose: allow a host that other machines reach.
        quota: of finished jobs.
        grace_seconds: for the segment that is being made when the server ends.
        keys: of the clients; None asks for none.
        follow_seconds: between two looks at where the model's alias stands; 0 does not look.
        canary: how a new version is tried.
        webhook_secret: of MLflow's webhooks; None takes none.
        keep_inputs: keep what was uploaded as long as the job, and prompts in the log.
        log_days: how long the log of what was served remembers; 0 writes none.
        loras: added to every version that is served.
        live: the model that live sessions are made with, as in `load_model`; "" has none.
        live_limits: of a live session.
    """

    limits: Limits = Limits()
    expose: bool = False
    quota: Quota = Quota()
    grace_seconds: float = 60.0
    keys: Keys | None = None
    follow_seconds: float = 10.0
    canary: CanaryRule = CanaryRule()
    webhook_secret: bytes | None = None
    keep_inputs: bool = False
    log_days: float = 90.0
    loras: Sequence[Lora] = ()
    live: str = ""
    live_limits: LiveSettings = LiveSettings()

    def hosts(self) -> Sequence[str] | None:
        """Names that a browser may call the server; None for every one."""
        return None if self.expose else LOOPBACK_NAMES


def serve(workspace: Workspace, model: str, host: str, port: int, settings: ServerSettings) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code.

    Args:
        workspace: jobs lie in its `var/video_jobs`.
        model: as in `load_model`; an alias is followed.
        host, port: 0 takes a free port; the address is printed.
        settings: of the operator.

    Raises:
        VisitorError: host or port that cannot be served, or a webhook where no alias is followed.
        GenerateError, RegistryError: no such model.
        MissingWeights, AdapterError: a LoRA that is not there or does not fit.
    """
    check_host(host, settings.expose)
    followed = followed_alias(workspace, model) if settings.follow_seconds else None
    if settings.webhook_secret is not None and followed is None:
        raise VisitorError(
            f"--webhook-secret wakes a server that follows an alias, and {model} is none; serve NAME@ALIAS"
        )
    listening = listen(host, port)
    with one_thread():  # others make the videos (docs/decisions/0081-one-thread-beside-the-step.md)
        models = ServedModels(with_loras(load_model(workspace, model), settings.loras), settings.canary)
        live_model = load_model(workspace, settings.live) if settings.live else None
    store = JobStore(workspace.var / JOBS, settings.limits)
    metrics = ServerMetrics(store, models)
    log = ServedLog(workspace.var / FILE) if settings.log_days else None
    worker = make_worker(workspace, models, store, metrics, settings, log)
    worker.called = (model,) if followed is None else (model, str(followed), followed.alias)
    follower = (
        None
        if followed is None
        else Follower(
            workspace.registry, followed, models, next_version(workspace, settings, models), settings.follow_seconds
        )
    )
    live = None
    if live_model is not None:
        live = LiveEngine(workspace, live_model, settings.live_limits, settings.limits)
    app = build_app(worker, metrics, settings, follower, log, live)
    if live is not None:
        print(f"{live.model.name} live on {address(host, listening).replace('http', 'ws', 1)}{LIVE_PLACE}", flush=True)
    print(
        f"{models.current.name} on {address(host, listening)}{PLACE}; jobs in {store.folder}; Ctrl-C ends it",
        flush=True,
    )
    return run_app(app, listening, DRAIN_SECONDS)


def next_version(workspace: Workspace, settings: ServerSettings, models: ServedModels) -> Load:
    """How a version is loaded beside the one that is served. A LoRA that does not fit it is an error: the follower says so and keeps what is served."""
    return lambda address: with_loras(load_beside(workspace, address, models.current), settings.loras)


def make_worker(
    workspace: Workspace,
    models: ServedModels,
    store: JobStore,
    metrics: ServerMetrics,
    settings: ServerSettings,
    log: ServedLog | None,
) -> VideoWorker:
    """What makes, checks and records the videos; it is not started yet. Raises as `keypoint_detector` and `OutputChecker`."""
    named, detector = settings.keys is not None, keypoint_detector(workspace.profile)
    recorder = (
        None if log is None else Recorder(workspace, detector, log, settings.keep_inputs, named, settings.log_days)
    )
    checker = OutputChecker(workspace, detector)
    return VideoWorker(workspace, models, store, metrics, settings.quota, checker, recorder, settings.keep_inputs)


def build_app(
    worker: VideoWorker,
    metrics: ServerMetrics,
    settings: ServerSettings,
    follower: Follower | None = None,
    log: ServedLog | None = None,
    live: LiveEngine | None = None,
) -> FastAPI:
    """The HTTP side of a worker, and what follows the alias, that are not started yet; they start and end with the app."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        worker.start()
        if follower is not None:
            follower.start()
        yield
        if follower is not None:
            follower.stop()
        if live is not None:
            live.close()
        if not worker.stop(settings.grace_seconds):
            print(
                f"the segment being made takes longer than {settings.grace_seconds:g} s; its job goes on after the next start",
                flush=True,
            )

    app = FastAPI(
        title="OmniHuman videos", lifespan=life, docs_url=None, redoc_url=None
    )  # their pages fetch scripts from elsewhere
    limits = worker.store.limits
    app.add_middleware(BodyLimit, largest=limits.upload_bytes)
    app.add_middleware(Clients, keys=settings.keys, sending=limits.per_client)
    app.add_middleware(SameOrigin, hosts=settings.hosts())
    _count_answers(app, metrics)
    _word_errors(app)
    if live is not None:
        add_live(app, live, LiveMetrics(metrics.registry, live), worker.workspace.var / LIVE_VIDEOS)
    add_videos(app, worker, lists_by_address=not settings.expose)
    _add_health(app, worker, metrics, tells_all=settings.keys is None and not settings.expose)
    if follower is not None and settings.webhook_secret is not None:
        add_webhook(app, settings.webhook_secret, follower)
    if log is not None:
        add_log(app, log, worker.models, local=not settings.expose)
    return app


def _add_health(app: FastAPI, worker: VideoWorker, metrics: ServerMetrics, tells_all: bool) -> None:
    """`tells_all`: whoever asks may read where the registry and its files lie."""

    @app.head("/health", include_in_schema=False)
    @app.get("/health")
    def health(request: Request) -> dict[str, str | None]:
        """The process answers, with which version, which is tried beside it, and why what the alias says is not what is served."""
        models, key = worker.models, request.state.key
        canary = None if models.canary is None else models.canary.name
        wrong = models.wrong or None
        if wrong and not (tells_all or (key is not None and Right.LOG in key.rights)):
            wrong = "the alias says another version than is served; a key with the right `log` reads why"
        return {"status": "ok", "model": models.current.name, "canary": canary, "wrong": wrong}

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

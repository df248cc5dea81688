"""`omnihuman votes`: a blind comparison of our own models, or of a study's variants, in a browser on this machine."""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from fastapi import FastAPI, HTTPException, Response
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse

from assets.core.addresses import LOOPBACK
from assets.core.workspace import Workspace
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import AUDIO, POSE
from evaluation.benchmark.generate import enlarge
from evaluation.benchmark.generated import Generated, open_generated
from evaluation.benchmark.read import load_benchmark
from evaluation.people.preference import Ballot, Pair, System, VoteError, votes_file
from media import encode_clip
from media.photographs import png_with_text
from serving.http.body_limit import BodyLimit
from serving.http.http_server import address, listen, run_app
from serving.http.same_origin import SameOrigin
from serving.votes_page import votes_page

SMALLEST_SIDE = 256  # pixels that people can judge
LARGEST_BODY = 4096
ENCODED = 64  # videos kept


class VoteForm(BaseModel):
    """`POST /votes`."""

    model_config = ConfigDict(extra="forbid")

    token: str
    voter: str
    answers: dict[str, str]


class Stage:
    """The videos behind a ballot, by system."""

    def __init__(self, benchmark: Benchmark, videos: Mapping[System, Generated], ballot: Ballot):
        self.benchmark, self.videos, self.ballot = benchmark, videos, ballot
        self.video = lru_cache(ENCODED)(self._video)

    def clip(self, pair: Pair) -> int:
        """The clip's index in the benchmark."""
        return self.benchmark.names.index(pair.clip)

    def _video(self, system: System, clip: int) -> bytes:
        bench, sample = self.benchmark, self.benchmark.sample(clip)
        shown = enlarge(self.videos[system].frames(sample.name), self._scale(clip))
        sound = None if sample.audio is None else sample.audio.numpy()
        return encode_clip(shown, bench.fps, sound, bench.sample_rate, pixel_format="yuv420p")

    def reference(self, clip: int) -> bytes:
        """PNG of what both were given."""
        return png_with_text(enlarge(self.benchmark.sample(clip).reference.numpy(), self._scale(clip)), {})

    def _scale(self, clip: int) -> int:
        _, height, width = self.benchmark.shape(clip)
        return -(-SMALLEST_SIDE // min(height, width))


def open_stage(
    workspace: Workspace, study: str | None, clips: int, seed: int | None = None, benchmark_name: str | None = None
) -> Stage:
    """What is compared: the models of `generated_videos` on one benchmark (by default the profile's first), or the variants of a study, on
    the first clips, driven by sound, or by pose where no clip has any.

    Raises:
        VoteError: nothing to compare, with the command that makes it.
        evaluation.benchmark.generate.GenerationError: videos of another benchmark.
    """
    benchmark = load_benchmark(
        workspace.data("benchmark_sets"), benchmark_name or workspace.profile.evaluation.benchmarks[0]
    )
    videos: dict[System, Generated] = {}
    for name, folder in _folders(workspace, study, benchmark).items():
        made = open_generated(folder, benchmark)
        videos[System(name, made.meta["weights"])] = made
    shown = [name for name in benchmark.names if all(name in made.names for made in videos.values())]
    ballot = Ballot(list(videos), tuple(shown[:clips]), benchmark.digest, votes_file(workspace.root, study), seed)
    return Stage(benchmark, videos, ballot)


def _folders(workspace: Workspace, study: str | None, benchmark: Benchmark) -> dict[str, Path]:
    if study is None:
        root = workspace.of_benchmark("generated_videos", benchmark.name)
        mode = AUDIO if benchmark.driven_by(AUDIO) else POSE
        found = {path.parent.parent.name: path.parent for path in sorted(root.glob(f"*/{mode}/meta.json"))}
        if not found:
            raise VoteError(f"no videos in {root}; make them with `omnihuman demo`")
        return found
    file = workspace.data("ablation_study") / study / "videos.json"
    if not file.is_file():
        raise VoteError(f"no {file}; run `omnihuman ablate --study {study}`")
    return {name: workspace.root / place for name, place in json.loads(file.read_text()).items()}


def serve_votes(stage: Stage, port: int) -> int:
    """Serve on loopback until SIGTERM or Ctrl-C; returns the exit code.

    Raises:
        VisitorError: a port that cannot be had.
    """
    listening = listen(LOOPBACK, port)
    print(f"{len(stage.ballot.pairs)} pairs on {address(LOOPBACK, listening)}/; Ctrl-C ends it", flush=True)
    return run_app(build_app(stage), listening)


def build_app(stage: Stage) -> FastAPI:
    """Page, pairs and votes. What a voter sees names no system: a pair is a random token."""
    app = FastAPI(title="Blind comparison", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(BodyLimit, largest=LARGEST_BODY)
    app.add_middleware(SameOrigin)

    @app.exception_handler(VoteError)
    def refused(request: Any, error: Exception) -> Response:
        return Response(json.dumps({"detail": str(error)}), 422, media_type="application/json")

    @app.get("/", response_class=HTMLResponse)
    def page() -> str:
        return votes_page()

    @app.get("/pair")
    def pair(voter: str) -> dict[str, Any]:
        """The next pair of this voter; its token is null when all are judged."""
        found, counts = (
            stage.ballot.next(voter),
            {"judged": stage.ballot.judged(voter), "pairs": len(stage.ballot.pairs)},
        )
        caption = "" if found is None else stage.benchmark.captions[stage.clip(found)]
        return {"token": found and found.token, "caption": caption, **counts}

    @app.get("/pairs/{token}/{side}.mp4")
    def video(token: str, side: Literal["left", "right"]) -> Response:
        found = _known(stage, token)
        return _kept_private(stage.video(getattr(found, side), stage.clip(found)), "video/mp4")

    @app.get("/pairs/{token}/reference.png")
    def reference(token: str) -> Response:
        return _kept_private(stage.reference(stage.clip(_known(stage, token))), "image/png")

    @app.post("/votes", status_code=201)
    def vote(form: VoteForm) -> dict[str, str]:
        """Keep one voter's answers on one pair."""
        stage.ballot.vote(form.token, form.voter, form.answers)
        return {"kept": form.token}

    return app


def _known(stage: Stage, token: str) -> Pair:
    try:
        return stage.ballot.pair(token)
    except VoteError as error:
        raise HTTPException(404, str(error)) from error


def _kept_private(content: bytes, kind: str) -> Response:
    return Response(content, media_type=kind, headers={"Cache-Control": "no-store", "Accept-Ranges": "none"})

"""`omnihuman page`: a picture and a voice in, the video beside them with what was measured of it and what made it."""

import html
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from pydantic import ValidationError
from starlette.middleware import Middleware

from assets.core.addresses import LOOPBACK_NAMES
from assets.core.workspace import Workspace
from assets.kinds.detectors import keypoint_detector
from media.pages import render
from omnihuman.exports import read_provenance
from profiles.conditions import FILES, TABLE, TRACKS
from serving.clip_measures import ClipMeasure, measure_video
from serving.generation import Request, prepare_video, write_video
from serving.http.request_limits import (
    BAD_INPUT,
    Limits,
    NotAllowedError,
    VisitorError,
    check_host,
    in_visitor_words,
    keep_upload,
)
from serving.http.same_origin import SameOrigin
from serving.inputs import GenerateError
from serving.model_choice import Lora, ModelChoice, ModelShelf, list_choices
from serving.page_crop import add_crop_tool
from serving.page_examples import PageExample, page_examples
from serving.page_look import CSS, THEME, OnlyFromHere
from serving.page_verify import add_drop_zone
from serving.videos.settings import VideoSettings
from tracking.registry import RegistryError

if TYPE_CHECKING:  # its packages are the server's, which a page without a live tab does without
    from serving.live.engine import LiveEngine

logger = logging.getLogger(__name__)
# Uploads and videos of visitors are removed after that, and all of them when the page ends.
KEEP_SECONDS = 3600
Made = tuple[str, str, str, dict[str, Any]]


def serve_page(
    workspace: Workspace,
    host: str,
    port: int,
    limits: Limits,
    expose: bool = False,
    loras: Sequence[Lora] = (),
    live: "LiveEngine | None" = None,
) -> int:
    """Serve until SIGTERM or Ctrl-C; returns the exit code.

    Args:
        workspace: its registry gives the models.
        host, port: 0 takes a free port; the address is printed.
        limits: of one request, and of the queue.
        expose: allow a host that other machines reach.
        loras: added to every model.
        live: makes the tab for live video; None leaves it out.

    Raises:
        VisitorError: a host or port that cannot be served, or no model to offer.
    """
    check_host(host, expose)
    choices = list_choices(workspace)
    if not choices:
        raise VisitorError(
            f"no model in the registry {workspace.tracker} has an alias; run `make demo`, or `omnihuman promote`"
        )
    for file, _ in loras:
        if not file.exists():  # said now, and not to the first visitor
            raise GenerateError(f"--lora {file}: there is no such file or folder; give one of safetensors")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    guards = [Middleware(SameOrigin, hosts=None if expose else LOOPBACK_NAMES), Middleware(OnlyFromHere)]
    with tempfile.TemporaryDirectory(prefix="omnihuman-page-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        examples = page_examples(workspace, Path(folder) / "examples")
        maker = VideoMaker(workspace, limits, Path(folder), loras)
        blocks = build_page(choices, limits, maker, examples, live is not None)
        blocks.queue(max_size=limits.waiting, default_concurrency_limit=1)
        try:
            app, address, _ = blocks.launch(
                server_name=host,
                server_port=port or None,
                max_file_size=limits.upload_bytes,
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                theme=THEME,
                css=CSS,
                footer_links=[],
                ssr_mode=False,
                enable_monitoring=False,
                app_kwargs={"middleware": guards},
            )
        except OSError as error:
            raise VisitorError(f"cannot listen on {host} port {port} ({error}); choose another --port") from error
        sessions = None
        if live is not None:
            from serving.page_live import LIVE_VIDEOS, add_live_first

            sessions = add_live_first(app, live, workspace.var / LIVE_VIDEOS)
        print(f"page on {address} ; Ctrl-C ends it", flush=True)
        ended.wait()
        if sessions is not None:
            sessions.end_all_from_outside()
        blocks.close()
    return 0


class VideoMaker:
    """What happens between the button and the result; the same checks and the same making as `omnihuman generate`."""

    def __init__(self, workspace: Workspace, limits: Limits, folder: Path, loras: Sequence[Lora] = ()):
        self._workspace, self._limits, self._folder = workspace, limits, folder
        self._shelf = ModelShelf(workspace, loras)

    def make(self, given: Mapping[str, Any], progress: gr.Progress) -> Made:
        """Path of the video, then status, measures and provenance to show.

        Args:
            given: values of `_inputs`'s controls, by their names.
            progress: bar over the video.

        Raises:
            gr.Error: with one sentence for the visitor.
        """
        self._forget_old()
        place = Path(tempfile.mkdtemp(prefix="made-", dir=self._folder))
        request: Request | None = None
        try:
            # 0 and not an empty field: Gradio makes a 0 of an empty number as soon as it is shown.
            settings = _settings(
                prompt=given["prompt"],
                seconds=given["seconds"] or None,
                seed=given["seed"] or 0,
                steps=given["steps"] or None,
                guidance=given["guidance"].strip() or None,
                face_check=given["face_check"],
            )
            self._limits.refuse_dropped(settings.mark, settings.face_check)
            files = _keep(place, {option: given[option] for option in FILES})
            request = settings.request(place / "video.mp4", files, self._limits.seconds)
            return self._run(request, given["model"], progress)
        except (*BAD_INPUT, NotAllowedError, RegistryError) as error:
            shutil.rmtree(place)
            raise gr.Error(
                str(error) if request is None else in_visitor_words(error, request, self._limits),
                duration=None,
                title="That cannot be made",
                print_exception=False,
            ) from error

    def _run(self, request: Request, model: str, progress: Callable[..., Any]) -> Made:
        progress(0, desc="loading the model")
        loaded = self._shelf.get(model)
        progress(0, desc="reading the files")
        prepared = prepare_video(self._workspace, loaded, request)
        begun = time.monotonic()
        path = write_video(
            self._workspace,
            loaded,
            prepared,
            lambda done, total, note: progress((done, total), desc="making", unit="segments"),
        )
        took = time.monotonic() - begun
        progress(1, desc="measuring")
        profile = self._workspace.profile
        measures = measure_video(path, prepared, keypoint_detector(profile), profile.video)
        seconds = prepared.video.frames / profile.video.fps
        status = [
            f"{seconds:.2f} s of video ({prepared.video.frames} frames) in {took:.1f} s by {loaded.name}",
            *prepared.inputs.notes(),
        ]
        return str(path), in_words(status, request, self._limits), as_table(measures), read_provenance(path)

    def _forget_old(self) -> None:
        """Gradio removes its own copies; this removes what was made here."""
        for place in self._folder.glob("made-*"):
            if time.time() - place.stat().st_mtime > KEEP_SECONDS:
                shutil.rmtree(place, ignore_errors=True)


def build_page(
    choices: Sequence[ModelChoice],
    limits: Limits,
    maker: VideoMaker,
    examples: Sequence[PageExample] = (),
    live: bool = False,
) -> gr.Blocks:
    """The page itself: inputs on the left, the result on the right; `examples` are offered below the inputs. `live`: a tab for live video below."""
    with gr.Blocks(
        title="OmniHuman", analytics_enabled=False, delete_cache=(KEEP_SECONDS // 4, KEEP_SECONDS)
    ) as blocks:
        gr.Markdown(
            f"# OmniHuman\nA picture and a voice make a talking video, up to {limits.seconds:g} s. Every video says that a model made it.",
            elem_id="title",
        )
        with gr.Row():
            with gr.Column():
                inputs, button = _inputs(choices, limits, examples)
            with gr.Column():
                video = gr.Video(
                    label="Video", interactive=False, height=420, buttons=["download"], autoplay=True, elem_id="video"
                )
                status = gr.Markdown("The video appears here, with what was measured of it.", elem_id="status")
                measures = gr.HTML(elem_id="measures")
                with gr.Accordion("Where it comes from (also inside the file)", open=False):
                    provenance = gr.JSON(show_label=False, elem_id="provenance")
                add_drop_zone()

        def make(values: dict[Any, Any], progress: gr.Progress = gr.Progress()) -> Made:  # noqa: B008 - gradio's way
            return maker.make({name: values[control] for name, control in inputs.items()}, progress)

        if live:
            from serving.page_live import add_live_tab

            add_live_tab()
        button.click(
            make,
            set(inputs.values()),
            [video, status, measures, provenance],
            show_progress_on=[video],
            api_visibility="private",
        )
    return blocks


def _inputs(
    choices: Sequence[ModelChoice], limits: Limits, examples: Sequence[PageExample]
) -> tuple[dict[str, Any], gr.Button]:
    """The controls by name: files by their options, settings as `VideoSettings` calls them; and the button."""
    asked = {row.option: row.asked for row in TABLE}
    with gr.Row():
        image = gr.Image(
            label=asked["image"],
            type="filepath",
            image_mode=None,
            sources=["upload", "clipboard"],
            height=300,
            min_width=200,
            buttons=[],
            elem_id="image",
        )
        with gr.Column(min_width=200):
            audio = gr.Audio(
                label=asked["audio"],
                type="filepath",
                sources=["upload", "microphone"],
                buttons=["download"],
                elem_id="audio",
            )
            prompt = gr.Textbox("A person talks.", label="Text", lines=2, max_length=4000, elem_id="prompt")
    if examples:
        _offer(examples, [image, audio, prompt])
    add_crop_tool(image)
    model = gr.Dropdown(
        [(choice.label, choice.address) for choice in choices], value=choices[0].address, label="Model", elem_id="model"
    )
    controls = {"image": image, "audio": audio, "prompt": prompt, "model": model}
    for option in (row.option for row in TABLE if row.name in TRACKS):
        with gr.Accordion(f"{option.capitalize()} from a video", open=False):
            controls[option] = gr.Video(label=asked[option], sources=["upload"], height=200, elem_id=option)
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        with gr.Row():
            controls["seconds"] = gr.Number(
                0,
                label="Seconds",
                info=f"0: as long as the voice; at most {limits.seconds:g}",
                minimum=0,
                elem_id="seconds",
            )
            controls["seed"] = gr.Number(0, label="Seed", precision=0, minimum=0, elem_id="seed")
        with gr.Row():
            controls["steps"] = gr.Number(
                0, label="Steps", info="0: the model's own", precision=0, minimum=0, elem_id="steps"
            )
            controls["guidance"] = gr.Textbox(
                "",
                label="Guidance",
                info="a scale, or START:END such as 6.5:3.5; not for a one-step student",
                elem_id="guidance",
            )
        controls["face_check"] = gr.Checkbox(
            True,
            label="Refuse a picture without a face, or with several people",
            elem_id="face",
            visible="face_check" in limits.may_drop,
        )
    return controls, gr.Button("Make the video", variant="primary", elem_id="make")


def _offer(examples: Sequence[PageExample], inputs: list[Any]) -> None:
    """Pictures, of which one click fills in picture, voice and text."""
    shown = gr.Dataset(
        components=[gr.Image(visible=False)],
        samples=[[str(example.image)] for example in examples],
        type="index",
        layout="gallery",
        label="Or one of these",
        elem_id="examples",
    )

    def chosen(number: int) -> tuple[str, str, str]:
        return str(examples[number].image), str(examples[number].audio), examples[number].text

    shown.click(chosen, shown, inputs, api_visibility="private")


def as_table(measures: Sequence[ClipMeasure]) -> str:
    """HTML rows: what, how much, and what to read it against."""
    return render("serving", "measures.html", measures=measures)


def in_words(lines: Sequence[str], request: Request, limits: Limits) -> str:
    """Markdown paragraphs in which nothing that a visitor named is markup."""
    return "\n\n".join(
        html.escape(in_visitor_words(RuntimeError(line), request, limits)).replace("_", "\\_").replace("*", "\\*")
        for line in lines
    )


def _settings(**values: Any) -> VideoSettings:
    try:
        return VideoSettings(**values)
    except ValidationError as error:
        raise GenerateError("; ".join(f"{found['loc'][0]}: {found['msg']}" for found in error.errors())) from error


def _keep(place: Path, files: Mapping[str, str | None]) -> dict[str, Path]:
    """Copies under their own names: Gradio's may be removed while a long video is made."""
    kept = {}
    for kind, path in files.items():
        if path is not None:
            with open(path, "rb") as content:
                kept[kind] = keep_upload(content, path, place / kind)
    return kept

"""Videos: from the shell, in a browser, over HTTP."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assets.core.addresses import LOOPBACK
from orchestration.commands.options import DeviceOption, ProfileOption, QuantiseOption, need, open_with

PANEL = "Videos"


class Droppable(StrEnum):
    """What a caller of page or server may switch off where its operator lets him."""

    mark = "mark"
    face_check = "face_check"


class KeyRight(StrEnum):
    """What a key of the video server may be for."""

    videos = "videos"
    metrics = "metrics"
    log = "log"


app = typer.Typer()
# What page and server ask alike.
HostOption = Annotated[str, typer.Option(help="address to serve on; others than this machine's own need --expose")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one")]
ExposeOption = Annotated[bool, typer.Option("--expose", help="let other machines in; without keys, anybody")]
LongestOption = Annotated[float, typer.Option(help="seconds of one video")]
LoraOption = Annotated[
    list[str] | None,
    typer.Option(help="LoRA of Wan, FILE or FILE:SCALE, in any dialect of `weights inspect`; repeat it for several"),
]
MayDropOption = Annotated[
    list[Droppable] | None,
    typer.Option(
        help='let callers switch off the visible "AI-generated" (mark) or the look for one face (face_check); repeat it for both'
    ),
]


@app.command(rich_help_panel=PANEL)
def generate(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="FILE.mp4, FILE.safetensors (latents), or a folder for PNG frames")
    ],
    image: Annotated[
        Path | None, typer.Option("--image", "--reference", help="picture (or video) of the person")
    ] = None,
    audio: Annotated[
        list[Path] | None, typer.Option(help="sound, or a video with sound; repeat it for several videos of one person")
    ] = None,
    pose: Annotated[Path | None, typer.Option(help="video whose pose drives the body, or a file of keypoints")] = None,
    prompt: str = "A person talks.",
    seconds: Annotated[float | None, typer.Option(help="length; default the sound's, else the pose's")] = None,
    model: Annotated[
        str,
        typer.Option(
            help="alias of omnihuman-student, models:/NAME@ALIAS, models:/NAME/VERSION, or a pipeline folder (plain Wan2.1 too)"
        ),
    ] = "champion",
    seed: int = 0,
    steps: Annotated[int | None, typer.Option(min=1, help="sampling steps; default is the model's own")] = None,
    activate: Annotated[
        str | None,
        typer.Option(help="strongest condition to use (prompt, image, audio, pose); weaker ones go with it"),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option(help="condition to leave out although given; repeat for several")
    ] = None,
    guidance: Annotated[
        str | None, typer.Option(help="scale on text and audio, START or START:END; not for a one-step student")
    ] = None,
    audio_guidance: Annotated[str | None, typer.Option(help="scale on audio where it is another")] = None,
    annealing: Annotated[str, typer.Option(help="linear, cosine or constant")] = "linear",
    decoder: Annotated[
        Path | None, typer.Option(help="slim decoder to draw with, faster: data/slim_decoder/vae of asset slim_decoder")
    ] = None,
    lora: LoraOption = None,
    overlap: Annotated[
        int | None,
        typer.Option(min=0, help="frames that two segments share, 4n+1; 0 cuts hard and is faster; default 5"),
    ] = None,
    mark: Annotated[
        bool,
        typer.Option(help='visible "AI-generated" on the pictures; without it you are answerable for telling viewers'),
    ] = True,
    face_check: Annotated[bool, typer.Option(help="refuse a picture without a face, or with several people")] = True,
    device: DeviceOption = None,
    quantise: QuantiseOption = None,
    profile: ProfileOption = None,
) -> None:
    """Make a talking video of any length from a picture and a sound. Stopped and started again, it goes on."""
    from serving.generation import Request, conditions_of, generate_videos, one_request_per_sound, parse_guidance
    from serving.model_choice import load_model, parse_lora, with_decoder, with_loras

    workspace = open_with(profile, writes=False, device=device, quantise=quantise)
    sounds = audio or []
    files = {"image": image, "audio": sounds[0] if sounds else None, "pose": pose}
    request = Request(
        output,
        {option: path for option, path in files.items() if path is not None},
        prompt,
        seconds,
        seed,
        steps,
        activate,
        without or (),
        parse_guidance(guidance, audio_guidance, annealing),
        mark,
        face_check,
        overlap=overlap,
    )
    _say_what_is_off()
    if not mark:
        print(
            "note: no visible mark; telling viewers that a model made this, as law and decency ask, is up to you",
            file=sys.stderr,
        )

    def show(done: int, total: int, note: str) -> None:
        print(f"{note} {done}/{total}", file=sys.stderr)

    requests = one_request_per_sound(request, sounds) if len(sounds) > 1 else [request]
    for one in requests:
        conditions_of(one)
    loras = [parse_lora(written) for written in lora or ()]
    loaded = load_model(workspace, model) if decoder is None else with_decoder(load_model(workspace, model), decoder)
    loaded = with_loras(loaded, loras)
    for path in generate_videos(
        workspace, loaded, requests, lambda note: print(f"note: {note}", file=sys.stderr), show
    ):
        print(path)


@app.command(rich_help_panel=PANEL)
def example(
    folder: Annotated[Path, typer.Argument(help="where the two files go")] = Path("example"),
    people: Annotated[
        bool, typer.Option("--people", help="a real face and voice out of two packages, whatever the champion can make")
    ] = False,
    profile: ProfileOption = None,
) -> None:
    """A held-out person whom the champion can make, and a voice, with the command that makes a video of them."""
    from serving.example import make_example

    for line in make_example(open_with(profile, writes=False), folder, people).lines():
        print(line)


@app.command(rich_help_panel=PANEL)
def page(
    host: HostOption = LOOPBACK,
    port: PortOption = 7860,
    expose: ExposeOption = False,
    longest: LongestOption = 60.0,
    upload_mib: Annotated[int, typer.Option(min=1, help="largest file")] = 100,
    waiting: Annotated[int, typer.Option(min=1, help="requests that may wait")] = 8,
    may_drop: MayDropOption = None,
    lora: LoraOption = None,
    live: Annotated[str, typer.Option(help="a streaming student, for the tab `Live`; as in generate's --model")] = "",
    device: DeviceOption = None,
    quantise: QuantiseOption = None,
    profile: ProfileOption = None,
) -> None:
    """A web page to try the models on: picture and voice in, video with its scores out. Needs `make page`."""
    need("make page", "gradio")
    from serving.gradio_page import serve_page
    from serving.http.request_limits import Limits
    from serving.model_choice import parse_lora

    _say_what_is_off()
    limits = Limits(longest, upload_mib * 1024**2, waiting, may_drop=_names(may_drop))
    loras = [parse_lora(written) for written in lora or ()]
    workspace, engine = open_with(profile, device=device, quantise=quantise), None
    if live:
        need("pip install -c constraints.txt -e '.[serve]'", "websockets", "prometheus_client")
        from networks.on_device import one_thread
        from serving.live.engine import LiveEngine
        from serving.live.settings import LiveSettings
        from serving.model_choice import load_model

        with one_thread():  # another thread makes the videos (docs/decisions/0081-one-thread-beside-the-step.md)
            loaded = load_model(workspace, live)
        engine = LiveEngine(workspace, loaded, LiveSettings(longest=longest), limits)
    raise typer.Exit(serve_page(workspace, host, port, limits, expose, loras, engine))


@app.command(rich_help_panel=PANEL)
def serve(
    model: Annotated[str, typer.Option(help="as in generate; an alias is followed")] = "champion",
    host: HostOption = LOOPBACK,
    port: PortOption = 8080,
    expose: ExposeOption = False,
    longest: LongestOption = 60.0,
    upload_mib: Annotated[int, typer.Option(min=1, help="largest request")] = 100,
    waiting: Annotated[int, typer.Option(min=1, help="jobs that may wait")] = 8,
    per_client: Annotated[int, typer.Option(min=1, help="jobs of one client that may wait")] = 4,
    keys: Annotated[
        Path | None,
        typer.Option(help="file of `omnihuman key`: who may ask, by `Authorization: Bearer KEY`; default anybody"),
    ] = None,
    may_drop: MayDropOption = None,
    keep_hours: Annotated[float, typer.Option(min=0, help="how long finished jobs are kept")] = 24.0,
    keep_jobs: Annotated[int, typer.Option(min=1, help="how many finished jobs are kept; the oldest go first")] = 200,
    keep_mib: Annotated[int, typer.Option(min=1, help="and in how much space, with their uploads")] = 2048,
    grace: Annotated[
        float, typer.Option(min=0, help="seconds that the segment being made gets when the server ends")
    ] = 60.0,
    follow: Annotated[
        float, typer.Option(min=0, help="seconds between two looks at where the model's alias stands; 0 never looks")
    ] = 10.0,
    canary: Annotated[
        float, typer.Option(min=0, help="share of the videos that a new version makes until it takes over; 0: at once")
    ] = 0.0,
    canary_videos: Annotated[int, typer.Option(min=5, help="videos that it makes first; at most 200")] = 20,
    webhook_secret: Annotated[
        Path | None, typer.Option(help="file with the secret of MLflow's webhook, which wakes the server at once")
    ] = None,
    keep_inputs: Annotated[
        bool, typer.Option("--keep-inputs", help="keep uploads as long as their job, and prompts in the log")
    ] = False,
    log_days: Annotated[
        float, typer.Option(min=0, help="how long the log of what was served remembers; 0: none")
    ] = 90.0,
    lora: LoraOption = None,
    live: Annotated[
        str, typer.Option(help="a streaming student, for live sessions at ws://HOST:PORT/v1/realtime/video; as --model")
    ] = "",
    live_sessions: Annotated[int, typer.Option(min=1, help="live sessions at a time, of all clients")] = 4,
    live_seconds: Annotated[float, typer.Option(min=1, help="how long a live session may last")] = 600.0,
    live_address: Annotated[
        str, typer.Option(help="this machine's, that WebRTC sends media from; default the one that a request reached")
    ] = "",
    live_ice_server: Annotated[
        list[str] | None,
        typer.Option(help="stun:HOST:PORT, turn:HOST:PORT or turns:HOST:PORT; one of each; default none is asked"),
    ] = None,
    live_turn_login: Annotated[
        Path | None, typer.Option(help="file with NAME:PASSWORD at the TURN server, which its owner alone may read")
    ] = None,
    device: DeviceOption = None,
    quantise: QuantiseOption = None,
    profile: ProfileOption = None,
) -> None:
    """Make videos over HTTP, one after another, as jobs that outlive the process. Needs the extra `serve`."""
    need("pip install -c constraints.txt -e '.[serve]'", "python_multipart", "prometheus_client")
    from serving.http.keys import read_keys
    from serving.http.request_limits import Limits
    from serving.live.ice_servers import check_address, check_ice_servers, read_turn_login
    from serving.live.settings import LiveSettings
    from serving.model_choice import parse_lora
    from serving.versions.canary import CanaryRule
    from serving.versions.webhook import read_secret
    from serving.videos.jobs import Quota
    from serving.videos.server import ServerSettings
    from serving.videos.server import serve as serve_videos

    _say_what_is_off()
    quota = Quota(keep_hours * 3600, keep_jobs, keep_mib * 1024**2)
    settings = ServerSettings(
        limits=Limits(longest, upload_mib * 1024**2, waiting, per_client, _names(may_drop)),
        expose=expose,
        quota=quota,
        grace_seconds=grace,
        keys=None if keys is None else read_keys(keys),
        follow_seconds=follow,
        canary=CanaryRule(canary, canary_videos),
        webhook_secret=None if webhook_secret is None else read_secret(webhook_secret),
        keep_inputs=keep_inputs,
        log_days=log_days,
        loras=[parse_lora(written) for written in lora or ()],
        live=live,
        live_limits=LiveSettings(
            sessions=live_sessions,
            longest=live_seconds,
            rtc_address=check_address(live_address),
            ice_servers=check_ice_servers(live_ice_server or []),
            turn_login=None if live_turn_login is None else read_turn_login(live_turn_login),
            keep_seconds=quota.seconds,
            keep_videos=quota.jobs,
            keep_bytes=quota.size,
        ),
    )
    raise typer.Exit(serve_videos(open_with(profile, device=device, quantise=quantise), model, host, port, settings))


@app.command(rich_help_panel=PANEL)
def key(
    name: Annotated[str, typer.Argument(help="of the client; a client sees his own videos only")],
    keys: Annotated[Path, typer.Option(help="file of keys, which `serve --keys` reads; made where it is not there")],
    right: Annotated[
        list[KeyRight] | None, typer.Option(help="what the key is for; repeat it for several; default videos")
    ] = None,
    waiting: Annotated[int | None, typer.Option(min=1, help="jobs that may wait; default the server's")] = None,
    per_hour: Annotated[
        int | None, typer.Option(min=1, help="videos within an hour; default as many as he likes")
    ] = None,
    longest: Annotated[float | None, typer.Option(help="seconds of one video; default the server's")] = None,
) -> None:
    """Make a key for a client of the video server and print it, once: the file holds its digest alone."""
    from serving.http.keys import Right, add_key

    rights = frozenset(Right(one) for one in right or [KeyRight.videos])
    print(add_key(keys, name, rights, waiting=waiting, per_hour=per_hour, seconds=longest))


def _say_what_is_off() -> None:
    """Signing or the invisible mark, where a setting switched it off."""
    from provenance.settings import notes, read_settings

    for note in notes(read_settings()):
        print(note, file=sys.stderr)


def _names(droppable: list[Droppable] | None) -> frozenset[str]:
    return frozenset(one.value for one in droppable or ())

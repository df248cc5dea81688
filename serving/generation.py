"""`omnihuman generate`, the page and the server: one video from files, of any length, with any registered or local model."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from assets.core.workspace import Workspace
from media import sha256_of_file
from media.speech.length import fitted
from omnihuman import OmniHumanPipeline
from omnihuman.conditions.activation import ActiveConditions, activate_conditions
from omnihuman.exports import Export, LatentsExport, Mp4Export, PngExport, Progress, Provenance, Target, export_segments
from omnihuman.guidance import OmniHumanGuidance, record_of_guidance
from omnihuman.long_video import Handover, LongVideo, Segment, as_batch, generate_segments
from profiles.conditions import TABLE, TRACKS
from serving.inputs import (
    READERS,
    GenerateError,
    Reference,
    SoundTrack,
    Track,
    check_file,
    frames_wanted,
    read_reference,
    read_sound,
)
from serving.model_choice import LoadedModel

Notify = Callable[[str], None]
DEFAULT_ANNEALING = "linear"


@dataclass(frozen=True)
class Request:
    """What a person asks for.

    `files` are by their options (`profiles.conditions.FILES`); a file that is not there is a condition that is off. `seconds` None takes the
    sound's length or a track's. `overlap` is of segments, in frames; None is `LongVideo`'s own. `longest` bounds the video and how much of sound and pose is read, in seconds: for people who ask over a network.
    """

    output: Path
    files: Mapping[str, Path]
    prompt: str
    seconds: float | None = None
    seed: int = 0
    steps: int | None = None
    activate: str | None = None
    without: Collection[str] = ()
    guidance: OmniHumanGuidance | None = None
    mark: bool = True
    face_check: bool = True
    longest: float | None = None
    overlap: int | None = None


@dataclass(frozen=True)
class Inputs:
    """What was read of the files; None is a condition that is off."""

    reference: Reference | None
    sound: SoundTrack | None
    tracks: Mapping[str, Track]

    def notes(self) -> list[str]:
        """For people, such as what of the picture is cut off."""
        parts = (self.reference, self.sound, *self.tracks.values())
        return [note for part in parts if part is not None for note in part.notes]


@dataclass(frozen=True)
class Prepared:
    """A request whose inputs were read and found to be usable: all that is left is to make it."""

    request: Request
    inputs: Inputs
    video: LongVideo
    provenance: Provenance


def parse_guidance(both: str | None, audio: str | None, annealing: str) -> OmniHumanGuidance | None:
    """Scales written `START` or `START:END`, for text and audio together and for audio alone; None without either.

    Raises:
        GenerateError: no such number, or an annealing of no scale.
        InputError: no such annealing.
    """
    if both is None and audio is None:
        if annealing != DEFAULT_ANNEALING:
            raise GenerateError(
                f"--annealing {annealing} is of a guidance that is given; give --guidance or --audio-guidance too"
            )
        return None
    start, end = _scales(both or "1")
    audio_start, audio_end = _scales(audio) if audio is not None else (start, end)
    return OmniHumanGuidance(start, end, audio_start, audio_end, annealing)  # type: ignore[arg-type]


def _scales(written: str) -> tuple[float, float]:
    try:
        numbers = [float(part) for part in written.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2) or not np.isfinite(numbers).all():
        raise GenerateError(f"guidance {written!r}: write a scale, or START:END, for example 6.5:3.5")
    return numbers[0], numbers[-1]


def generate_videos(
    workspace: Workspace,
    model: LoadedModel,
    requests: Sequence[Request],
    notify: Notify,
    progress: Progress | None = None,
) -> list[Path]:
    """Write each output: `.mp4`, `.safetensors` (latents), or a folder of PNG frames. `prepare_video`, then `write_videos`.

    Args:
        workspace: its profile gives buckets, rates and keypoint detector.
        model: from `load_model`.
        requests: what to make, as one batch.
        notify: called with notes for people.
        progress: called with (segments done, segments, note).

    Raises:
        GenerateError: an input that cannot be used.
        ValueError: conditions that do not go together, guidance for a one-step student.
    """
    prepared = [prepare_video(workspace, model, request) for request in requests]
    for note in dict.fromkeys(note for one in prepared for note in one.inputs.notes()):
        notify(note)
    return write_videos(workspace, model, prepared, progress)


def one_request_per_sound(request: Request, sounds: Sequence[Path]) -> list[Request]:
    """The same person with each sound; the outputs' names have the sounds' added: `talking.mp4` becomes `talking-voice.mp4`.

    Raises:
        GenerateError: two sounds of one name.
    """
    names = [sound.stem for sound in sounds]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise GenerateError(
            f"several sounds are called {', '.join(twice)}, and so would be their videos; give them names of their own"
        )
    output = request.output
    return [
        dataclasses.replace(
            request,
            files={**request.files, "audio": sound},
            output=output.with_name(f"{output.stem}-{name}{output.suffix}"),
        )
        for sound, name in zip(sounds, names, strict=True)
    ]


def conditions_of(request: Request) -> ActiveConditions:
    """What of it is on. Says what is wrong without a model, so that nobody waits for one to be loaded first.

    Raises:
        GenerateError: an output that cannot be written, conditions that do not go together, a file that is not there.
    """
    _check_output(request.output)
    given = [*_files(request), *["text"] * bool(request.prompt.strip())]
    active = activate_conditions(given, request.activate, request.without)
    for row in TABLE:
        if row.name in active.on and row.option in request.files:
            check_file(request.files[row.option], row.option)
    return active


def prepare_video(workspace: Workspace, model: LoadedModel, request: Request) -> Prepared:
    """Read and check everything; nothing is made yet. Raises as `generate_videos`."""
    active = conditions_of(request)
    inputs = _read_inputs(workspace, model, request, active)
    video = _long_video(workspace, model.pipeline, request, active, inputs)
    return Prepared(request, inputs, video, _provenance(model, request, active, video))


def write_video(workspace: Workspace, model: LoadedModel, prepared: Prepared, progress: Progress | None = None) -> Path:
    """`write_videos` of one."""
    return write_videos(workspace, model, [prepared], progress)[0]


def write_videos(
    workspace: Workspace, model: LoadedModel, prepared: Sequence[Prepared], progress: Progress | None = None
) -> list[Path]:
    """Make them as one batch, segment by segment. Stopped (also by an exception out of `progress`) and called again, it goes on.

    Raises:
        ValueError: requests that differ in the shape of the picture, steps or guidance.
    """
    video = as_batch([one.video for one in prepared])
    targets = [Target(_export(workspace, one), one.request.output, one.video.frames) for one in prepared]
    settings = {
        "provenance": [vars(one.provenance) for one in prepared],
        "frames": [one.video.frames for one in prepared],
        "segment_frames": video.segment_frames,
        "overlap": video.shared,
        "size": [video.height, video.width],
    }

    def make(first: int, before: Handover | None) -> Iterator[Segment]:
        return generate_segments(model.pipeline, video, first, before)

    return export_segments(make, video.segments, targets, settings, progress)


def _files(request: Request) -> dict[str, Path]:
    """What was given, by condition."""
    return {row.name: request.files[row.option] for row in TABLE if row.option in request.files}


def _read_inputs(workspace: Workspace, model: LoadedModel, request: Request, active: ActiveConditions) -> Inputs:
    from assets.kinds.detectors import keypoint_detector

    profile = workspace.profile
    files = {name: path for name, path in _files(request).items() if name in active.on}
    reference = sound = None
    if "reference" in files:
        detector = keypoint_detector(profile) if request.face_check else None
        reference = read_reference(files["reference"], profile.video, detector)
        if unlike := model.unlike(reference.shows):
            reference = dataclasses.replace(reference, notes=(*reference.notes, f"{files['reference']}: {unlike}"))
    if "audio" in files:
        sound = read_sound(files["audio"], profile.video, request.seconds, request.longest)
    bucket = reference.bucket if reference else profile.video.main
    drawn = list(model.pipeline.config.pose_keypoints)
    tracks = {
        name: READERS[name](files[name], profile.video, bucket, keypoint_detector(profile), drawn, request.longest)
        for name in TRACKS
        if name in files
    }
    return Inputs(reference, sound, tracks)


def _long_video(
    workspace: Workspace, pipeline: OmniHumanPipeline, request: Request, active: ActiveConditions, inputs: Inputs
) -> LongVideo:
    config = workspace.profile.video
    if config.fps != pipeline.config.fps:
        raise GenerateError(
            f"the model was trained at {pipeline.config.fps:g} fps, profile {workspace.profile.name} has {config.fps:g}; choose the model's profile with --profile"
        )
    bucket = inputs.reference.bucket if inputs.reference else config.main
    return LongVideo(
        prompts=[request.prompt if "text" in active.on else ""],
        reference=None if inputs.reference is None else torch.from_numpy(inputs.reference.image)[None],
        audio=None if inputs.sound is None else torch.from_numpy(inputs.sound.samples)[None],
        tracks={name: torch.from_numpy(track.values)[None] for name, track in inputs.tracks.items()},
        frames=frames_wanted(config, request.seconds, inputs.sound, inputs.tracks, bucket.frames, request.longest),
        segment_frames=bucket.frames,
        seeds=[request.seed],
        height=bucket.height,
        width=bucket.width,
        steps=request.steps,
        guidance=request.guidance,
        sample_rate=config.sample_rate,
        overlap=request.overlap,
    )


def _provenance(model: LoadedModel, request: Request, active: ActiveConditions, video: LongVideo) -> Provenance:
    steps = video.steps or model.pipeline.config.num_inference_steps
    guidance = model.pipeline.choose_guidance(steps, guidance=video.guidance)
    return Provenance(
        model=model.name,
        weights=model.weights,
        snapshot=model.snapshot,
        seed=request.seed,
        steps=steps,
        guidance=record_of_guidance(guidance),
        prompt=request.prompt,
        conditions=active.record(),
        inputs={name: sha256_of_file(path) for name, path in _files(request).items() if name in active.on},
        marked=request.mark,
        decoder=model.decoder,
        version=model.version,
        loras=model.pipeline.loras(),
        quantised=model.quantised,
    )


def _export(workspace: Workspace, prepared: Prepared) -> Export:
    output, provenance = prepared.request.output, prepared.provenance
    files = {name: path for name, path in _files(prepared.request).items() if name in provenance.inputs}
    if output.suffix == ".safetensors":
        return LatentsExport(provenance, prepared.video.shared)
    if output.suffix == ".mp4":
        config, heard = workspace.profile.video, prepared.inputs.sound
        sound = (
            None
            if heard is None
            else fitted(heard.samples, round(prepared.video.frames / config.fps * config.sample_rate))
        )
        return Mp4Export(output, provenance, config.fps, sound, config.sample_rate, files)
    return PngExport(provenance, workspace.profile.video.fps, files)


def _check_output(output: Path) -> None:
    if output.suffix not in ("", ".mp4", ".safetensors"):
        raise GenerateError(f"{output}: the output is FILE.mp4, FILE.safetensors (latents), or a folder for PNG frames")
    if (
        output.suffix == ""
        and output.exists()
        and not (output.is_dir() and all(p.suffix == ".png" for p in output.iterdir()))
    ):
        raise GenerateError(f"{output} exists and holds other things than PNG frames; name another folder")
    if output.suffix and output.is_dir():
        raise GenerateError(f"{output} is a folder; name a file")
    output.parent.mkdir(parents=True, exist_ok=True)

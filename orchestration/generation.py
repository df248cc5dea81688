"""`omnihuman generate`: one video from files, of any length, with any registered or local model."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from assets.workspace import Workspace
from media import sha256_of_file
from omnihuman import OmniHumanPipeline
from omnihuman.conditions import ActiveConditions, activate_conditions
from omnihuman.digests import weights_digest
from omnihuman.exports import Export, LatentsExport, Mp4Export, PngExport, Provenance, export_segments
from omnihuman.guidance import OmniHumanGuidance
from omnihuman.long_video import LongVideo, generate_segments
from orchestration.generation_inputs import (
    GenerateError,
    Pose,
    Reference,
    SoundTrack,
    frames_wanted,
    read_pose,
    read_reference,
    read_sound,
)

Notify = Callable[[str], None]
STUDENT = "omnihuman-student"


@dataclass(frozen=True)
class LoadedModel:
    """A pipeline and what is known of where it came from; `snapshot` is "" where that is not known."""

    pipeline: OmniHumanPipeline
    name: str
    weights: str
    snapshot: str


@dataclass(frozen=True)
class Request:
    """What a person asks for. A path left None is a condition that is off; `seconds` None takes the sound's or pose's length."""

    output: Path
    image: Path | None
    audio: Path | None
    pose: Path | None
    prompt: str
    seconds: float | None = None
    seed: int = 0
    steps: int | None = None
    activate: str | None = None
    without: Collection[str] = ()
    guidance: OmniHumanGuidance | None = None
    mark: bool = True
    face_check: bool = True


def load_model(workspace: Workspace, model: str) -> LoadedModel:
    """A pipeline by alias (`champion`), from the registry (`models:/NAME@ALIAS`, `models:/NAME/VERSION`), or from a folder.

    Raises:
        GenerateError: no such folder, or one whose files cannot be read.
        tracking.registry.RegistryError: no such model, version or alias.
    """
    if model.startswith("models:/"):
        return _from_registry(workspace, model)
    place = Path(model)
    if (place / "model_index.json").is_file():
        return LoadedModel(_read_pipeline(place), model, weights_digest(place / "transformer"), "")
    if place.exists() or not re.fullmatch(r"[\w-]+", model):
        raise GenerateError(
            f"{model} holds no model_index.json; give an alias (champion), models:/NAME@ALIAS, or the folder of a whole pipeline "
            "(save_pretrained)"
        )
    return _from_registry(workspace, f"models:/{STUDENT}@{model}")


def parse_guidance(both: str | None, audio: str | None, annealing: str) -> OmniHumanGuidance | None:
    """Scales written `START` or `START:END`, for text and audio together and for audio alone; None without either.

    Raises:
        GenerateError: no such number.
        ValueError: no such annealing.
    """
    if both is None and audio is None:
        return None
    start, end = _scales(both or "1")
    audio_start, audio_end = _scales(audio) if audio is not None else (start, end)
    return OmniHumanGuidance(start, end, audio_start, audio_end, annealing)  # type: ignore[arg-type]


def _scales(written: str) -> tuple[float, float]:
    try:
        numbers = [float(part) for part in written.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise GenerateError(f"guidance {written!r}: write a scale, or START:END, for example 6.5:3.5")
    return numbers[0], numbers[-1]


def _from_registry(workspace: Workspace, model: str) -> LoadedModel:
    from tracking.registry import RegistryError, get_alias, get_version, version_folder

    parts = re.fullmatch(r"models:/([^/@]+)(?:@([^/@]+)|/(\d+))?", model)
    if parts is None:
        raise GenerateError(f"{model}: write models:/NAME@ALIAS or models:/NAME/VERSION, for example models:/{STUDENT}@champion")
    name, alias, number = parts[1], parts[2] or "champion", parts[3]
    found = get_version(workspace.tracking_uri, name, int(number)) if number else get_alias(workspace.tracking_uri, name, alias)
    if found is None:
        raise RegistryError(f"{name} has no version with alias {alias!r}; run `make demo`, or `omnihuman promote`")
    pipeline = _read_pipeline(version_folder(workspace.tracking_uri, name, found.version))
    return LoadedModel(pipeline, f"{name} version {found.version}", found.tags.get("weights_digest", ""), found.tags.get("snapshot_digest", ""))


def _read_pipeline(folder: Path) -> OmniHumanPipeline:
    try:
        return OmniHumanPipeline.from_pretrained(str(folder))
    except Exception as error:  # whatever diffusers, transformers and safetensors raise for files of another kind or cut off
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GenerateError(f"{folder} cannot be loaded as a pipeline: {reason}; save it again with save_pretrained, or register it anew") from error


def generate_video(
    workspace: Workspace, model: LoadedModel, request: Request, notify: Notify, progress: Callable[[int, int, str], None] | None = None
) -> Path:
    """Write the output: `.mp4`, `.safetensors` (latents), or a folder of PNG frames.

    Args:
        workspace: its profile gives buckets, rates and keypoint detector.
        model: from `load_model`.
        request: what to make.
        notify: called with notes for people.
        progress: called with (segments done, segments, note).

    Raises:
        GenerateError: an input that cannot be used.
        ValueError: conditions that do not go together, guidance for a one-step student.
    """
    _check_output(request.output)
    active = activate_conditions(_given(request), request.activate, request.without)
    inputs = _read_inputs(workspace, model.pipeline, request, active)
    for note in inputs.notes():
        notify(note)
    video = _long_video(workspace, model.pipeline, request, active, inputs)
    provenance = _provenance(model, request, active, video)
    export = _export(request.output, provenance, workspace, inputs, video)
    settings = {"provenance": vars(provenance), "frames": video.frames, "segment_frames": video.segment_frames, "size": [video.height, video.width]}

    def make(first: int, motion: torch.Tensor | None) -> Any:
        return generate_segments(model.pipeline, video, first, motion)

    return export_segments(make, video.segments, export, request.output, settings, progress)


@dataclass(frozen=True)
class _Inputs:
    reference: Reference | None
    sound: SoundTrack | None
    pose: Pose | None

    def notes(self) -> list[str]:
        return [note for part in (self.reference, self.sound, self.pose) if part is not None for note in part.notes]


def _given(request: Request) -> list[str]:
    inputs = {"text": request.prompt.strip(), "reference": request.image, "audio": request.audio, "pose": request.pose}
    return [name for name, value in inputs.items() if value]


def _read_inputs(workspace: Workspace, pipeline: OmniHumanPipeline, request: Request, active: ActiveConditions) -> _Inputs:
    from assets.detectors import keypoint_detector

    profile = workspace.profile
    reference = sound = pose = None
    if request.image is not None and "reference" in active.on:
        reference = read_reference(request.image, profile.video, keypoint_detector(profile) if request.face_check else None)
    if request.audio is not None and "audio" in active.on:
        sound = read_sound(request.audio, profile.video, request.seconds)
    if request.pose is not None and "pose" in active.on:
        bucket = reference.bucket if reference else profile.video.main
        pose = read_pose(request.pose, profile.video, bucket, keypoint_detector(profile), list(pipeline.config.pose_keypoints))
    return _Inputs(reference, sound, pose)


def _long_video(
    workspace: Workspace, pipeline: OmniHumanPipeline, request: Request, active: ActiveConditions, inputs: _Inputs
) -> LongVideo:
    config = workspace.profile.video
    if config.fps != pipeline.config.fps:
        raise GenerateError(f"the model was trained at {pipeline.config.fps:g} fps, profile {workspace.profile.name} has {config.fps:g}; choose the model's profile with --profile")
    bucket = inputs.reference.bucket if inputs.reference else config.main
    return LongVideo(
        prompts=[request.prompt if "text" in active.on else ""],
        reference=None if inputs.reference is None else torch.from_numpy(inputs.reference.image)[None],
        audio=None if inputs.sound is None else torch.from_numpy(inputs.sound.samples)[None],
        keypoints=None if inputs.pose is None else torch.from_numpy(inputs.pose.keypoints)[None],
        frames=frames_wanted(config, request.seconds, inputs.sound, inputs.pose, bucket.frames),
        segment_frames=bucket.frames, seeds=[request.seed], height=bucket.height, width=bucket.width, steps=request.steps,
        guidance=request.guidance, sample_rate=config.sample_rate,
    )


def _provenance(model: LoadedModel, request: Request, active: ActiveConditions, video: LongVideo) -> Provenance:
    steps = video.steps or model.pipeline.config.num_inference_steps
    guidance = model.pipeline.choose_guidance(steps, guidance=video.guidance)
    files = {"reference": request.image, "audio": request.audio, "pose": request.pose}
    return Provenance(
        model=model.name, weights=model.weights, snapshot=model.snapshot, seed=request.seed, steps=steps,
        guidance={} if guidance is None else {k: v for k, v in guidance.config.items() if not k.startswith("_")},
        prompt=request.prompt, conditions=active.record(),
        inputs={name: sha256_of_file(path) for name, path in files.items() if path is not None and name in active.on},
        marked=request.mark,
    )


def _export(output: Path, provenance: Provenance, workspace: Workspace, inputs: _Inputs, video: LongVideo) -> Export:
    if output.suffix == ".safetensors":
        return LatentsExport(provenance)
    if output.suffix == ".mp4":
        config = workspace.profile.video
        sound = None if inputs.sound is None else _fitted(inputs.sound.samples, round(video.frames / config.fps * config.sample_rate))
        return Mp4Export(output, provenance, config.fps, sound, config.sample_rate)
    return PngExport(provenance)


def _fitted(samples: np.ndarray, length: int) -> np.ndarray:
    """Cut, or filled up with silence: the sound lasts exactly as long as the pictures."""
    return np.pad(samples[:length], (0, max(0, length - len(samples))))


def _check_output(output: Path) -> None:
    if output.suffix not in ("", ".mp4", ".safetensors"):
        raise GenerateError(f"{output}: the output is FILE.mp4, FILE.safetensors (latents), or a folder for PNG frames")
    if output.suffix == "" and output.exists() and not (output.is_dir() and all(p.suffix == ".png" for p in output.iterdir())):
        raise GenerateError(f"{output} exists and holds other things than PNG frames; name another folder")
    if output.suffix and output.is_dir():
        raise GenerateError(f"{output} is a folder; name a file")
    output.parent.mkdir(parents=True, exist_ok=True)

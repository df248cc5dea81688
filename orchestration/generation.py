"""Make one talking clip from files, with any registered or local model."""

from pathlib import Path

import cv2
import numpy as np
import torch

from assets.workspace import Workspace
from curation.bucket import to_bucket
from media import decode_clip, encode_clip, read_audio, write_atomically
from omnihuman import OmniHumanPipeline


class GenerateError(RuntimeError):
    """An input that cannot be used; the message names the file and the remedy."""


def load_model(workspace: Workspace, model: str) -> OmniHumanPipeline:
    """A pipeline from `models:/name@alias` or from a folder.

    Raises:
        GenerateError: no such folder.
        tracking.registry.RegistryError: no such model or alias.
    """
    if model.startswith("models:/"):
        from tracking.registry import champion_folder

        name, _, alias = model.removeprefix("models:/").partition("@")
        return OmniHumanPipeline.from_pretrained(str(champion_folder(workspace.tracking_uri, name, alias or "champion")))
    if not (Path(model) / "model_index.json").is_file():
        raise GenerateError(f"{model} is neither models:/NAME@ALIAS nor a folder with model_index.json")
    return OmniHumanPipeline.from_pretrained(model)


def generate_clip(
    workspace: Workspace, pipeline: OmniHumanPipeline, reference: Path, audio: Path, prompt: str, pose: Path | None,
    seed: int, steps: int | None, output: Path,
) -> None:
    """Write an mp4 with sound, H.264 in yuv420p, four times enlarged where the model is small.

    Args:
        workspace: its profile gives size, rate and length.
        pipeline: the model.
        reference: image, or a video whose first frame is taken.
        audio: sound file, or a video with sound; one window of it is used.
        prompt: caption.
        pose: video whose keypoints drive the body, or None for audio-driven.
        seed: of the noise.
        steps: sampling steps; None is the model's own.
        output: the mp4.
    """
    video = workspace.profile.video
    image = to_bucket(_reference(reference, video.fps), video)[0]
    sound = read_audio(audio, video.sample_rate)
    wanted = round(video.frames / video.fps * video.sample_rate)
    sound = np.pad(sound[:wanted], (0, max(0, wanted - len(sound))))
    keypoints = None
    if pose is not None:
        from assets.detectors import keypoint_detector

        clip = to_bucket(decode_clip(pose, video.fps).frames, video)
        if len(clip) < video.frames:
            raise GenerateError(f"{pose} has {len(clip)} frames at {video.fps} fps; pose needs {video.frames}")
        keypoints = torch.from_numpy(keypoint_detector(workspace.profile)(clip[: video.frames]))[None]
    frames = pipeline(
        prompt, reference=torch.from_numpy(image)[None], audio=torch.from_numpy(sound)[None], keypoints=keypoints,
        num_frames=video.frames, num_inference_steps=steps, generator=torch.Generator().manual_seed(seed),
    ).frames[0].numpy()
    enlarged = frames.repeat(4, axis=1).repeat(4, axis=2) if video.height < 128 else frames
    write_atomically(output, encode_clip(enlarged, video.fps, sound, video.sample_rate, pixel_format="yuv420p"))


def _reference(path: Path, fps: float) -> np.ndarray:
    if not path.is_file():
        raise GenerateError(f"no reference {path}")
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if image is not None:
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)[None]
    return decode_clip(path, fps, max_seconds=0.1).frames[:1]

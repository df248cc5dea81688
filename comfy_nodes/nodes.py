"""The nodes, in ComfyUI's interface of classes (`INPUT_TYPES`, `RETURN_TYPES`, `FUNCTION`), which needs nothing of ComfyUI to be imported."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from comfy_nodes.errors import NodeError, at_node
from comfy_nodes.poses import from_openpose
from comfy_nodes.students import DEFAULT, DTYPES, Student, load_student, state_of
from comfy_nodes.values import Audio, audio_of, image_of, picture_of, sound_of
from media.keypoints.keypoint_file import SUFFIX, Keypoints, fit_keypoints, read_keypoints
from media.speech.length import fitted
from media.speech.level import RATE
from omnihuman.conditions.pictures import fit_reference, to_reference
from omnihuman.exporting.marking import Marking
from omnihuman.placement import AUTO, devices
from omnihuman.talking import OmniHumanOutput

CATEGORY = "OmniHuman"
STUDENT, POSE, VIDEO = "OMNIHUMAN_STUDENT", "OMNIHUMAN_POSE", "OMNIHUMAN_VIDEO"  # types of this package alone


@dataclass(frozen=True)
class MadeVideo:
    """One video that is not yet written; `mark` is whether "AI-generated" is to stand on it, which no later node can change."""

    output: OmniHumanOutput
    mark: bool


class LoadStudent:
    """A registered student, compared with its signature, or one from a folder."""

    CATEGORY, FUNCTION, TITLE = CATEGORY, "load", "OmniHuman student"
    RETURN_TYPES, RETURN_NAMES = (STUDENT,), ("student",)
    DESCRIPTION = (
        "NAME@ALIAS or NAME/VERSION of the registry at $MLFLOW_TRACKING_URI, or the folder of a whole pipeline."
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("STRING", {"default": DEFAULT}),
                "device": ([AUTO, *devices()], {"default": AUTO}),
                "dtype": (list(DTYPES), {"default": "float32"}),
            }
        }

    @classmethod
    def IS_CHANGED(cls, model: str, device: str, dtype: str) -> str:
        """So that a promotion is seen by the next run, where ComfyUI would go on with what it has loaded."""
        return state_of(model)

    def load(self, model: str, device: str, dtype: str) -> tuple[Student]:
        with at_node(self.TITLE):
            return (load_student(model, device, dtype),)


class LoadPose:
    """A file of keypoints out of ComfyUI's input folder."""

    CATEGORY, FUNCTION, TITLE = CATEGORY, "load", "OmniHuman pose file"
    RETURN_TYPES, RETURN_NAMES = (POSE,), ("pose",)
    DESCRIPTION = f"Keypoints as a frozen set's poses/ID{SUFFIX}, from ComfyUI's input folder."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        import folder_paths  # ComfyUI's

        there = sorted(path.name for path in Path(folder_paths.get_input_directory()).glob(f"*{SUFFIX}"))
        return {"required": {"file": (there,)}}

    @classmethod
    def IS_CHANGED(cls, file: str) -> int:
        return _input(file).stat().st_mtime_ns

    def load(self, file: str) -> tuple[Keypoints]:
        with at_node(self.TITLE):
            return (read_keypoints(_input(file)),)


class PoseFromOpenPose:
    """The poses that DWPose nodes of other packages find in pictures."""

    CATEGORY, FUNCTION, TITLE = CATEGORY, "convert", "OmniHuman pose from POSE_KEYPOINT"
    RETURN_TYPES, RETURN_NAMES = (POSE,), ("pose",)
    DESCRIPTION = "POSE_KEYPOINT as DWPose nodes make it, one dictionary of OpenPose's a frame."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        rate = {"default": 16.0, "min": 1.0, "max": 240.0, "step": 0.01}
        return {"required": {"pose_keypoint": ("POSE_KEYPOINT",), "fps": ("FLOAT", rate)}}

    def convert(self, pose_keypoint: list[dict[str, Any]], fps: float) -> tuple[Keypoints]:
        with at_node(self.TITLE):
            return (from_openpose(pose_keypoint, fps),)


class MakeVideo:
    """A video of a person, as long as is asked for, else as its sound, else as its pose."""

    CATEGORY, FUNCTION, TITLE = CATEGORY, "make", "OmniHuman video"
    RETURN_TYPES = (VIDEO, "IMAGE", "AUDIO", "FLOAT")
    RETURN_NAMES = ("video", "images", "audio", "fps")
    DESCRIPTION = "The images are marked as a saved file's are; `mark` is the visible part of it."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "student": (STUDENT,),
                "prompt": ("STRING", {"default": "A person talks.", "multiline": True}),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**63 - 1}),
                "seconds": (
                    "FLOAT",
                    {"default": 0.0, "min": 0.0, "max": 3600.0, "step": 0.01, "tooltip": "0: as the sound or the pose"},
                ),
                "steps": ("INT", {"default": 0, "min": 0, "max": 1000, "tooltip": "0: the model's own"}),
                "mark": (
                    "BOOLEAN",
                    {
                        "default": True,
                        "tooltip": '"AI-generated" on the pictures; without it you are answerable for telling viewers',
                    },
                ),
            },
            "optional": {"image": ("IMAGE",), "audio": ("AUDIO",), "pose": (POSE,)},
        }

    def make(
        self,
        student: Student,
        prompt: str,
        seed: int,
        seconds: float,
        steps: int,
        mark: bool,
        image: Tensor | None = None,
        audio: Audio | None = None,
        pose: Keypoints | None = None,
    ) -> tuple[MadeVideo, Tensor, dict[str, Any], float]:
        with at_node(self.TITLE):
            marking = Marking.begin(mark, student.version)  # first: what cannot be signed is not made
            output = _talk(student, prompt, seed, seconds or None, steps or None, image, audio, pose)
            if output.making is None:
                raise NodeError("the pipeline does not say how the video was made, so it cannot be marked")
            output.making = dataclasses.replace(output.making, model=student.model, version=student.version)
        fps = output.making.fps
        samples = np.zeros(0, np.float32) if output.making.sound is None else output.making.sound
        heard = fitted(samples, round(output.frames.shape[1] / fps * RATE))
        images = image_of(marking.pictures(output.frames[0], fps))
        return MadeVideo(output, mark), images, audio_of(heard, RATE), fps


class SaveVideo:
    """An mp4 in ComfyUI's output folder: marked, and signed as the last write."""

    CATEGORY, FUNCTION, TITLE, OUTPUT_NODE = CATEGORY, "save", "OmniHuman save", True
    RETURN_TYPES, RETURN_NAMES = ("STRING",), ("path",)
    DESCRIPTION = "Another node that saves the images writes them marked, and not signed."

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"video": (VIDEO,), "filename_prefix": ("STRING", {"default": "omnihuman/talking"})}}

    def save(self, video: MadeVideo, filename_prefix: str) -> dict[str, Any]:
        import folder_paths  # ComfyUI's

        height, width = video.output.frames.shape[2:4]
        folder, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory(), width, height
        )
        path = Path(folder) / f"{name}_{counter:05}_.mp4"
        with at_node(self.TITLE):
            video.output.save(path, mark=video.mark)
        shown = {"filename": path.name, "subfolder": subfolder, "type": "output"}
        return {"ui": {"images": [shown], "animated": (True,)}, "result": (str(path),)}


def _talk(
    student: Student,
    prompt: str,
    seed: int,
    seconds: float | None,
    steps: int | None,
    image: Tensor | None,
    audio: Audio | None,
    pose: Keypoints | None,
) -> OmniHumanOutput:
    pipeline = student.pipeline
    picture = None if image is None else to_reference(picture_of(image))
    high, wide = pipeline.shapes()[0] if image is None and pipeline.shapes() else (None, None)
    picture, (height, width) = fit_reference(picture, high, wide, pipeline.shapes(), pipeline.multiple)
    sound, rate = (None, RATE) if audio is None else sound_of(audio)
    track = None if pose is None else torch.from_numpy(fit_keypoints(pose, height, width, pipeline.config.fps))[None]
    return pipeline.talk(picture, sound, prompt, rate, seconds, seed, steps, None, height, width, track)


def _input(file: str) -> Path:
    """A file of ComfyUI's input folder, by its name as the node lists it."""
    import folder_paths  # ComfyUI's

    return Path(folder_paths.get_annotated_filepath(file))


_NODES: dict[str, Any] = {
    "OmniHumanLoadStudent": LoadStudent,
    "OmniHumanLoadPose": LoadPose,
    "OmniHumanPoseFromOpenPose": PoseFromOpenPose,
    "OmniHumanMakeVideo": MakeVideo,
    "OmniHumanSaveVideo": SaveVideo,
}
NODE_CLASS_MAPPINGS: dict[str, type] = _NODES
NODE_DISPLAY_NAME_MAPPINGS = {name: node.TITLE for name, node in _NODES.items()}

"""The nodes by ComfyUI's documented interface: loaded by path, run as the example workflow says, each bad input one sentence; and, where there is one, in ComfyUI itself.

ComfyUI is in no package registry as a package. `$COMFYUI` (the folder of its main.py) and `$COMFYUI_PYTHON` name one that stands here.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from assets.core.names import STUDENT as REGISTERED
from comfy_nodes.nodes import LoadPose, LoadStudent, MadeVideo, MakeVideo, PoseFromOpenPose, SaveVideo
from comfy_nodes.poses import from_openpose
from comfy_nodes.students import NAME, Student
from media import probe_clip, read_audio
from media.keypoints.keypoint_file import Keypoints, write_keypoints
from omnihuman.exports import read_provenance
from provenance.outcomes import UNTOUCHED
from provenance.verify import verify_files
from puppets import PuppetKeypoints
from tests.orchestration.serving import PUPPET, save_inputs, save_model
from tracking.registry import Registry
from tracking.tracker import Tracker

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = json.loads((ROOT / "comfy_nodes" / "workflow.json").read_text())
SOUND: dict[str, Any]
FACE = torch.from_numpy(PUPPET.frames[:1]).float() / 255
SOUND = {"waveform": torch.from_numpy(PUPPET.audio)[None, None].expand(1, 2, -1), "sample_rate": 16_000}
POSE = Keypoints(PuppetKeypoints()(PUPPET.frames), 64, 64, 16.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return save_model(tmp_path_factory.mktemp("comfy") / "model")


@pytest.fixture(scope="module")
def registry(model) -> Registry:
    found = Registry(Tracker(f"sqlite:///{model.parent}/mlflow.db"))
    found.register(REGISTERED, model)
    found.set_alias(REGISTERED, "champion", 1)
    return found


@pytest.fixture(scope="module")
def student(model) -> Student:
    return LoadStudent().load(str(model), "cpu", "float32")[0]


@pytest.fixture
def comfyui(tmp_path, monkeypatch) -> Path:
    """ComfyUI's `folder_paths`, as its documentation has it: the input folder and the next free name in the output folder."""
    (tmp_path / "input").mkdir()

    def next_name(prefix: str, output: str, width: int, height: int) -> tuple[str, str, int, str, str]:
        sub, name = os.path.split(prefix)
        (Path(output) / sub).mkdir(parents=True, exist_ok=True)
        return str(Path(output) / sub), name, 1, sub, prefix

    paths: Any = ModuleType("folder_paths")
    paths.get_input_directory = lambda: str(tmp_path / "input")
    paths.get_output_directory = lambda: str(tmp_path / "output")
    paths.get_annotated_filepath = lambda name: str(tmp_path / "input" / name)
    paths.get_save_image_path = next_name
    monkeypatch.setitem(sys.modules, "folder_paths", paths)
    return tmp_path


def make(student: Student, **change: Any) -> tuple[MadeVideo, torch.Tensor, dict[str, Any], float]:
    asked = {
        "prompt": "A person talks.",
        "seed": 0,
        "seconds": 0.0,
        "steps": 0,
        "mark": True,
        "image": FACE,
        "audio": SOUND,
    }
    return MakeVideo().make(student, **{**asked, **change})


def loaded_as_comfyui_does(folder: Path) -> ModuleType:
    """The package by its path, under a name made of it."""
    name = str(folder).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_workflow(workflow: Mapping[str, Any], classes: Mapping[str, Any]) -> dict[str, Any]:
    """Every node after those that it takes from, which ComfyUI's own two begin by what their pages say they give; a link has the type that its input asks for, a value that of its widget."""
    results: dict[str, Any] = {}
    with torch.inference_mode():
        given = {
            "LoadImage": (FACE.clone(), torch.zeros(1, 64, 64)),
            "LoadAudio": ({**SOUND, "waveform": SOUND["waveform"].clone()},),
        }
    for number, node in sorted(workflow.items()):
        if node["class_type"] in given:
            results[number] = given[node["class_type"]]
            continue
        cls: Any = classes[node["class_type"]]
        asked = cls.INPUT_TYPES()
        declared = {**asked["required"], **asked.get("optional", {})}
        assert set(asked["required"]) <= set(node["inputs"]) <= set(declared)
        values = {}
        for name, value in node["inputs"].items():
            kind = declared[name][0]
            if isinstance(value, list):
                source = classes.get(workflow[value[0]]["class_type"])
                assert source is None or source.RETURN_TYPES[value[1]] == kind
                value = results[value[0]][value[1]]
            else:
                assert value in kind if isinstance(kind, list) else kind in ("STRING", "INT", "FLOAT", "BOOLEAN")
            values[name] = value
        with torch.inference_mode():  # as ComfyUI's executor
            made = getattr(cls(), cls.FUNCTION)(**values)
        results[number] = made["result"] if isinstance(made, dict) else made
        assert len(results[number]) == len(cls.RETURN_TYPES) == len(cls.RETURN_NAMES)
        results[f"{number}.ui"] = made["ui"] if isinstance(made, dict) else None
    return results


def test_the_example_workflow_makes_a_marked_and_signed_video_of_the_registered_champion(
    comfyui, registry, monkeypatch
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracker.uri)
    (comfyui / "custom_nodes").mkdir()
    (comfyui / "custom_nodes" / "omni.human").symlink_to(ROOT / "comfy_nodes")
    package = loaded_as_comfyui_does(comfyui / "custom_nodes" / "omni.human")
    assert package.NODE_CLASS_MAPPINGS.keys() == package.NODE_DISPLAY_NAME_MAPPINGS.keys()
    results = run_workflow(WORKFLOW, package.NODE_CLASS_MAPPINGS)
    shown = results["5.ui"]["images"][0]
    path = comfyui / "output" / shown["subfolder"] / shown["filename"]
    assert str(path) == results["5"][0] and probe_clip(path).frames == 25
    signature, watermark = verify_files([path])[0].layers
    assert signature.outcome == watermark.outcome == UNTOUCHED
    said = read_provenance(path)
    assert (said["model"], said["version"], said["marked"]) == (f"{REGISTERED} version 1", 1, True)
    assert said["conditions"]["on"] == ["text", "reference", "audio"]
    video, images, audio, fps = results["4"]
    assert (images.dtype, tuple(images.shape), fps) == (torch.float32, (25, 256, 256, 3), 16.0)
    assert images.min() >= 0 and images.max() <= 1
    assert audio["waveform"].shape == (1, 1, 25_000) and audio["sample_rate"] == 16_000
    assert len(read_audio(path, 16_000)) == 25_000
    assert NAME == REGISTERED


def test_a_promotion_is_seen_and_a_changed_file_is_refused(registry, model, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracker.uri)
    asked = {"device": "cpu", "dtype": "float32"}
    before = LoadStudent.IS_CHANGED("champion", **asked)
    assert registry.register(REGISTERED, model).version == 2
    assert LoadStudent.IS_CHANGED("champion", **asked) == before
    registry.set_alias(REGISTERED, "champion", 2)
    assert LoadStudent.IS_CHANGED(f"{REGISTERED}@champion", **asked) != before
    config = registry.folder(REGISTERED, 2) / "model_index.json"
    config.write_text(config.read_text().replace('"fps": 16', '"fps": 17'))
    with pytest.raises(ValueError, match=r"^OmniHuman student: .*model_index\.json"):
        LoadStudent().load("champion", **asked)
    registry.set_alias(REGISTERED, "champion", 1)


def test_pictures_that_go_to_other_nodes_are_marked_and_the_saving_node_has_no_say(student, comfyui):
    bare = (
        student.pipeline.talk(PUPPET.frames[0], PUPPET.audio).frames[0].repeat_interleave(4, 1).repeat_interleave(4, 2)
    )
    video, images, *_ = make(student)
    changed = (images * 255 - bare).abs()
    assert changed.amax() > 60 and (changed > 0).float().mean() > 0.3, "words on them, and the invisible mark all over"
    assert set(SaveVideo.INPUT_TYPES()["required"]) == {"video", "filename_prefix"}
    quiet = make(student, mark=False)[0]
    for made, marked in ((video, True), (quiet, False)):
        path = Path(SaveVideo().save(made, "one")["result"][0])
        assert read_provenance(path)["marked"] is marked
        assert {layer.outcome for layer in verify_files([path])[0].layers} == {UNTOUCHED}


def test_a_pose_alone_gives_the_length_from_a_file_or_from_openpose(student, comfyui):
    write_keypoints(comfyui / "input" / "dance.safetensors", POSE)
    assert LoadPose.INPUT_TYPES()["required"]["file"] == (["dance.safetensors"],)
    pose = LoadPose().load("dance.safetensors")[0]
    video, images, audio, _ = make(student, audio=None, pose=pose)
    assert len(images) == 25 and video.output.conditions["on"] == ["text", "reference", "pose"]
    assert audio["waveform"].shape == (1, 1, 25_000) and not audio["waveform"].any()
    assert len(make(student, pose=pose, seconds=0.5)[1]) == 8
    assert len(make(student, image=None, audio=None, pose=pose, seconds=0.5)[1]) == 8

    body = POSE.points[:, :17]
    # OpenPose's order by names, whose neck COCO has not.
    order = [0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3]
    hand = POSE.points[:, 91:112]
    for scale in (1.0, 1 / 64):
        frames = [
            {
                "canvas_width": 64,
                "canvas_height": 64,
                "people": [
                    {
                        "pose_keypoints_2d": _flat([np.zeros(3) if n is None else b[n] for n in order], scale),
                        "hand_left_keypoints_2d": _flat(h, scale),
                        "face_keypoints_2d": None,
                    }
                ],
            }
            for b, h in zip(body, hand, strict=True)
        ]
        found = PoseFromOpenPose().convert(frames, 16.0)[0]
        assert np.allclose(found.points[:, :17], body, atol=1e-4) and np.allclose(
            found.points[:, 91:112], hand, atol=1e-4
        )
    assert not from_openpose([{"canvas_width": 64, "canvas_height": 64, "people": []}], 16.0).points.any()


def _flat(points: Any, scale: float) -> list[float]:
    return [float(value) for x, y, seen in points for value in (x * scale, y * scale, seen)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pose": Keypoints(POSE.points[:9], 64, 64, 16.0)}, "the pose has 9 frames at 16 fps and 25 are to be made"),
        ({"audio": None}, "nothing says how long the video is to be"),
        ({"audio": {"waveform": torch.zeros(2, 1, 16_000), "sample_rate": 16_000}}, "one sound"),
        ({"audio": {"samples": 1}}, "ComfyUI's AUDIO"),
        ({"audio": {"waveform": torch.full((1, 1, 16_000), torch.nan), "sample_rate": 16_000}}, "not finite"),
        ({"audio": {"waveform": torch.zeros(1, 1, 10), "sample_rate": 16_000}}, "shorter than one frame"),
        ({"image": FACE.expand(2, -1, -1, -1)}, "one picture"),
        ({"image": torch.ones(1, 64, 64, 4)}, "transparency"),
        ({"image": torch.full((1, 64, 64, 3), torch.nan)}, r"float in \[0, 1\]"),
    ],
)
def test_what_cannot_be_made_is_one_sentence_of_the_node(student, change, words):
    with pytest.raises(ValueError, match=rf"^OmniHuman video: .*{words}") as refused:
        make(student, **change)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "frames",
    [[], [{"people": []}], [{"canvas_width": 6, "canvas_height": 6, "people": [{"pose_keypoints_2d": [1, 2]}]}]],
)
def test_what_is_no_pose_is_refused(frames):
    with pytest.raises(ValueError, match="^OmniHuman pose from POSE_KEYPOINT: pose_keypoint"):
        PoseFromOpenPose().convert(frames, 16.0)


def test_what_is_no_model_is_one_sentence_of_the_node(registry, model, tmp_path, monkeypatch):
    def refused(name: str) -> str:
        with pytest.raises(ValueError, match="^OmniHuman student: ") as error:
            LoadStudent().load(name, "cpu", "float32")
        assert "\n" not in str(error.value)
        return str(error.value)

    (tmp_path / "empty").mkdir()
    assert "holds no model_index.json" in refused(str(tmp_path / "empty"))
    assert "MLFLOW_TRACKING_URI is not set" in refused("models:/nobody@champion")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry.tracker.uri)
    assert "nobody has no version with alias" in refused("models:/nobody@champion")
    assert "write models:/NAME@ALIAS" in refused("/nowhere/at/all")
    other = tmp_path / "other"
    shutil.copytree(model, other)
    (other / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    assert "holds a WanPipeline" in refused(str(other))
    (other / "model_index.json").write_text("{")
    assert "cannot be read as a pipeline's" in refused(str(other))
    shutil.copy(model / "model_index.json", other)
    weights = next((other / "transformer").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:1000])
    assert str(other) in refused(str(other))


@pytest.mark.end_to_end
def test_the_example_workflow_in_comfyui_itself(model, tmp_path):
    place, python = (os.environ.get(name) for name in ("COMFYUI", "COMFYUI_PYTHON"))
    if not place or not python:
        pytest.skip("no $COMFYUI and $COMFYUI_PYTHON; ComfyUI is in no package registry")
    save_inputs(tmp_path / "given")
    command = [
        python,
        "-m",
        "tests.comfy_nodes.in_comfyui",
        place,
        str(model),
        *(str(tmp_path / "given" / name) for name in ("face.png", "voice.wav")),
    ]
    ran = subprocess.run(
        [*command, str(tmp_path / "out")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    path = Path(ran.stdout.splitlines()[-1])
    assert probe_clip(path).frames == 25 and verify_files([path])[0].outcome == UNTOUCHED

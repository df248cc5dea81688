"""`omnihuman generate --pose` with a file of keypoints: the same video as with the film that they were found in, whatever its size and rate."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file

from assets.core.workspace import Workspace
from curation.snapshot.frozen_sets import build_test_set
from curation.snapshot.overlap import Training
from media import encode_clip
from media.framing import crop_to
from media.keypoints.keypoint_file import Keypoints, fit_keypoints, write_keypoints
from omnihuman.exports import read_provenance
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from profiles.conditions import FILES
from puppets import PuppetKeypoints, render
from serving.generation import GenerateError, Request, generate_videos
from serving.inputs import read_pose
from serving.model_choice import load_model
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=2"])
VIDEO, ARMS = PROFILE.video, [7, 8, 9, 10]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("home"), PROFILE)


@pytest.fixture(scope="module")
def model(workspace):
    transformer = build_transformer(PROFILE, None, 0)
    for parameter in (*transformer.pose_guider.parameters(), transformer.pose_patch_embedding.weight):
        torch.nn.init.normal_(parameter, std=0.1)  # an untrained model begins with none, and is deaf to every pose
    folder = workspace.root / "model"
    build_pipeline(PROFILE, transformer, 1).save_pretrained(folder, safe_serialization=True)
    return load_model(workspace, str(folder))


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    local = tmp_path_factory.mktemp("local")
    for seed in (90_000_001, 90_000_002):
        puppet = render(seed)
        (local / f"{seed}.mp4").write_bytes(encode_clip(puppet.frames, 16.0, puppet.audio))
    nobody = Training(pd.DataFrame(columns=["clip_id"]), "nothing")
    return build_test_set(local, local.parent / "set", "folder", VIDEO, nobody, PuppetKeypoints())


def made(workspace, model, output, **given):
    files = {option: given.pop(option) for option in FILES if option in given}
    request = Request(output, files, **{"prompt": "A person talks."} | given)
    notes: list[str] = []
    return generate_videos(workspace, model, [request], notes.append)[0], notes


def test_a_frozen_pose_makes_the_video_that_the_frozen_clip_makes(workspace, model, frozen, tmp_path):
    sample = frozen.samples[0]
    files = {"image": frozen.path / sample.reference, "audio": frozen.path / sample.audio}
    latents = []
    for name, pose in (("kept", sample.pose), ("found", sample.clip)):
        path, _ = made(workspace, model, tmp_path / f"{name}.safetensors", pose=frozen.path / pose, **files)
        latents.append(load_file(path))
        assert read_provenance(path)["conditions"]["driven_by"] == "pose and audio"
    assert latents[0].keys() == latents[1].keys() and all((latents[0][k] == latents[1][k]).all() for k in latents[0])
    other, _ = made(
        workspace, model, tmp_path / "other.safetensors", pose=frozen.path / frozen.samples[1].pose, **files
    )
    assert any((load_file(other)[k] != latents[0][k]).any() for k in latents[0])


def test_keypoints_of_another_size_and_rate_come_where_those_of_the_film_do(tmp_path):
    """A wide film of 32 frames a second, and the keypoints of its own pictures: cut about the middle, every other one."""
    small = render(90_000_001).frames
    wide = np.repeat(np.stack([np.pad(np.kron(i, np.ones((2, 2, 1), np.uint8)), ((0, 0), (32, 32), (0, 0))) for i in small]), 2, axis=0)  # fmt: skip
    (tmp_path / "wide.mp4").write_bytes(encode_clip(wide, 32.0, crf=4))
    film = read_pose(tmp_path / "wide.mp4", VIDEO, VIDEO.main, PuppetKeypoints(), ARMS).values
    points = PuppetKeypoints()(np.stack([crop_to(image, 64, 64) for image in wide]))
    # As a detector would have said them of the wide picture, whose pixels are half as large.
    points[..., :2] = np.where(points[..., 2:] > 0, (points[..., :2] + 0.5) * 2 - 0.5 + [32, 0], 0)
    write_keypoints(tmp_path / "pose.safetensors", Keypoints(points, 192, 128, 32.0))
    kept = read_pose(tmp_path / "pose.safetensors", VIDEO, VIDEO.main, PuppetKeypoints(), ARMS).values
    assert kept.shape == film.shape == (25, 133, 3)
    both = (kept[..., 2] >= 0.5) & (film[..., 2] >= 0.5)
    assert both.any() and np.abs(kept - film)[both][:, :2].max() < 0.2


def test_what_the_crop_cuts_off_is_not_seen():
    points = np.ones((2, 133, 3), np.float32)
    points[:, 7, :2], points[:, 9, :2], points[:, 8, :2] = (10, 32), (64, 32), (117, 32)
    fitted = fit_keypoints(Keypoints(points, 128, 64, 16.0), 64, 64, 16.0)
    assert fitted[0, [7, 9, 8], 2].tolist() == [0, 1, 0] and fitted[0, 9, :2].tolist() == [32, 32]


@pytest.mark.parametrize(("frames", "fps", "shown"), [(4, 8.0, [0, 0, 1, 1, 2, 2, 3, 3]), (6, 32.0, [0, 2, 4]), (5, 25.0, [0, 1, 3])])  # fmt: skip
def test_another_rate_shows_the_nearest_earlier_frame(frames, fps, shown):
    points = np.ones((frames, 133, 3), np.float32) * np.arange(frames, dtype=np.float32)[:, None, None]
    assert fit_keypoints(Keypoints(points, 64, 64, fps), 64, 64, 16.0)[:, 0, 0].tolist() == shown


def test_a_file_that_came_without_its_name_is_known_by_its_bytes(frozen, tmp_path):
    (tmp_path / "pose").write_bytes((frozen.path / frozen.samples[0].pose).read_bytes())
    named, unnamed = (
        read_pose(path, VIDEO, VIDEO.main, PuppetKeypoints(), ARMS)
        for path in (frozen.path / frozen.samples[0].pose, tmp_path / "pose")
    )
    assert np.array_equal(named.values, unnamed.values)


def test_bad_keypoint_files_are_one_error_each(workspace, model, frozen, tmp_path):
    image, points = frozen.path / frozen.samples[0].reference, np.ones((17, 133, 3), np.float32)
    size = {"width": "64", "height": "64", "fps": "16"}
    save_file({"keypoints": points[:, :17]}, tmp_path / "shape.safetensors", size)
    save_file({"keypoints": points}, tmp_path / "size.safetensors")
    save_file({"keypoints": points * 0}, tmp_path / "unseen.safetensors", size)
    (tmp_path / "film.safetensors").write_bytes(encode_clip(render(1).frames, 16.0))
    for name, said in (
        ("shape", r"`keypoints` is float32 of shape \(17, 17, 3\)"),
        ("size", "does not say the width"),
        ("unseen", "none of the joints that the model knows is seen in any frame; give"),
        ("film", "cannot be read as safetensors"),
        ("none", "no such file"),
    ):
        with pytest.raises(GenerateError, match=f"{name}.safetensors.*{said}"):
            made(workspace, model, tmp_path / "out.mp4", image=image, pose=tmp_path / f"{name}.safetensors")


def test_a_pose_that_is_shorter_than_the_sound_names_both(workspace, model, frozen, tmp_path):
    sample = frozen.samples[0]
    write_keypoints(tmp_path / "short.safetensors", Keypoints(frozen.keypoints(sample)[:9], 64, 64, 16.0))
    with pytest.raises(GenerateError, match="9 frames at 16 fps and 17 are to be made"):
        made(workspace, model, tmp_path / "out.mp4", image=frozen.path / sample.reference, audio=frozen.path / sample.audio, pose=tmp_path / "short.safetensors")  # fmt: skip


def test_no_more_than_the_longest_video_is_taken(tmp_path):
    write_keypoints(tmp_path / "long.safetensors", Keypoints(np.ones((1600, 133, 3), np.float32), 64, 64, 16.0))
    pose = read_pose(tmp_path / "long.safetensors", VIDEO, VIDEO.main, PuppetKeypoints(), ARMS, longest=2.0)
    assert len(pose.values) == 48

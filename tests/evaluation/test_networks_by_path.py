"""Loaders of published networks, on files of the published form with random weights."""

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from PIL import Image
from torch import nn

from evaluation.metrics import MetricError
from evaluation.networks.arcface import TEMPLATE, ArcFaceEmbedding, similarity
from evaluation.networks.feature_cache import FeatureCache
from evaluation.networks.i3d import I3DFeatures, preprocessed, windows
from evaluation.networks.inception import InceptionFeatures, resized
from media import sha256_of_file
from networks.weights import NetworkError


def test_inceptions_parameters_have_the_published_names_shapes_and_number(inception_file):
    state = torch.load(inception_file, weights_only=True)
    assert len(state) == 94 * 5 + 2  # 94 convolutions with batch norm, one linear layer
    # torchvision's inception_v3 without the auxiliary head has 23,834,568 parameters, with 1000 classes.
    parameters = sum(v.numel() for k, v in state.items() if not k.split(".")[-1].startswith("running"))
    assert parameters == 23_834_568 + 8 * 2049
    expected = {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Conv2d_4a_3x3.bn.running_var": (192,),
        "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
        "Mixed_5d.branch_pool.conv.weight": (64, 288, 1, 1),
        "Mixed_6a.branch3x3dbl_3.conv.weight": (96, 96, 3, 3),
        "Mixed_6b.branch7x7dbl_5.conv.weight": (192, 128, 1, 7),
        "Mixed_6e.branch7x7_3.conv.weight": (192, 192, 7, 1),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7b.branch3x3dbl_1.conv.weight": (448, 1280, 1, 1),
        "Mixed_7c.branch3x3_2b.bn.weight": (384,),
        "Mixed_7c.branch_pool.conv.weight": (192, 2048, 1, 1),
        "fc.weight": (1008, 2048),
    }
    assert {name: tuple(state[name].shape) for name in expected} == expected


def test_inception_by_path_gives_2048_features_that_do_not_depend_on_the_batch(inception_file):
    extractor = InceptionFeatures(inception_file, batch_size=2)
    assert extractor.network.sha256 == sha256_of_file(inception_file)
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 30, 3), np.uint8)
    features = extractor(frames)
    assert features.shape == (3, 2048) and features.dtype == np.float32 and np.isfinite(features).all()
    np.testing.assert_allclose(extractor(frames[2:])[0], features[2], rtol=1e-4, atol=1e-5)
    assert np.abs(features[0] - features[1]).max() > 1e-4


def test_other_weights_are_refused_by_file_and_reason(inception_file, tmp_path):
    with pytest.raises(NetworkError, match=r"no file .*nowhere\.pth.*download pt_inception"):
        InceptionFeatures(tmp_path / "nowhere.pth")
    state = torch.load(inception_file, weights_only=True)
    torch.save(state | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}, tmp_path / "imagenet.pth")
    with pytest.raises(NetworkError, match=r"imagenet\.pth.*1000 classes.*1008"):
        InceptionFeatures(tmp_path / "imagenet.pth")
    del state["Mixed_6c.branch1x1.conv.weight"]
    torch.save(state, tmp_path / "part.pth")
    with pytest.raises(NetworkError, match=r"part\.pth.*Mixed_6c\.branch1x1\.conv\.weight"):
        InceptionFeatures(tmp_path / "part.pth")
    (tmp_path / "half.pth").write_bytes(inception_file.read_bytes()[:1000])
    with pytest.raises(NetworkError, match=r"half\.pth does not hold"):
        InceptionFeatures(tmp_path / "half.pth")


@pytest.mark.parametrize("size", [(512, 400), (64, 64), (299, 301)])
def test_frames_are_resized_as_clean_fid_does_with_pillow_on_floats(size):
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8), (0, 0), 1.0)
    channels = [Image.fromarray(image[..., c].astype(np.float32), mode="F") for c in range(3)]
    expected = np.stack([np.asarray(c.resize((299, 299), Image.Resampling.BICUBIC)) for c in channels]).clip(0, 255)
    assert np.abs(resized(image[None])[0].numpy() - expected).max() < 0.01  # of 255


class TinyI3D(nn.Module):
    """The published file's interface: 400 logits of `(N, 3, T, 224, 224)`."""

    def __init__(self, outputs: int = 400):
        super().__init__()
        self.outputs = nn.Linear(3, outputs)

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        return self.outputs(x.mean(dim=(2, 3, 4)))


def scripted(path, outputs: int = 400):
    torch.manual_seed(0)
    torch.jit.script(TinyI3D(outputs)).save(str(path))
    return path


def test_i3d_by_path_gives_a_row_per_window(tmp_path):
    extractor = I3DFeatures(scripted(tmp_path / "i3d.pt"), batch_size=2)
    frames = np.random.default_rng(0).integers(0, 256, (49, 30, 40, 3), np.uint8)
    features = extractor(frames)
    assert features.shape == (3, 400) and extractor.network.architecture == "i3d-kinetics400"
    np.testing.assert_allclose(extractor(frames[16:32])[0], features[1], rtol=1e-4, atol=1e-6)


def test_i3ds_windows_and_clips_that_are_too_short():
    assert windows(16) == [slice(0, 16)] and windows(12) == [slice(0, 16)] and len(windows(47)) == 2
    with pytest.raises(MetricError, match="10 frames or more, not 9"):
        windows(9)


def test_i3ds_pixels_are_scaled_cropped_in_the_middle_and_in_minus_one_to_one():
    frames = np.zeros((2, 50, 100, 3), np.uint8)
    frames[:, :, 25:75] = 255  # exactly the middle square
    pixels = preprocessed(frames)
    assert pixels.shape == (3, 2, 224, 224)
    assert pixels[..., 5:-5].min() > 1 - 1e-6 and preprocessed(frames * 0).max() < -1 + 1e-6
    tall = preprocessed(frames.transpose(0, 2, 1, 3))
    assert tall[:, :, 5:-5].min() > 1 - 1e-6


def test_another_file_is_no_i3d(tmp_path):
    with pytest.raises(NetworkError, match=r"it gives \(1, 12\).*not \(1, 400\)"):
        I3DFeatures(scripted(tmp_path / "other.pt", 12))
    (tmp_path / "text.pt").write_text("no network")
    with pytest.raises(NetworkError, match=r"text\.pt does not hold i3d-kinetics400.*download i3d_torchscript"):
        I3DFeatures(tmp_path / "text.pt")


def pooling_network(path, side: int = 112, faces: int | str = 1):
    """An ONNX file with ArcFace's interface: the face averaged over 16 x 16 pixels, 147 numbers."""
    nodes = [
        helper.make_node("AveragePool", ["input"], ["pooled"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Flatten", ["pooled"], ["output"]),
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, (faces, 3, side, side))
    result = helper.make_tensor_value_info("output", TensorProto.FLOAT, (faces, 3 * (side // 16) ** 2))
    model = helper.make_model(
        helper.make_graph(nodes, "pool", [given], [result]), opset_imports=[helper.make_opsetid("", 17)]
    )
    model.ir_version = 9
    onnx.save(model, str(path))
    return path


def face_points(matrix: np.ndarray) -> np.ndarray:
    """`(1, 133, 3)` keypoints whose five points are the template's, moved by a `(2, 3)` matrix."""
    five = np.concatenate([TEMPLATE, np.ones((5, 1))], axis=1) @ matrix.T
    points = np.zeros((1, 133, 3))
    for target, places in zip(five, (range(36, 42), range(42, 48), (30,), (48,), (54,)), strict=True):
        for place in places:
            points[0, 23 + place] = [*target, 0.9]
    return points


def test_umeyamas_similarity_finds_a_known_turn_scale_and_shift():
    angle, scale = 0.4, 1.7
    known = np.array(
        [[scale * np.cos(angle), -scale * np.sin(angle), 5.0], [scale * np.sin(angle), scale * np.cos(angle), -3.0]]
    )
    moved = np.concatenate([TEMPLATE, np.ones((5, 1))], axis=1) @ known.T
    np.testing.assert_allclose(similarity(TEMPLATE, moved), known, atol=1e-9)


def test_an_embedding_does_not_change_when_the_face_turns_and_grows_and_is_nan_without_a_face(tmp_path):
    embed = ArcFaceEmbedding(pooling_network(tmp_path / "arcface.onnx"))
    face = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8), (0, 0), 9)
    face = cv2.normalize(face, None, 0, 255, cv2.NORM_MINMAX)
    matrix = np.array([[1.8, -0.6, 90.0], [0.6, 1.8, 20.0]])
    picture = cv2.warpAffine(face, matrix, (320, 320))
    plain = embed(face[None], face_points(np.eye(2, 3)))[0]
    turned = embed(picture[None], face_points(matrix))[0]
    assert np.linalg.norm(plain) == pytest.approx(1.0, abs=1e-5) and plain @ turned > 0.995
    other = embed(255 - face[None], face_points(np.eye(2, 3)))[0]
    assert plain @ other < 0.5
    unseen = embed(np.stack([face, face]), np.concatenate([face_points(np.eye(2, 3)), np.zeros((1, 133, 3))]))
    assert np.isfinite(unseen[0]).all() and np.isnan(unseen[1]).all()


class CountedSession:
    """An ONNX session that counts its runs."""

    def __init__(self, session):
        self.session, self.runs = session, 0

    def run(self, *given):
        self.runs += 1
        return self.session.run(*given)


def test_faces_go_through_arcface_together_where_its_file_allows(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (35, 112, 112, 3), np.uint8)
    keypoints = np.repeat(face_points(np.eye(2, 3)), 35, axis=0)
    keypoints[7] = 0
    found, runs = [], []
    for name, faces in (("together", "N"), ("alone", 1)):
        embed = ArcFaceEmbedding(pooling_network(tmp_path / f"{name}.onnx", faces=faces))
        embed._session = CountedSession(embed._session)
        found.append(embed(frames, keypoints))
        runs.append(embed._session.runs)
    assert runs == [2, 34]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-6)
    assert np.isnan(found[0]).all(axis=1).tolist() == [frame == 7 for frame in range(35)]
    assert np.isnan(embed(frames[:2], keypoints[:2] * 0)).all()


def test_another_onnx_file_is_no_arcface(tmp_path):
    with pytest.raises(NetworkError, match=r"small\.onnx does not hold arcface.*64, 64"):
        ArcFaceEmbedding(pooling_network(tmp_path / "small.onnx", 64))


def test_features_are_computed_once_for_the_same_pixels_and_weights(tmp_path):
    network = I3DFeatures(scripted(tmp_path / "i3d.pt")).network
    cache, calls = FeatureCache(tmp_path / "cache"), []

    def compute():
        calls.append(1)
        return np.arange(3.0)

    frames = np.zeros((2, 4, 4, 3), np.uint8)
    for _ in range(2):
        np.testing.assert_array_equal(FeatureCache(tmp_path / "cache").get(network, frames, compute), np.arange(3.0))
    cache.get(network, frames + 1, compute)
    cache.get(I3DFeatures(scripted_again(tmp_path)).network, frames, compute)
    assert len(calls) == 3


def scripted_again(folder):
    torch.manual_seed(1)
    path = folder / "other_weights.pt"
    torch.jit.script(TinyI3D()).save(str(path))
    return path

"""Scores and detectors with networks: real loaders on small files of the same format, decoding on closed-form answers."""

import pickle
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from curation.errors import CurationError
from curation.people.keypoints import FACE, KeypointDetector, detect
from curation.people.wholebody import OnnxWholeBody
from curation.people.wholebody.dwpose import main_person
from curation.people.wholebody.holistic import BODY_FROM_POSE, FACE_FROM_MESH, wholebody
from curation.people.wholebody.simcc import crop_of, decode, network_input
from curation.people.wholebody.yolox import decode_grid, letterboxed, suppressed
from curation.scores.clip import score_clip
from curation.scores.clip_media import Bench, Material
from curation.scores.person.syncnet.faces import cut_faces, face_boxes, steady
from curation.scores.person.syncnet.mfcc import mfcc
from curation.scores.person.syncnet.offset import find_offset
from curation.scores.person.syncnet.score import LIP_SYNC, embed
from curation.scores.picture.text_boxes import TEXT_BOXES, boxes_of, covered_share
from curation.scores.sound.speech import SPEECH
from curation.weights import weights_file
from media import encode_clip
from profiles.scores import LipSyncConfig, ScoresConfig, SpeechConfig, TextBoxesConfig

SIDE = 64  # of the tiny detector's input
POSE_HEIGHT, POSE_WIDTH = 96, 72


def constant_network(path: Path, inputs: tuple[int, ...], outputs: dict[str, np.ndarray]) -> None:
    """An ONNX file that answers `outputs` whatever picture of shape `inputs` it is shown."""
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value))
        for name, value in outputs.items()
    ]
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, inputs)
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape) for name, value in outputs.items()]
    graph = helper.make_graph(nodes, "constant", [given], results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, str(path))


def yolox_cells(boxes: list[tuple[float, float, float, float, float]]) -> np.ndarray:
    """Raw YOLOX output of a 64-pixel input that means these (x0, y0, x1, y1, score)."""
    cells = sum((SIDE // stride) ** 2 for stride in (8, 16, 32))
    output = np.zeros((1, cells, 85), np.float32)
    for x0, y0, x1, y1, score in boxes:
        column, row = int((x0 + x1) / 16), int((y0 + y1) / 16)  # of the finest grid, stride 8
        cell = row * (SIDE // 8) + column
        output[0, cell, :2] = (x0 + x1) / 16 - column, (y0 + y1) / 16 - row
        output[0, cell, 2:4] = np.log([(x1 - x0) / 8, (y1 - y0) / 8])
        output[0, cell, 4:6] = score, 1.0
    return output


def simcc_of(places: np.ndarray, confidence: np.ndarray) -> dict[str, np.ndarray]:
    """Classifications whose maxima are at `(133, 2)` places of the crop with `(133,)` confidences."""
    x, y = np.zeros((1, 133, POSE_WIDTH * 2), np.float32), np.zeros((1, 133, POSE_HEIGHT * 2), np.float32)
    index = np.arange(133)
    x[0, index, (places[:, 0] * 2).astype(int)] = confidence
    y[0, index, (places[:, 1] * 2).astype(int)] = 1.0
    return {"simcc_x": x, "simcc_y": y}


@pytest.fixture
def dwpose(tmp_path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A folder in DWPose's form, and what its pose model says: places in the crop, confidences."""
    rng = np.random.default_rng(0)
    places, confidence = rng.integers(0, 70, (133, 2)).astype(float), rng.uniform(0.1, 1.0, 133).astype(np.float32)
    boxes = yolox_cells([(8, 8, 40, 56, 0.9), (16, 8, 48, 56, 0.5), (44, 30, 60, 50, 0.8), (0, 0, 8, 8, 0.2)])
    constant_network(tmp_path / "yolox_l.onnx", (1, 3, SIDE, SIDE), {"output": boxes})
    constant_network(tmp_path / "dw-ll_ucoco_384.onnx", (1, 3, POSE_HEIGHT, POSE_WIDTH), simcc_of(places, confidence))
    return tmp_path, places, confidence


def test_dwposes_files_give_the_main_persons_133_keypoints_in_pixels(dwpose):
    folder, places, confidence = dwpose
    detector = pickle.loads(pickle.dumps(OnnxWholeBody.from_folder(folder)))
    assert isinstance(detector, KeypointDetector)
    frames = np.zeros((2, 128, 128, 3), np.uint8)  # twice the detector's input
    found = detect(detector, frames)
    assert found.people is not None and found.people.tolist() == [2, 2], "one box is a copy, one is too unsure"
    centre, size = crop_of(np.array([16.0, 16.0, 80.0, 112.0]), POSE_HEIGHT, POSE_WIDTH)
    expected = places / [POSE_WIDTH, POSE_HEIGHT] * size + centre - size / 2
    np.testing.assert_allclose(found.keypoints[0, :, :2], expected, atol=1e-3)
    np.testing.assert_allclose(found.keypoints[0, :, 2], confidence, atol=1e-6)
    values = score_clip_with(detector, frames)
    assert values["people_count"] == 2


def score_clip_with(detector, frames: np.ndarray) -> dict:
    from curation.bucket import BucketClip
    from profiles.schema import VideoConfig

    video = VideoConfig(height=frames.shape[1], width=frames.shape[2])
    return score_clip(BucketClip(frames, None), detector, video, (7, 8)).values


def test_a_detectors_version_follows_its_weights_and_a_wrong_folder_says_what_belongs_there(dwpose, tmp_path):
    folder, places, confidence = dwpose
    version = OnnxWholeBody.from_folder(folder).version
    constant_network(folder / "dw-ll_ucoco_384.onnx", (1, 3, POSE_HEIGHT, POSE_WIDTH), simcc_of(places + 1, confidence))
    assert OnnxWholeBody.from_folder(folder).version != version
    constant_network(
        folder / "dw-ll_ucoco_384.onnx", (1, 3, POSE_HEIGHT, POSE_WIDTH), {"a": np.zeros((1, 17, 4), np.float32)}
    )
    with pytest.raises(CurationError, match="gives no 133 SimCC keypoints"):
        OnnxWholeBody.from_folder(folder)(np.zeros((1, 64, 64, 3), np.uint8))
    (folder / "yolox_l.onnx").unlink()
    with pytest.raises(CurationError, match=r"one person detector and one pose model.*yolox_l\.onnx"):
        OnnxWholeBody.from_folder(folder)
    (folder / "yolox_l.onnx").write_bytes(b"half")
    with pytest.raises(CurationError, match="cannot be opened as an ONNX model"):
        OnnxWholeBody.from_folder(folder)(np.zeros((1, 64, 64, 3), np.uint8))


def test_the_form_with_suppression_inside_is_read_too(tmp_path):
    dets = np.array([[[8, 8, 40, 56, 0.9], [0, 0, 9, 9, 0.1], [20, 20, 60, 60, 0.8]]], np.float32)
    outputs = {"dets": dets, "labels": np.array([[0, 0, 2]], np.float32)}
    constant_network(tmp_path / "yolox_m.onnx", (1, 3, SIDE, SIDE), outputs)
    constant_network(
        tmp_path / "rtmw.onnx", (1, 3, POSE_HEIGHT, POSE_WIDTH), simcc_of(np.ones((133, 2)), np.ones(133, np.float32))
    )
    found = OnnxWholeBody.from_folder(tmp_path).detect(np.zeros((1, 64, 64, 3), np.uint8))
    assert found.people is not None and found.people.tolist() == [1]


def test_yolox_decoding_padding_and_suppression():
    boxes, scores = decode_grid(yolox_cells([(8, 8, 40, 56, 0.9)])[0], SIDE, SIDE)
    assert boxes[scores.argmax()] == pytest.approx([8, 8, 40, 56]) and scores.max() == pytest.approx(0.9)
    image = np.zeros((32, 64, 3), np.uint8)
    image[..., 0] = 200  # red comes last: the network reads BGR
    values, scale = letterboxed(image, SIDE, SIDE)
    assert scale == 1.0 and values[0, :, 10, 10].tolist() == [0, 0, 200] and (values[0, :, 40] == 114).all()
    overlapping = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 40, 40]], float)
    assert suppressed(overlapping, np.array([0.5, 0.9, 0.4])).tolist() == [1, 2]


def test_simcc_decoding_and_the_crop_fit_each_other():
    image = np.zeros((100, 100, 3), np.uint8)
    image[60:64, 40:44] = 255
    centre, size = crop_of(np.array([20.0, 30.0, 60.0, 90.0]), POSE_HEIGHT, POSE_WIDTH)
    assert size[0] / size[1] == pytest.approx(POSE_WIDTH / POSE_HEIGHT) and size[1] == pytest.approx(60 * 1.25)
    crop = network_input(image, centre, size, POSE_HEIGHT, POSE_WIDTH)[0, 0]
    y, x = np.argwhere(crop > crop.max() - 0.1).mean(axis=0)
    assert np.array([x, y]) / [POSE_WIDTH, POSE_HEIGHT] * size + centre - size / 2 == pytest.approx(
        [41.5, 61.5], abs=0.5
    )
    expected = np.array([[3.0, 7.5]]), np.array([0.6])
    simcc = simcc_of(np.full((133, 2), 0.0), np.ones(133, np.float32))
    simcc["simcc_x"][0, 0], simcc["simcc_y"][0, 0] = 0, 0
    simcc["simcc_x"][0, 0, 6], simcc["simcc_y"][0, 0, 15] = 0.6, 0.9
    places, confidence = decode(simcc["simcc_x"][0, :1], simcc["simcc_y"][0, :1])
    assert (places == expected[0]).all() and confidence == pytest.approx(expected[1])


def test_the_main_person_is_the_largest_and_stays_when_another_comes_near():
    boxes, scores = np.array([[0, 0, 10, 20], [30, 0, 42, 20]], float), np.array([0.9, 0.9])
    assert main_person(boxes, scores, None) == 1
    assert main_person(boxes, scores, boxes[0]) == 0


def test_mediapipes_landmarks_land_on_the_133_layout():
    class Point:
        def __init__(self, x, y, visibility=0.0):
            self.x, self.y, self.visibility = x, y, visibility

    class Landmarks:
        def __init__(self, count, visibility=0.0):
            self.landmark = [Point(index / 1000, 0.5, visibility) for index in range(count)]

    class Found:
        pose_landmarks, face_landmarks = Landmarks(33, 0.75), Landmarks(468)
        left_hand_landmarks, right_hand_landmarks = Landmarks(21), None

    keypoints = wholebody(Found, 100, 1000)
    assert keypoints[:17, 0].round().astype(int).tolist() == list(BODY_FROM_POSE)
    assert keypoints[FACE, 0].round().astype(int).tolist() == list(FACE_FROM_MESH) and len(set(FACE_FROM_MESH)) == 68
    assert keypoints[91:112, 0].round().astype(int).tolist() == list(range(21))
    assert (keypoints[112:] == 0).all() and (keypoints[[18, 21]] == 0).all(), "no right hand, no small toes"
    assert keypoints[0].tolist() == [0.0, 50.0, 0.75] and keypoints[23, 2] == 1.0


def test_mfcc_of_a_tone_peaks_where_the_tone_is_and_has_the_energy_in_front():
    from scipy.fft import idct

    time = np.arange(16_000) / 16_000
    tone = 10_000 * np.sin(2 * np.pi * 1000 * time)
    found = mfcc(tone)
    assert found.shape == (99, 13)
    # First coefficient: log energy of the pre-emphasised window, |1 - 0.97 z^-1|^2 at 1 kHz times the tone's power.
    gain = np.abs(1 - 0.97 * np.exp(-2j * np.pi * 1000 / 16_000)) ** 2
    energy = (10_000**2 / 2 * 400 * gain) / 2  # half of the two-sided spectrum
    assert found[10, 0] == pytest.approx(np.log(energy), abs=0.1)
    lifter = 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
    bands = idct(np.concatenate([[0], found[10, 1:] / lifter[1:]]), n=26, norm="ortho")
    mel = 2595 * np.log10(1 + 1000 / 700) / (2595 * np.log10(1 + 8000 / 700)) * 27 - 1
    assert abs(int(bands.argmax()) - mel) <= 1.5


@pytest.mark.parametrize("shift", [-15, -4, 0, 1, 9])
def test_the_offset_search_finds_n_frames_and_its_distance_is_exact(shift):
    signal = np.random.default_rng(0).normal(size=(120, 32))
    lips, sound = signal[20:100], signal[20 + shift : 100 + shift]  # sound early by `shift`
    found = find_offset(lips, sound)
    assert found.offset == shift
    # Where they overlap the distance is 0; the rest of the best shift meets the zeros beyond the ends.
    missing = lips[: abs(shift)] if shift > 0 else lips[len(lips) - abs(shift) :]
    expected = np.linalg.norm(missing, axis=1).sum() / len(lips) if shift else 0.0
    assert found.distance == pytest.approx(expected, abs=1e-4)
    assert found.confidence > 3.0
    unrelated = find_offset(lips, np.random.default_rng(1).normal(size=lips.shape))
    assert unrelated.confidence < 0.5 < found.confidence


def test_faces_are_cut_as_the_protocol_says():
    keypoints = np.zeros((30, 133, 3), np.float32)
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    keypoints[:, FACE, 0], keypoints[:, FACE, 1] = 100 + 20 * np.cos(angle), 80 + 20 * np.sin(angle)
    keypoints[:, FACE, 2] = 1.0
    keypoints[10:12, FACE, 2] = 0.0
    boxes = face_boxes(keypoints)
    assert np.isnan(boxes[10:12]).all() and boxes[0] == pytest.approx([100, 73, 27])  # 54 high with the forehead
    held = steady(boxes)
    assert held[11] == pytest.approx(held[0])
    frames = np.zeros((30, 200, 200, 3), np.uint8)
    frames[:, 73:, :, 2] = 255  # blue from the centre of the box down
    faces = cut_faces(frames, held, 0.4)
    assert faces.shape == (30, 224, 224, 3) and faces[0, -1, 100, 0] == 255, "BGR"
    # b above the centre and 1.8 b below: the edge lies at 1 / 2.8 of the height.
    assert int((faces[0, :, 112, 0] > 127).argmax()) == pytest.approx(224 / 2.8, abs=3)
    with pytest.raises(ValueError, match="no frame has a face"):
        steady(np.full((3, 3), np.nan))


@pytest.fixture(scope="module")
def syncnet_file(tmp_path_factory) -> Path:
    import torch

    from curation.scores.person.syncnet.network import SyncNet

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("syncnet") / "syncnet_v2.model"
    torch.save(SyncNet().state_dict(), path)
    return path


def test_syncnets_weights_have_the_published_names_and_shapes(syncnet_file):
    import torch

    state = torch.load(syncnet_file, weights_only=True)
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert shapes["netcnnaud.0.weight"] == (64, 1, 3, 3) and shapes["netcnnaud.18.weight"] == (512, 256, 5, 4)
    assert shapes["netcnnlip.0.weight"] == (96, 3, 5, 7, 7) and shapes["netcnnlip.18.weight"] == (512, 256, 1, 6, 6)
    assert shapes["netfcaud.3.weight"] == shapes["netfclip.3.weight"] == (1024, 512)


def test_syncnet_by_path_scores_a_clip_and_other_files_are_refused_by_name(syncnet_file, tmp_path, laptop):
    config = LipSyncConfig(weights=str(syncnet_file))

    class Face:
        name, version = "face", "1"

        def __call__(self, frames):
            keypoints = np.zeros((len(frames), 133, 3), np.float32)
            angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
            keypoints[:, FACE, 0], keypoints[:, FACE, 1] = 32 + 9 * np.cos(angle), 26 + 9 * np.sin(angle)
            keypoints[: len(frames) * 3 // 4, FACE, 2] = 1.0
            return keypoints

    rng = np.random.default_rng(0)
    data = encode_clip(
        rng.integers(0, 255, (16, 64, 64, 3), np.uint8), 25.0, rng.normal(0, 0.1, 10_240).astype(np.float32)
    )
    material = Material(Bench(laptop.video, Face(), (7,), 4), {"width": 64, "height": 64, "fps": 25.0}, lambda: data)
    values = LIP_SYNC.compute(material, config)
    assert set(values) == set(LIP_SYNC.columns) and values["sync_coverage"] == 0.75
    assert abs(values["sync_offset_frames"]) <= 15 and values["sync_confidence"] >= 0 and values["sync_distance"] > 0
    with pytest.raises(CurationError, match=r"curation.scores.lip_sync.weights.*nowhere.*download syncnet_v2.model"):
        LIP_SYNC.weights(LipSyncConfig(weights=str(tmp_path / "nowhere.model")))
    (tmp_path / "other.model").write_bytes(b"no weights")
    with pytest.raises(CurationError, match="does not hold SyncNet v2's weights"):
        LIP_SYNC.compute(material, LipSyncConfig(weights=str(tmp_path / "other.model")))


def test_syncnet_sees_every_window_once(syncnet_file):
    from curation.scores.person.syncnet.network import SyncNetStreams

    rng = np.random.default_rng(0)
    faces, audio = rng.integers(0, 255, (9, 224, 224, 3), np.uint8), rng.normal(0, 0.1, 9 * 640).astype(np.float32)
    network = SyncNetStreams(syncnet_file)
    lips, sound = embed(network, faces, audio, batch_size=3)
    assert lips.shape == sound.shape == (4, 1024)  # the last usable start is min(frames, samples // 640) - 5
    again, _ = embed(network, faces, audio, batch_size=20)
    np.testing.assert_allclose(lips, again, atol=1e-4)
    with pytest.raises(ValueError, match="more than five"):
        embed(network, faces[:5], audio, 3)


def test_text_boxes_come_back_from_a_map_at_the_pictures_scale():
    probability = np.zeros((352, 640), np.float32)
    probability[300:310, 100:300] = 0.9
    probability[50:52, 50:60] = 0.9  # a speck
    probability[100:120, 400:500] = 0.4  # unsure
    (box,) = boxes_of(probability, TextBoxesConfig(), scale=0.5)
    grow = 200 * 10 * 1.6 / (2 * 210)
    assert (box.left, box.top) == pytest.approx((2 * (100 - grow), 2 * (300 - grow)))
    assert (box.right, box.bottom) == pytest.approx(
        (2 * (300 + grow), 2 * (310 + grow))
    ) and box.confidence == pytest.approx(0.9)
    assert covered_share([box, box], 704, 1280) == pytest.approx(
        (400 + 4 * grow) * (20 + 4 * grow) / (704 * 1280), rel=0.02
    )


def scene() -> np.ndarray:
    blurred = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (360, 640, 3), np.uint8), (0, 0), 12)
    return cv2.normalize(blurred, None, 40, 200, cv2.NORM_MINMAX)


def test_a_subtitle_is_found_by_the_packaged_text_detector_and_a_scene_without_one_has_none(laptop):
    try:
        weights_file(TextBoxesConfig().model, "", "")
    except CurationError:
        pytest.skip("rapidocr-onnxruntime is not installed")
    clean, written = scene(), scene()
    cv2.putText(
        written, "and then she said hello", (90, 330), cv2.FONT_HERSHEY_SIMPLEX, 1.1, (255, 255, 255), 3, cv2.LINE_AA
    )
    found = [TEXT_BOXES.compute(pictures(laptop, image), TextBoxesConfig()) for image in (clean, written)]
    assert found[0] == {"text_boxes": 0.0, "text_area": 0.0}
    assert found[1]["text_boxes"] >= 1 and 0.01 < found[1]["text_area"] < 0.15


def pictures(laptop, image: np.ndarray) -> Material:
    from curation.bucket import BucketClip

    return Material.of_bucket(BucketClip(np.repeat(image[None], 3, axis=0), None), Bench(laptop.video, None, (), 4))


def test_noise_and_silence_are_no_speech_and_no_sound_has_no_share(laptop):
    from curation.bucket import BucketClip

    frames, rng = np.zeros((17, 64, 64, 3), np.uint8), np.random.default_rng(0)
    for audio in (np.zeros(17_000, np.float32), rng.normal(0, 0.05, 17_000).astype(np.float32)):
        material = Material.of_bucket(BucketClip(frames, audio), Bench(laptop.video, None, (), 4))
        assert SPEECH.compute(material, SpeechConfig())["speech_share"] < 0.1
    silent = Material.of_bucket(BucketClip(frames, None), Bench(laptop.video, None, (), 4))
    assert np.isnan(SPEECH.compute(silent, SpeechConfig())["speech_share"])


def test_weights_that_are_not_there_are_named_with_the_remedy():
    with pytest.raises(
        CurationError, match=r"the.key is 'package:no_such_package/x.onnx' and package no_such_package is not"
    ):
        weights_file("package:no_such_package/x.onnx", "the.key", "install it")
    config = ScoresConfig(text_boxes=TextBoxesConfig(model="/nowhere/det.onnx"))
    with pytest.raises(CurationError, match=r"curation.scores.text_boxes.model.*make people-and-text"):
        TEXT_BOXES.key(config, Bench(None, None, (), 4))

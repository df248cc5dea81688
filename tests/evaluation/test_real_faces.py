"""dlib's packaged face network on packaged clips of real people, turned by MediaPipe's points. Needs the packages of
`make people-and-text`; without them it is skipped."""

import cv2
import numpy as np
import pytest

from evaluation.baselines import Instruments, folder_samples, puppet_samples
from evaluation.baselines.sanity import judge_metrics
from evaluation.metrics import Network
from evaluation.networks import dlib_face, packaged
from evaluation.networks.dlib_face import DlibFaceEmbedding
from media import decode_clip, encode_clip
from networks.weights import NetworkError
from puppets import PuppetKeypoints

FRAMES, FPS = 8, 8.0
PEOPLE = ("WolfgangLanger_Pexels.mp4", "carphone_pristine.mp4", "single_face.mp4")  # three of them


class Detector:
    """Somebody's keypoints as `omnihuman compare` hands them over."""

    def __init__(self, detector, network):
        self.detector, self.network = detector, network

    def __call__(self, frames):
        return self.detector(frames)


@pytest.fixture(scope="module")
def embed():
    try:
        return DlibFaceEmbedding("mediapipe-holistic 0.10.21")
    except NetworkError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def mediapipe():
    from curation.errors import CurationError
    from curation.people.wholebody import MediaPipeHolistic

    try:
        found = MediaPipeHolistic.packaged()
    except CurationError as error:
        pytest.skip(str(error))
    return Detector(found, Network(found.name, found.version, "whole frames"))


@pytest.fixture(scope="module")
def people(real_clips, tmp_path_factory):
    """A second of each, half as large."""
    folder = tmp_path_factory.mktemp("people")
    for name in PEOPLE:
        frames = decode_clip(real_clips / name, FPS).frames[:FRAMES]
        scale = min(1.0, 180 / frames.shape[1])
        frames = np.stack([cv2.resize(f, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for f in frames])
        (folder / name).write_bytes(encode_clip(frames, FPS))
    return folder


@pytest.mark.end_to_end
def test_real_people_are_told_apart_and_the_metrics_may_judge(embed, mediapipe, people):
    verdicts = judge_metrics(Instruments(keypoints=mediapipe, dlib_face=embed), folder_samples(people), resamples=40)
    for name in ("dlib_face_distance", "dlib_face_drift"):
        found = verdicts[name]
        assert found.usable, found.reason
        assert found.ceiling.value < 0.6 < found.floor.value, "0.6 is dlib's own border between two people"
        assert found.ceiling.coverage == 1.0 and found.ceiling.network.sha256 == dlib_face.SHA256
    said = verdicts["dlib_face_distance"].ceiling.network
    assert said.architecture == "dlib-face-recognition-resnet-v1"
    assert (
        "face_recognition_models 0.1.3, dlib 20.0.1" in said.protocol and "mediapipe-holistic 0.10.21" in said.protocol
    )


@pytest.mark.end_to_end
def test_a_face_that_turns_and_grows_stays_the_same_person_and_a_cartoon_has_none(embed, mediapipe, real_clips):
    picture = decode_clip(real_clips / PEOPLE[0], FPS).frames[:1]
    points = mediapipe(picture)
    height, width = picture.shape[1:3]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 25, 1.3)
    turned, moved = cv2.warpAffine(picture[0], matrix, (width, height))[None], points.copy()
    moved[..., :2] = points[..., :2] @ matrix[:, :2].T + matrix[:, 2]
    plain, same = embed(picture, points)[0], embed(turned, moved)[0]
    assert np.linalg.norm(plain - same) < 0.2
    upright = points.copy()  # turned by points that are elsewhere, it is another face or none
    assert np.linalg.norm(plain - embed(turned, upright)[0]) > 0.4
    cartoon = decode_clip(real_clips / "no_face.mp4", FPS).frames[:2]
    assert np.isnan(embed(cartoon, mediapipe(cartoon))).all()


def test_puppets_have_no_face_that_this_network_could_judge(embed, benchmark_folder):
    puppets = Detector(PuppetKeypoints(), Network("puppet-colours", "1", "whole frames"))
    verdicts = judge_metrics(
        Instruments(keypoints=puppets, dlib_face=embed), puppet_samples(benchmark_folder, 2), resamples=5
    )
    for name in ("dlib_face_distance", "dlib_face_drift"):
        assert not verdicts[name].usable and verdicts[name].reason == "defined on 0% of the real clips only"


def test_faces_that_go_through_dlib_together_are_those_of_one_after_another(embed):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, 160, 160, 3), np.uint8)
    keypoints = np.zeros((3, 133, 3))
    keypoints[:2, 23:91] = np.concatenate([rng.uniform(40, 120, (2, 68, 2)), np.full((2, 68, 1), 0.9)], axis=2)
    together = embed(frames, keypoints)
    assert together.shape == (3, 128) and np.isnan(together[2]).all()
    for frame in range(2):
        alone = embed(frames[frame : frame + 1], keypoints[frame : frame + 1])[0]
        np.testing.assert_allclose(together[frame], alone, rtol=0, atol=1e-6)
    assert np.abs(together[0] - together[1]).max() > 1e-3


def test_other_weights_are_refused_by_their_hash(embed, tmp_path, monkeypatch):
    (tmp_path / "other.dat").write_bytes(b"other weights")
    monkeypatch.setattr(dlib_face, "_packaged", lambda: tmp_path / "other.dat")
    with pytest.raises(
        NetworkError, match=r"other\.dat holds other weights than dlib-face.*not 55533b28a958.*make people-and-text"
    ):
        DlibFaceEmbedding("x")


def test_without_the_packages_it_says_how_to_get_them(monkeypatch):
    monkeypatch.setattr(packaged.util, "find_spec", lambda name: None)
    with pytest.raises(NetworkError, match=r"face_recognition_models and dlib not installed.*make people-and-text"):
        DlibFaceEmbedding("x")

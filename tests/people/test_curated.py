"""The scores that clips of real people are chosen by tell the kinds of rendered people apart."""

import numpy as np
import pytest

from curation.bucket import load_bucket_clip
from curation.people.faces import find_faces
from curation.scores.clip import score_clip
from media import encode_clip
from people import Kind, Person, render
from profiles import load_profile

SEEDS, FRAMES, SIZE = range(700, 703), 25, 64


class AsDrawn:
    """Gives the true keypoints of one clip for what is seen in its pictures."""

    name, version = "as drawn", "1"

    def __init__(self, clip: Person) -> None:
        self.keypoints = np.where(clip.keypoints[..., 2:] > 0, clip.keypoints, 0)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        return self.keypoints[: len(frames)]


@pytest.fixture(scope="module")
def scores():
    laptop = load_profile("laptop")

    def of(kind: Kind) -> dict[str, np.ndarray]:
        rows = []
        for seed in SEEDS:
            clip = render(seed, kind, FRAMES, SIZE)
            bucket = load_bucket_clip(encode_clip(clip.frames, clip.fps, clip.audio), SIZE, SIZE, laptop.video)
            rows.append(score_clip(bucket, AsDrawn(clip), laptop.video, laptop.transformer.pose_keypoints).values)
        return {
            name: np.array([row[name] for row in rows])
            for name in ("motion", "cut_score", "overlay_text_strokes", "has_audio", "mouth_visibility")
        }

    kinds: tuple[Kind, ...] = ("clean", "still", "hard_cut", "overlay_text", "no_audio", "leaves_picture")
    return {kind: of(kind) for kind in kinds}


def test_clean_clips_break_no_rule(scores):
    clean = scores["clean"]
    assert (
        (clean["motion"] > 0.1).all()
        and (clean["cut_score"] < 0.1).all()
        and (clean["overlay_text_strokes"] < 0.1).all()
    )
    assert clean["has_audio"].all() and (clean["mouth_visibility"] > 0.9).all()


def test_each_rule_is_seen_by_its_score(scores):
    assert (scores["still"]["motion"] < 0.01).all()
    assert (scores["hard_cut"]["cut_score"] > 0.5).all()
    assert (scores["overlay_text"]["overlay_text_strokes"] > 0.45).all()
    assert not scores["no_audio"]["has_audio"].any()
    assert (scores["leaves_picture"]["mouth_visibility"] < 0.9).all()


@pytest.mark.parametrize("seed", range(700, 706))
def test_face_finder_sees_a_person(seed):
    assert len(find_faces(render(seed, frames=1, size=128).frames[0])) == 1

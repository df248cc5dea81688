"""A keypoint file says of what picture its points are; anything else is one error that names the file and what it should hold."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from media.framing import crop_to, points_in_crop
from media.keypoints.keypoint_file import KeypointFileError, Keypoints, read_keypoints, write_keypoints

POINTS = np.random.default_rng(0).random((5, 133, 3), np.float32)
SIZE = {"width": "96", "height": "64", "fps": "25"}


def test_what_was_written_is_read_and_the_same_points_are_the_same_bytes(tmp_path):
    write_keypoints(tmp_path / "one.safetensors", Keypoints(POINTS, 96, 64, 30_000 / 1001))
    found = read_keypoints(tmp_path / "one.safetensors")
    assert np.array_equal(found.points, POINTS) and found.points.dtype == np.float32
    assert (found.width, found.height, found.fps) == (96, 64, 30_000 / 1001)
    for _ in range(8):
        write_keypoints(tmp_path / "two.safetensors", Keypoints(POINTS, 96, 64, 30_000 / 1001))
        assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_a_file_that_the_library_wrote_is_read(tmp_path):
    save_file({"keypoints": POINTS.astype(np.float64)}, tmp_path / "own.safetensors", SIZE)
    assert np.array_equal(read_keypoints(tmp_path / "own.safetensors").points, POINTS)


@pytest.mark.parametrize(
    ("tensors", "size", "said"),
    [
        ({"keypoints": POINTS[:, :17]}, SIZE, r"float32 of shape \(5, 17, 3\)"),
        ({"keypoints": POINTS[0]}, SIZE, r"float32 of shape \(133, 3\)"),
        ({"keypoints": POINTS[:0]}, SIZE, r"shape \(0, 133, 3\)"),
        ({"keypoints": (POINTS * 9).astype(np.int32)}, SIZE, "int32 of shape"),
        ({"pose": POINTS}, SIZE, "holds pose and no `keypoints`"),
        ({"keypoints": np.where(POINTS > 0.99, np.float32(np.nan), POINTS)}, SIZE, "are not finite"),
        ({"keypoints": POINTS}, None, "does not say the width"),
        ({"keypoints": POINTS}, {"width": "96", "height": "64"}, "does not say the fps"),
        ({"keypoints": POINTS}, SIZE | {"height": "tall"}, "height = 'tall'"),
        ({"keypoints": POINTS}, SIZE | {"fps": "-1"}, "fps = '-1'"),
    ],
)  # fmt: skip
def test_each_bad_file_is_one_error_with_the_remedy(tmp_path, tensors, size, said):
    save_file(tensors, tmp_path / "bad.safetensors", size)
    with pytest.raises(KeypointFileError, match=f"bad.safetensors.*{said}.*write_keypoints"):
        read_keypoints(tmp_path / "bad.safetensors")


def test_what_is_no_safetensors_file_is_said(tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"no tensors at all")
    with pytest.raises(KeypointFileError, match="bad.safetensors cannot be read as safetensors"):
        read_keypoints(tmp_path / "bad.safetensors")
    with pytest.raises(KeypointFileError, match="cannot be read"):
        read_keypoints(tmp_path / "none.safetensors")


@pytest.mark.parametrize(("size", "shape"), [((90, 160), (64, 64)), ((160, 90), (64, 96)), ((64, 64), (64, 64)), ((48, 48), (96, 64))])  # fmt: skip
def test_points_go_where_their_pixels_go(size, shape):
    """A bright spot in the picture is found, after the crop, where its middle was said to go."""
    height, width = size
    spot = np.array([width / 2 + 5, height / 2 - 5])
    rows, columns = np.mgrid[:height, :width]
    bright = np.exp(-((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / 8) * 255
    seen = crop_to(np.repeat(bright[..., None], 3, axis=2).round().astype(np.uint8), *shape)[..., 0].astype(float)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    found = np.array([(columns * seen).sum(), (rows * seen).sum()]) / seen.sum()
    assert points_in_crop(spot, size, *shape) == pytest.approx(found, abs=0.1)

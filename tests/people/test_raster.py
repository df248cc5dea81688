"""The compiled rasteriser draws what the NumPy reference draws, and both draw where the camera projects."""

import warnings

import numpy as np
import pytest

from people.raster import Camera, Light, Material, Mesh, Surfaces, compiled, render
from people.raster import draw as drawing

LIGHT = Light((0.48, 0.6, 0.64), (0.9, 0.85, 0.8), (-0.6, 0.0, 0.8), (0.3, 0.3, 0.35), (0.0, 0.6, -0.8), (0.4, 0.4, 0.4), (0.3, 0.3, 0.35), (0.1, 0.1, 0.09))  # fmt: skip
needs_compiler = pytest.mark.skipif(compiled.compiler() is None, reason="no C++ compiler here")


def texture(rng, alpha: bool) -> np.ndarray:
    image = rng.integers(0, 256, (24, 24, 4), dtype=np.uint8)
    if not alpha:
        image[..., 3] = 255
    return image


def scene(seed: int) -> tuple[Mesh, Surfaces, np.ndarray]:
    """Two crossing bumpy sheets, one of them cut out by its texture, and loose strands."""
    rng = np.random.default_rng(seed)
    side = 9
    y, x = np.mgrid[0:side, 0:side] / (side - 1) * 4 - 2
    sheets = [np.stack([x, y, rng.normal(-9, 0.4, x.shape)], -1).reshape(-1, 3) for _ in range(3)]
    grid = np.arange(side * side).reshape(side, side)
    a, b, c, d = grid[:-1, :-1].ravel(), grid[:-1, 1:].ravel(), grid[1:, 1:].ravel(), grid[1:, :-1].ravel()
    quads = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    position = np.concatenate(sheets).astype(np.float32)
    triangles = np.concatenate([quads + k * side * side for k in range(3)]).astype(np.int32)
    direction = rng.normal(size=position.shape)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    mesh = Mesh(
        position, drawing.normals(position, triangles, "reference"), direction.astype(np.float32), rng.random((len(position), 2), np.float32),
        rng.random(len(position), np.float32), triangles, np.repeat(np.arange(3, dtype=np.uint8), len(quads)),
    )  # fmt: skip
    surfaces = Surfaces(
        [
            Material("skin", 3, texture(rng, False), (0.9, 0.7, 0.6), 0.2, 4, 0.1, 0.4),
            Material("cloth", 2, texture(rng, True), two_sided=True, cut_out=True),
            Material("hair", 1, texture(rng, True), specular=0.3, gloss=5, strands=True, two_sided=True, cut_out=True),
        ]
    )
    return mesh, surfaces, rng.random((40, 48, 3), np.float32)


CAMERA = Camera(88.0, (23.5, 19.5), 48, 40)


@needs_compiler
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("samples", [1, 2, 3])
def test_compiled_and_reference_give_the_same_picture(seed, samples):
    mesh, surfaces, background = scene(seed)
    first, second = (
        render(mesh, surfaces, LIGHT, CAMERA, background, samples, 64, by=by) for by in ("compiled", "reference")
    )
    assert len(np.unique(first.kinds)) >= 3 and first.rgb.std() > 20  # the picture is not trivial
    np.testing.assert_array_equal(first.front, second.front)
    np.testing.assert_array_equal(first.nearness, second.nearness)
    np.testing.assert_array_equal(first.kinds, second.kinds)
    assert np.abs(first.rgb.astype(int) - second.rgb).max() <= 1


@needs_compiler
def test_compiled_and_reference_skin_and_light_alike():
    rng = np.random.default_rng(4)
    rest, bones = rng.normal(size=(50, 3)).astype(np.float32), rng.integers(0, 6, (50, 4)).astype(np.int32)
    weights = rng.dirichlet(np.ones(4), 50).astype(np.float32)
    matrices = rng.normal(size=(6, 3, 4)).astype(np.float32)
    for turn in (False, True):
        first, second = (drawing.skin(rest, bones, weights, matrices, turn, by) for by in ("compiled", "reference"))
        np.testing.assert_array_equal(first, second)
    mesh, surfaces, _ = scene(5)
    first, second = (drawing.openness(mesh, surfaces, 8, 32, by=by) for by in ("compiled", "reference"))
    np.testing.assert_array_equal(first, second)
    assert first.min() < 0.7 and first.max() > 0.9
    first, second = (drawing.normals(mesh.position, mesh.triangles, by) for by in ("compiled", "reference"))
    np.testing.assert_array_equal(first, second)


def square(centre: np.ndarray, half: float, depth: float) -> tuple[Mesh, Surfaces]:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half + centre
    position = np.column_stack([corners, np.full(4, depth)]).astype(np.float32)
    front, uv = np.tile(np.array([0, 0, 1], np.float32), (4, 1)), np.zeros((4, 2), np.float32)
    triangles, material = np.array([[0, 1, 2], [0, 2, 3]], np.int32), np.zeros(2, np.uint8)
    white = np.full((2, 2, 4), 255, np.uint8)
    return Mesh(position, front, front, uv, np.ones(4, np.float32), triangles, material), Surfaces(
        [Material("square", 7, white)]
    )


@pytest.mark.parametrize("seed", range(6))
def test_a_square_is_drawn_where_its_centre_projects(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.choice([32, 64]))
    centre, depth = rng.uniform(-0.3, 0.3, 2), -rng.uniform(6, 12)
    camera = Camera(3.0 * size, ((size - 1) / 2, (size - 1) / 2), size, size)
    picture = render(*square(centre, 0.5, depth), LIGHT, camera, np.zeros((size, size, 3), np.float32), 4, 0)
    rows, columns = np.nonzero(picture.nearness)
    drawn = (np.array([columns.mean(), rows.mean()]) - 1.5) / 4  # samples of pixel 0 are at 0..3
    x, y, nearness = camera.project(np.array([*centre, depth]))
    assert np.abs(drawn - (x, y)).max() < 0.126  # half a sample
    assert picture.nearness[rows, columns] == pytest.approx(nearness, rel=1e-5)
    assert set(np.unique(picture.kinds)) == {0, 7}


def test_what_is_nearer_hides_what_is_farther_and_back_faces_are_left_out():
    camera, background = Camera(60.0, (15.5, 15.5), 32, 32), np.zeros((32, 32, 3), np.float32)
    mesh, surfaces = square(np.zeros(2), 1.0, -8.0)
    turned = Mesh(
        mesh.position,
        mesh.normal,
        mesh.tangent,
        mesh.uv,
        mesh.shade,
        np.ascontiguousarray(mesh.triangles[:, ::-1]),
        mesh.material,
    )
    assert render(mesh, surfaces, LIGHT, camera, background, 1, 0).kinds[16, 16] == 7
    assert not render(turned, surfaces, LIGHT, camera, background, 1, 0).kinds.any()


def test_half_transparent_texture_covers_half_of_the_samples():
    mesh, _ = square(np.zeros(2), 1.0, -8.0)
    half = np.full((2, 2, 4), 255, np.uint8)
    half[..., 3] = 128
    surfaces = Surfaces([Material("veil", 5, half, cut_out=True)])
    picture = render(
        mesh, surfaces, LIGHT, Camera(200.0, (15.5, 15.5), 32, 32), np.zeros((32, 32, 3), np.float32), 2, 0
    )
    assert (picture.front >= 0).mean() == pytest.approx(0.5, abs=0.01)


def test_a_square_before_another_throws_a_shadow_on_it():
    near, surfaces = square(np.zeros(2), 0.4, -8.0)
    far, _ = square(np.zeros(2), 2.0, -9.0)
    normal, tangent, uv, shade = (np.concatenate([a, a]) for a in (near.normal, near.tangent, near.uv, near.shade))
    position, triangles = (
        np.concatenate([near.position, far.position]),
        np.concatenate([near.triangles, far.triangles + 4]),
    )
    both = Mesh(position, normal, tangent, uv, shade, triangles, np.zeros(4, np.uint8))
    camera, background = Camera(100.0, (31.5, 31.5), 64, 64), np.zeros((64, 64, 3), np.float32)
    lit, shadowed = (render(both, surfaces, LIGHT, camera, background, 2, s).rgb.astype(int) for s in (0, 256))
    darker = np.argwhere((lit - shadowed).sum(axis=-1) > 60)
    assert 40 < len(darker) < 1200
    assert darker[:, 1].mean() < 31.5 < darker[:, 0].mean()  # away from the light, which stands right and above


@needs_compiler
def test_library_is_built_once_and_whole(tmp_path):
    first = compiled.build(tmp_path)
    before = first.stat().st_mtime_ns
    assert compiled.build(tmp_path) == first and first.stat().st_mtime_ns == before
    assert [p.name for p in tmp_path.iterdir()] == [first.name]


def test_compiler_that_fails_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(compiled.CompilerError, match="false cannot build"):
        compiled.build(tmp_path)


def test_without_a_compiler_the_reference_draws_and_says_so_once(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    drawing.backend.cache_clear()
    try:
        with pytest.warns(UserWarning, match="install g\\+\\+"):
            assert drawing.backend() == "reference"
        mesh, surfaces = square(np.zeros(2), 1.0, -8.0)
        camera, background = Camera(60.0, (15.5, 15.5), 32, 32), np.zeros((32, 32, 3), np.float32)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert render(mesh, surfaces, LIGHT, camera, background, 1, 0).kinds[16, 16] == 7
    finally:
        drawing.backend.cache_clear()

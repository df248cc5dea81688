"""The rasteriser's arithmetic in NumPy: what `raster.cpp` is tested against, and what draws where there is no compiler.

Sums stand in the order in which `raster.cpp` adds them, in float32, so that the two agree to the last bit.
"""

import numpy as np

TINT, SPECULAR, GLOSS, WRAP, SCATTER, STRANDS, CASTS, TWO_SIDED, CUT_OUT = 0, 3, 4, 5, 6, 7, 8, 9, 10
KEY, KEY_RGB, FILL, FILL_RGB, RIM, RIM_RGB, SKY, GROUND = range(8)
GRID = np.array(
    [0.5, 8.5, 2.5, 10.5, 12.5, 4.5, 14.5, 6.5, 3.5, 11.5, 1.5, 9.5, 15.5, 7.5, 13.5, 5.5], np.float32
).reshape(4, 4)
SPREAD, THROUGH = np.array([1.0, 0.35, 0.15], np.float32), np.array([0.35, 0.08, 0.04], np.float32)
F = np.float32


def skin(rest, bones, weights, matrices, turn):
    """Linear blend skinning of `(n, 3)` vertices by four bones each, `matrices` `(bones, 3, 4)`; `turn` rotates only."""
    blended = np.zeros((len(rest), 3, 4), F)
    for k in range(4):
        blended += weights[:, k, None, None] * matrices[bones[:, k]]
    p = rest[:, None]
    value = blended[..., 0] * p[..., 0] + blended[..., 1] * p[..., 1] + blended[..., 2] * p[..., 2]
    return value if turn else value + blended[..., 3]


def normals(vertices, triangles):
    """`(n, 3)` unit normals: sums of the triangles' at their corners."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    e, f = b - a, c - a
    g = np.stack(
        [
            e[:, 1] * f[:, 2] - e[:, 2] * f[:, 1],
            e[:, 2] * f[:, 0] - e[:, 0] * f[:, 2],
            e[:, 0] * f[:, 1] - e[:, 1] * f[:, 0],
        ],
        1,
    )
    out = np.zeros_like(vertices)
    np.add.at(out, triangles.reshape(-1), np.repeat(g, 3, axis=0))
    return out * (F(1) / np.maximum(F(1e-12), np.sqrt(_dot(out, out))))[:, None]


def depth_map(position, axes, frame, uv, triangles, material_of, materials, textures, texels, size):
    """`(size, size)` of what the key light meets first, -1e9 where nothing lies."""
    xyz = np.stack(
        [(_dot(position, axes[k]) - frame[k]) * frame[2] for k in range(2)] + [_dot(position, axes[2])], axis=1
    )
    kept = np.flatnonzero(materials[material_of, CASTS] > 0)
    q = triangles[kept]
    t, x, y, a, b, c = cover(xyz[..., :2][q], size, size, np.zeros(len(kept)))
    q, t = q[t], kept[t]
    z = a * xyz[q[:, 0], 2] + b * xyz[q[:, 1], 2] + c * xyz[q[:, 2], 2]
    m = material_of[t]
    u, v = (a * uv[q[:, 0], k] + b * uv[q[:, 1], k] + c * uv[q[:, 2], k] for k in range(2))
    drawn = (materials[m, CUT_OUT] <= 0) | (_alpha(textures[m], texels, materials[m, STRANDS] > 0, u, v) >= F(0.5))
    out = np.full(size * size, -1e9, F)
    np.maximum.at(out, (y * size + x)[drawn], z[drawn])
    return out.reshape(size, size)


def draw(mesh, surfaces, linear, curve, light, shadow, camera, samples, background):
    """Picture, classes, nearness and front triangles as `raster.cpp` makes them; `shadow` is (map, axes, frame, size)."""
    materials = surfaces.table
    width, height = camera.width, camera.height
    columns, rows = width * samples, height * samples
    screen, nearness_of = _project(mesh.position, camera, samples)
    two_sided = materials[mesh.material, TWO_SIDED] > 0
    q = mesh.triangles
    t, x, y, a, b, c = cover(screen[q], columns, rows, np.where(two_sided, 0, -1))
    q = q[t]
    w0, w1, w2 = (nearness_of[q[:, k]] for k in range(3))
    w = a * w0 + b * w1 + c * w2
    pa, pb = a * w0 / w, b * w1 / w
    pc = F(1) - pa - pb
    m = mesh.material[t]
    u, v = (pa * mesh.uv[q[:, 0], k] + pb * mesh.uv[q[:, 1], k] + pc * mesh.uv[q[:, 2], k] for k in range(2))
    drawn = (materials[m, CUT_OUT] <= 0) | (
        _alpha(surfaces.textures[m], surfaces.texels, materials[m, STRANDS] > 0, u, v) * F(16) > GRID[y & 3, x & 3]
    )
    drawn &= w > 0
    t, place, w, pa, pb = t[drawn], (y * columns + x)[drawn], w[drawn], pa[drawn], pb[drawn]
    order = np.lexsort((t, -w, place))
    place, first = np.unique(place[order], return_index=True)
    chosen = order[first]
    nearness, front = np.zeros(rows * columns, F), np.full(rows * columns, -1, np.int32)
    nearness[place], front[place] = w[chosen], t[chosen]
    rgb, kinds = _resolve(
        mesh,
        surfaces,
        linear,
        curve,
        light,
        shadow,
        (width, height, samples),
        background,
        place,
        t[chosen],
        pa[chosen],
        pb[chosen],
    )
    return rgb, kinds, nearness.reshape(rows, columns), front.reshape(rows, columns)


def _resolve(mesh, surfaces, linear, curve, light, shadow, size, background, place, t, a, b):
    width, height, samples = size
    per_pixel, columns = samples * samples, width * samples
    y, x = place // columns, place % columns
    pixel, sample = (y // samples) * width + x // samples, (y % samples) * samples + x % samples
    order = np.lexsort((sample, pixel))
    t, a, b, pixel, sample = t[order], a[order], b[order], pixel[order], sample[order]
    material = mesh.material[t].astype(np.int64)
    alone = surfaces.table[material, STRANDS] > 0
    key = (pixel * 256 + material) * (len(mesh.triangles) + 1) + np.where(alone, t.astype(np.int64) + 1, 0)
    _, first, group = np.unique(key, return_index=True, return_inverse=True)
    q, c = mesh.triangles[t], F(1) - a - b
    values = np.concatenate(
        [
            a[:, None] * part[q[:, 0]] + b[:, None] * part[q[:, 1]] + c[:, None] * part[q[:, 2]]
            for part in (mesh.normal, mesh.position, mesh.tangent, mesh.uv, mesh.shade[:, None])
        ],
        axis=1,
    )
    sums, counts = np.zeros((len(first), 12), F), np.bincount(group, minlength=len(first))
    np.add.at(sums, group, values)
    means = sums * (F(1) / counts.astype(F))[:, None]
    lit = np.minimum(
        F(1),
        _shade(
            means,
            surfaces.table[material[first]],
            surfaces.textures[material[first]],
            surfaces.texels,
            linear,
            light,
            shadow,
        ),
    )
    colour, empty = np.zeros((width * height, 3), F), np.full(width * height, per_pixel)
    by_arrival = np.argsort(first, kind="stable")  # the compiled one adds a pixel's groups as it meets them
    np.add.at(colour, pixel[first][by_arrival], (lit * counts.astype(F)[:, None])[by_arrival])
    np.subtract.at(empty, pixel, 1)
    votes = np.zeros((width * height, 256), np.uint8)
    np.add.at(votes, (pixel, surfaces.kinds[material]), 1)
    votes[:, 0] += empty.astype(np.uint8)
    value = (colour + np.minimum(F(1), background.reshape(-1, 3)) * empty.astype(F)[:, None]) / F(per_pixel)
    rgb = curve[(np.minimum(F(1), np.maximum(F(0), value)) * F(4095) + F(0.5)).astype(np.int32)]
    return rgb.reshape(height, width, 3), votes.argmax(1).astype(np.uint8).reshape(height, width)


def _shade(at, material, texture, texels, linear, light, shadow):
    """Linear light `(n, 3)` of surface points with mean attributes `(n, 12)`."""
    n = at[:, :3] * (F(1) / np.maximum(F(1e-9), np.sqrt(_dot(at[:, :3], at[:, :3]))))[:, None]
    p = at[:, 3:6]
    view = p * (F(-1) / np.sqrt(_dot(p, p)))[:, None]
    facing = _dot(n, view)
    n = np.where(facing[:, None] < 0, -n, n)
    facing = np.minimum(F(1), np.abs(facing))
    lit, filled, rimmed = (_dot(n, light[k]) for k in (KEY, FILL, RIM))
    reached = _reached(p, shadow)
    half = light[KEY] + view
    grow = F(1) / np.maximum(F(1e-9), np.sqrt(_dot(half, half)))
    grazing = F(1) - facing
    grazing2 = grazing * grazing
    fresnel = F(0.04) + F(0.96) * (grazing2 * grazing2 * grazing)
    strands, gloss = material[:, STRANDS] > 0, material[:, GLOSS]
    along, bent = _dot(at[:, 6:9], light[KEY]), _dot(at[:, 6:9], half) * grow
    across = np.sqrt(np.maximum(F(0), F(1) - along * along))
    gleaming = np.sqrt(np.maximum(F(0), F(1) - bent * bent))
    soft = np.where(strands, F(0.4) + F(0.6) * across, F(1))
    on_strands = material[:, SPECULAR] * _squared(gleaming, gloss) * np.maximum(F(0), F(0.25) + F(0.75) * lit) * reached
    on_surface = (
        material[:, SPECULAR]
        * _squared(np.maximum(F(0), _dot(n, half) * grow), gloss)
        * np.maximum(F(0), lit)
        * reached
        * (F(0.5) + F(4) * fresnel)
    )
    gleam = np.where(strands, on_strands, on_surface)
    edge, up = np.maximum(F(0), rimmed) * grazing2, F(0.5) + F(0.5) * n[:, 1]
    fill = np.maximum(F(0), (filled + F(0.3)) * (F(1) / F(1.3)))
    index, weights = _taps(texture, at[:, 9], at[:, 10])
    out = np.empty((len(at), 3), F)
    for j in range(3):
        texel = sum(
            (w * linear[texels[i + j]] for i, w in zip(index[1:], weights[1:], strict=True)),
            weights[0] * linear[texels[index[0] + j]],
        )
        albedo, wrap = texel * material[:, TINT + j], material[:, WRAP] + SPREAD[j] * material[:, SCATTER]
        key = np.maximum(F(0), (lit + wrap) / (F(1) + wrap)) * soft
        through = THROUGH[j] * material[:, SCATTER]
        passed, hidden = reached + (F(1) - reached) * through, at[:, 11] + (F(1) - at[:, 11]) * through
        ambient = light[GROUND, j] + (light[SKY, j] - light[GROUND, j]) * up
        received = key * passed * light[KEY_RGB, j] * (F(0.5) + F(0.5) * hidden) + hidden * (
            fill * light[FILL_RGB, j] + ambient
        )
        out[:, j] = albedo * received + at[:, 11] * (
            gleam * light[KEY_RGB, j] + edge * light[RIM_RGB, j] * (F(0.3) + albedo)
        )
    return out


def _reached(p, shadow):
    """Share of the key light that arrives: 3 x 3 neighbouring bilinear lookups."""
    depth, axes, (left, bottom, scale, bias), size = shadow
    if size == 0:
        return np.ones(len(p), F)
    x, y, z = (_dot(p, axes[0]) - left) * scale, (_dot(p, axes[1]) - bottom) * scale, _dot(p, axes[2]) + bias
    fx, fy = np.floor(x), np.floor(y)
    inside = (fx >= 1) & (fy >= 1) & (fx + 2 < size) & (fy + 2 < size)
    x0, y0 = (np.where(inside, k, 1).astype(np.int64) for k in (fx, fy))
    fx, fy = x - fx, y - fy
    one, total = np.ones_like(fx), np.zeros_like(fx)
    wx, wy = (F(1) - fx, one, one, fx), (F(1) - fy, one, one, fy)
    for j in range(4):
        taken = [(depth[y0 - 1 + j, x0 - 1 + i] <= z).astype(F) * wx[i] for i in range(4)]
        total += wy[j] * (taken[0] + taken[1] + taken[2] + taken[3])
    return np.where(inside, total * (F(1) / F(9)), F(1))


def _project(position, camera, samples):
    """`(V, 2)` places on the grid of samples, and `(V,)` nearness."""
    scale, shift = F(camera.focal) * F(samples), F(0.5) * F(samples - 1)
    at = [F(c) * F(samples) + shift for c in camera.centre]
    w = F(1) / np.maximum(F(1e-3), -position[:, 2])
    return np.stack([scale * position[:, 0] * w + at[0], at[1] - scale * position[:, 1] * w], axis=1), w


def cover(corners, width, height, front):
    """Triangles, grid points and weights of all points inside: `(t, x, y, a, b, c)`; corners `(n, 3, 2)`, front as in raster.cpp."""
    (x0, y0), (x1, y1), (x2, y2) = (corners[:, k].T for k in range(3))
    low, high = corners.min(axis=1), corners.max(axis=1)
    seen = (low[:, 0] <= width) & (high[:, 0] >= 0) & (low[:, 1] <= height) & (high[:, 1] >= 0)
    left, top = (np.maximum(0, np.ceil(np.clip(low[:, k], -1, 1e6))).astype(np.int64) for k in (0, 1))
    right = np.minimum(width - 1, np.floor(np.clip(high[:, 0], -1, 1e6))).astype(np.int64)
    bottom = np.minimum(height - 1, np.floor(np.clip(high[:, 1], -1, 1e6))).astype(np.int64)
    area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    keep = np.flatnonzero(
        seen & (left <= right) & (top <= bottom) & ~(front.astype(F) * area < 0) & ~(np.abs(area) < F(1e-9))
    )
    spans, rises = (right - left + 1)[keep], (bottom - top + 1)[keep]
    counts = spans * rises
    t = np.repeat(keep, counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    span = np.repeat(spans, counts)
    ix, iy = left[t] + place % span, top[t] + place // span
    x, y, inverse = ix.astype(F), iy.astype(F), F(1) / area[t]
    a = ((x1[t] - x) * (y2[t] - y) - (x2[t] - x) * (y1[t] - y)) * inverse
    b = ((x2[t] - x) * (y0[t] - y) - (x0[t] - x) * (y2[t] - y)) * inverse
    c = F(1) - a - b
    inside = ~((a < 0) | (b < 0) | (c < 0))
    return tuple(part[inside] for part in (t, ix, iy, a, b, c))


def _taps(texture, u, v):
    """Places in the texels of four neighbours, and their weights."""
    width, height = texture[:, 1], texture[:, 2]
    x, y = u * width.astype(F) - F(0.5), v * height.astype(F) - F(0.5)
    fx, fy = np.floor(x), np.floor(y)
    x0, y0 = fx.astype(np.int64), fy.astype(np.int64)
    fx, fy = x - fx, y - fy
    xa, xb = (np.clip(k, 0, width - 1) for k in (x0, x0 + 1))
    ya, yb = (np.clip(k, 0, height - 1) for k in (y0, y0 + 1))
    index = tuple(
        texture[:, 0].astype(np.int64) + 4 * (j * width + i) for j, i in ((ya, xa), (ya, xb), (yb, xa), (yb, xb))
    )
    return index, ((F(1) - fx) * (F(1) - fy), fx * (F(1) - fy), (F(1) - fx) * fy, fx * fy)


def _alpha(texture, texels, strands, u, v):
    index, weights = _taps(texture, u, v)
    alpha = [w * texels[i + 3].astype(F) for i, w in zip(index, weights, strict=True)]
    x, y = (
        np.clip(np.floor(at * texture[:, k].astype(F)).astype(np.int64), 0, texture[:, k] - 1)
        for at, k in ((u, 1), (v, 2))
    )
    nearest = texels[texture[:, 0].astype(np.int64) + 4 * (y * texture[:, 1] + x) + 3].astype(F)
    return np.where(strands, nearest, alpha[0] + alpha[1] + alpha[2] + alpha[3]) * (F(1) / F(255))


def _dot(a, b):
    return a[..., 0] * b[..., 0] + a[..., 1] * b[..., 1] + a[..., 2] * b[..., 2]


def _squared(value, times):
    for k in range(int(times.max(initial=0))):
        value = np.where(times > k, value * value, value)
    return value

"""A piece of a body's mesh, before all pieces become one."""

from dataclasses import dataclass

import numpy as np

from people.raster import Material


@dataclass(frozen=True)
class Part:
    """Vertices of their own, carried by bones.

    Attributes:
        material: how it looks.
        rest: `(n, 3)` places at rest.
        normal: `(n, 3)` at rest, or None where they follow from the triangles at each moment.
        tangent: `(n, 3)` along strands, or None.
        bones, weights: `(n, 4)`.
        follows: `(n,)` base vertex whose face movement each takes, -1 for none.
        uv: `(n, 2)`; `triangles`: `(f, 3)` of the n.
        shade: `(n,)` how light it is of itself, a factor of what it sees of the sky.
    """

    material: Material
    rest: np.ndarray
    normal: np.ndarray | None
    tangent: np.ndarray | None
    bones: np.ndarray
    weights: np.ndarray
    follows: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    shade: np.ndarray

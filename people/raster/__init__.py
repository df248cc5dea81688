"""Draw textured triangles: a compiled rasteriser, and the same arithmetic in NumPy."""

from people.raster.compiled import CompilerError
from people.raster.draw import Focus, backend, openness, render
from people.raster.scene import BACKGROUND, Camera, Light, Material, Mesh, Picture, Surfaces

__all__ = [
    "BACKGROUND",
    "Camera",
    "CompilerError",
    "Focus",
    "Light",
    "Material",
    "Mesh",
    "Picture",
    "Surfaces",
    "backend",
    "openness",
    "render",
]

"""Draw textured triangles: a compiled rasteriser, and the same arithmetic in NumPy."""

from people.raster.compiled import CompilerError
from people.raster.draw import backend, openness, render
from people.raster.scene import BACKGROUND, Camera, Light, Material, Mesh, Picture, Surfaces

__all__ = [
    "BACKGROUND",
    "Camera",
    "CompilerError",
    "Light",
    "Material",
    "Mesh",
    "Picture",
    "Surfaces",
    "backend",
    "openness",
    "render",
]

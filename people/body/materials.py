"""Materials of one identity's parts."""

import numpy as np

from people.body.styles import STYLES
from people.classes import PixelClass
from people.identity import Identity
from people.looks.cloth import cloth_texture
from people.looks.skin import body_texture, eye_texture, head_texture
from people.looks.strands import curl_texture, scalp_texture, strand_texture
from people.raster import Material
from people.raster.scene import linear_of


def plain(rgb: tuple[float, float, float], alpha: int = 255) -> np.ndarray:
    """`(2, 2, 4)` texture of one sRGB colour."""
    return np.tile(np.array([*(round(255 * c) for c in rgb), alpha], np.uint8), (2, 2, 1))


def lash_texture() -> np.ndarray:
    """`(2, 2, 4)`: dark, half transparent."""
    return plain((0.05, 0.04, 0.04), 165)


def materials_of(who: Identity, texture: int) -> dict[str, Material]:
    """By name of the part; `texture` is the side of the head's texture, and others follow it."""
    c = PixelClass
    style = STYLES.get(who.style)
    hair_texture = curl_texture(who, texture) if style and style.curls else strand_texture(who, texture)
    cloth = cloth_texture(who, texture + texture // 4)
    shine = {"black": 0.045, "dark brown": 0.06, "brown": 0.08, "red": 0.10}.get(who.hair, 0.14)
    head = Material("head", c.SKIN, head_texture(who, texture), specular=0.16, gloss=4, wrap=0.10, scatter=0.45)
    fabric = Material("cloth", c.CLOTH, cloth, specular=0.02, gloss=3, wrap=0.18, two_sided=True, cut_out=True)
    frame = {"dark": (0.06, 0.05, 0.05), "thin": (0.45, 0.42, 0.38), "round": (0.30, 0.20, 0.12)}.get(
        who.glasses, (0.1, 0.1, 0.1)
    )
    r, g, b = who.garment.second_rgb if who.garment.kind == "suit" else who.garment.rgb
    collar = (min(1.0, 1.06 * r), min(1.0, 1.06 * g), min(1.0, 1.06 * b))
    enamel = plain((0.86, 0.82, 0.74))
    return {
        "head": head,
        "skin": Material("skin", c.SKIN, body_texture(who), specular=0.12, gloss=4, wrap=0.10, scatter=0.45),
        "mouth": Material(
            "mouth",
            c.MOUTH,
            plain((0.48, 0.20, 0.19)),
            specular=0.1,
            gloss=4,
            wrap=0.1,
            scatter=0.3,
            casts=False,
            two_sided=True,
        ),
        "eye": Material("eye", c.EYE, eye_texture(who), specular=0.9, gloss=7, wrap=0.30, scatter=0.1, casts=False),
        "upper_teeth": Material("teeth", c.TEETH, enamel, specular=0.25, gloss=5, wrap=0.2, scatter=0.2, casts=False),
        "lower_teeth": Material("teeth", c.TEETH, enamel, specular=0.25, gloss=5, wrap=0.2, scatter=0.2, casts=False),
        "tongue": Material(
            "tongue", c.MOUTH, plain((0.70, 0.36, 0.36)), specular=0.15, gloss=4, wrap=0.2, scatter=0.4, casts=False
        ),
        "lashes": Material("lashes", c.LASHES, lash_texture(), casts=False, two_sided=True, cut_out=True),
        "cloth": fabric,
        "collar": Material(
            "collar",
            c.CLOTH,
            plain(collar),
            specular=0.02,
            gloss=3,
            wrap=0.18,
            two_sided=True,
        ),
        "strands": Material(
            "strands",
            c.HAIR,
            hair_texture,
            specular=0.0 if style and style.curls else shine,
            gloss=5,
            wrap=0.25,
            strands=True,
            two_sided=True,
            cut_out=True,
        ),
        "scalp": Material(
            "scalp", c.HAIR, scalp_texture(who, texture), wrap=0.25, strands=True, two_sided=True, cut_out=True
        ),
        "beard": Material(
            "beard",
            c.BEARD,
            strand_texture(who, max(64, texture // 4)),
            tint=(0.8, 0.8, 0.8),
            wrap=0.3,
            casts=False,
            strands=True,
            two_sided=True,
            cut_out=True,
        ),
        "glasses": Material("glasses", c.GLASSES, plain(frame), specular=0.5, gloss=5, wrap=0.1),
    }


__all__ = ["linear_of", "materials_of", "plain"]

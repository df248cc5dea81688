"""A caption says what the picture shows, and no more."""

import re
from dataclasses import replace

import numpy as np
import pytest

from people import draw_identity, render
from people.caption import ENOUGH, hands_shown, shows_colour, write_caption
from people.classes import PixelClass as C
from people.identity import CLOTH, HAIR, SKIN


def picture(**painted: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """One frame of bands of sRGB colours, and their classes."""
    frames, classes = np.full((1, 40, 40, 3), 128, np.uint8), np.zeros((1, 40, 40), np.uint8)
    for k, (name, rgb) in enumerate(painted.items()):
        rows = slice(8 * k, 8 * k + 8)
        frames[:, rows], classes[:, rows] = np.round(np.array(rgb) * 255), C[name]
    return frames, classes


@pytest.mark.parametrize("palette", [SKIN, HAIR, CLOTH])
@pytest.mark.parametrize("light", [0.75, 1.0])
def test_every_colour_of_a_palette_is_itself_in_any_light(palette, light):
    for name, rgb in palette.items():
        frames, classes = picture(CLOTH=tuple(light * c for c in rgb))
        assert shows_colour(frames, classes, C.CLOTH, name, palette), name


@pytest.mark.parametrize(
    ("seen", "said"), [("red", "blue"), ("white", "black"), ("green", "purple"), ("yellow", "navy")]
)
def test_another_colour_is_not_named(seen, said):
    frames, classes = picture(CLOTH=CLOTH[seen])
    assert not shows_colour(frames, classes, C.CLOTH, said, CLOTH)


def test_colour_of_nothing_is_not_named():
    frames, classes = picture(SKIN=SKIN["tan"])
    assert not shows_colour(frames, classes, C.CLOTH, "red", CLOTH)


def test_what_is_not_in_the_picture_is_not_in_the_caption():
    who = replace(draw_identity(1), glasses="dark", style="long", beard="full", skin="tan", sex="male")
    keypoints = np.zeros((1, 133, 3), np.float32)
    frames, classes = picture(SKIN=SKIN["tan"])
    alone = write_caption(who, frames, classes, keypoints, "a wall", "calm")
    assert alone.startswith("A") and "tan skin" in alone and "in front of a wall" in alone
    for word in ("hair", "glasses", "beard", who.garment.kind, "hand"):
        assert word not in alone
    frames, classes = picture(
        SKIN=SKIN["tan"], HAIR=who.hair_rgb, GLASSES=(0.1, 0.1, 0.1), BEARD=who.hair_rgb, CLOTH=who.garment.rgb
    )
    whole = write_caption(who, frames, classes, keypoints, "a wall", "smiling")
    for word in ("smiling", "long", "hair", "glasses", "full beard", who.garment.kind):
        assert word in whole


def test_hands_are_counted_where_they_are_whole_and_not_covered():
    keypoints = np.zeros((4, 133, 3), np.float32)
    assert hands_shown(keypoints) == 0
    keypoints[:2, 91:112, 2] = 1
    assert hands_shown(keypoints) == 1
    keypoints[:, 112:, 2] = 0.5  # behind the back
    assert hands_shown(keypoints) == 1
    keypoints[:2, 95, 2] = 0  # a finger outside the picture
    assert hands_shown(keypoints) == 0


@pytest.mark.parametrize("seed", range(30, 38))
def test_captions_of_people_fit_their_id_buffers(seed):
    clip = render(seed, frames=1, size=96)
    shares = {kind: (clip.classes == kind).mean() for kind in ENOUGH}
    said = clip.caption
    assert ("glasses" in said) == (shares[C.GLASSES] >= ENOUGH[C.GLASSES])
    assert ("wearing" in said) == ("glasses" in said or shares[C.CLOTH] >= ENOUGH[C.CLOTH])
    assert ("hair" in said) == (clip.identity.style == "bald" or shares[C.HAIR] >= ENOUGH[C.HAIR])
    assert ("woman" in said) == (clip.identity.sex == "female") and clip.place in said
    assert re.fullmatch(r"An? [^.]+\.", said)
    assert ("smiling" in said) == (
        clip.units[:, clip.unit_names.index("mouthSmileLeft")].mean() > 0.22 and clip.mood == "smiling"
    )

"""Render a clip of a talking person from a seed: pixels, sound, caption, and everything that is true of them."""

import zlib
from dataclasses import dataclass

import cv2
import numpy as np

from media.user_error import UserError
from people.body.body import Body, Moment, body_of
from people.body.rig import rotation
from people.caption import write_caption
from people.classes import PixelClass
from people.identity import draw_identity
from people.kinds import KINDS, LATE_FRAMES, Kind
from people.motion import Change, Motion, draw_motion, turns_of
from people.person import Person
from people.raster import Focus, Mesh, Picture
from people.raster import render as draw
from people.raster.scene import LINEAR
from people.scene.background import Place, draw_place
from people.scene.camera import DEFAULT_FRAMINGS, DISTANCE, FRAMINGS, View, look_at
from people.scene.light import Lighting, draw_lighting
from people.speech.dubbing import PAUSE_SHARE, Dubbed, dub, mute
from people.speech.pack import utterance
from people.speech.recordings import RATE, Split
from people.speech.visemes import UNITS, face_units
from people.speech.voices import VOICES
from people.truth import INNER_LIPS, head_pose, keypoints_of, opening_of, points_of

FPS = 16.0
OTHER = 0x5EED0000  # between the seeds of a person and of who stands in for them
SMILING = 0.25  # of the unit, from which on somebody is called smiling
DUBBING = {"wrong_sync": "other_words", "other_voice": "other_voice"}


class PeopleError(UserError, ValueError):
    """A clip that cannot be rendered; the message says what to ask for instead."""


@dataclass(frozen=True)
class Shot:
    """Everything about a clip but whose face it shows: `(T, 3)` camera places and targets, lights, place, body's placement."""

    framing: str
    height: float
    eyes: np.ndarray
    targets: np.ndarray
    lighting: Lighting
    place: Place
    facing: float


def render(
    seed: int,
    kind: Kind = "clean",
    frames: int = 25,
    size: int = 128,
    *,
    identity: int | None = None,
    framing: str | None = None,
    split: Split = "train",
    samples: int = 2,
    change: Change | None = None,
) -> Person:
    """Render the clip of `seed`.

    Args:
        seed: same seed, same clip, on every machine.
        kind: one of `KINDS`; all but `clean` break one rule on purpose.
        frames: 4n + 1, at 16 frames per second.
        size: side of the square picture in pixels, a multiple of 16.
        identity: seed of the person, to have one person in several clips; None takes `seed`.
        framing: one of `FRAMINGS`; None draws "close" or "portrait" (`hidden_hands`: "upper").
        split: of voices and sentences.
        samples: per pixel and axis.
        change: what is done to motion and mouth before they are drawn: the same clip with one thing wrong, and what is true of that one.

    Raises:
        PeopleError: an unknown kind or framing, or a size or frame count that models cannot take.
    """
    _check(kind, frames, size, framing)
    rng = np.random.default_rng([seed, zlib.crc32(b"people")])
    who = draw_identity(seed if identity is None else identity)
    texture = 256 if size <= 160 else 512
    body = body_of(who, texture)
    dubbed = _speech(kind, seed, frames / FPS, who.sex, split)
    shot = _draw_shot(rng, body, frames, framing or ("upper" if kind == "hidden_hands" else None), kind)
    gestures = FRAMINGS[shot.framing].hands or rng.random() < 0.3
    motion = draw_motion(rng, frames, FPS, body.rig, gestures, kind == "hidden_hands")
    mouth = face_units(dubbed.mouth, FPS, frames, float(rng.uniform(0.85, 1.15)))
    if change is not None:
        motion, mouth = change(motion, mouth)
    units = _units(body, motion, mouth)
    if kind == "still":
        motion, units = motion.held(), np.repeat(units[:1], frames, axis=0)
    other = body_of(draw_identity(who.seed + OTHER), texture) if kind in ("hard_cut", "two_people") else None
    cut = int(rng.integers(frames // 3, 2 * frames // 3 + 1))
    views = [look_at(shot.eyes[t], shot.targets[t], shot.height, size) for t in range(frames)]
    if kind == "still":
        views = views[:1] * frames
    lead = Actor(body, _bones(body, motion, views, shot, np.zeros(3)))
    second = (
        Actor(other, _bones(other, motion, views, shot, _beside(shot) if kind == "two_people" else np.zeros(3)))
        if other
        else None
    )
    made = [
        _frame(
            second if second and kind == "hard_cut" and t >= cut else lead,
            second if kind == "two_people" else None,
            t,
            units[t],
            views[t],
            shot,
            samples,
        )
        for t in range(frames)
    ]
    images, classes = np.stack([m.picture.rgb for m in made]), np.stack([m.picture.kinds for m in made])
    keypoints = np.stack([m.keypoints for m in made])
    mood = "smiling" if np.mean(motion.face["mouthSmileLeft"]) > SMILING else "calm"
    caption = write_caption(who, images, classes, keypoints, shot.place.name, mood)
    if kind == "overlay_text":
        images, classes = _with_text(images, classes)
    lips = keypoints[:, [23 + k for k in INNER_LIPS], :2]
    return Person(
        frames=images, audio=None if kind == "no_audio" else dubbed.audio, fps=FPS, caption=caption, kind=kind, seed=seed, framing=shot.framing,
        place=shot.place.name, mood=mood, identity=who, text=dubbed.mouth.text, phones=dubbed.mouth.phones, keypoints=keypoints,
        opening=np.array([m.opening for m in made], np.float32), opening_pixels=np.linalg.norm(lips[:, 0] - lips[:, 1], axis=1),
        head=np.stack([m.head for m in made]).astype(np.float32), units=units, unit_names=body.unit_names, classes=classes,
    )  # fmt: skip


def _check(kind: str, frames: int, size: int, framing: str | None) -> None:
    if kind not in KINDS:
        raise PeopleError(f"{kind!r} is no kind of clip; choose one of {', '.join(KINDS)}")
    if framing is not None and framing not in FRAMINGS:
        raise PeopleError(f"{framing!r} is no framing; choose one of {', '.join(FRAMINGS)}")
    if frames % 4 != 1 or frames < 1:
        raise PeopleError(
            f"a clip has 4n+1 frames, got {frames}; the nearest is {max(1, 4 * round((frames - 1) / 4) + 1)}"
        )
    if size % 16 or size < 32:
        raise PeopleError(
            f"a picture's side is a multiple of 16 from 32 on, got {size}; the nearest is {max(32, 16 * round(size / 16))}"
        )


def _speech(kind: Kind, seed: int, seconds: float, sex: str, split: Split) -> Dubbed:
    voices = [v.name for v in VOICES if v.gender == sex and v.split == split]
    if kind == "late_sound":
        return dub("late", seed, seconds, voices, split, late_by=LATE_FRAMES / FPS)
    if kind in DUBBING:
        return dub(DUBBING[kind], seed, seconds, voices, split)  # type: ignore[arg-type]  # names of people.speech.dubbing.KINDS
    mouth = utterance(seed, seconds, voices, split)
    return Dubbed(mouth, _paused(mouth.audio) if kind == "pause_in_sound" else mouth.audio)


def _paused(audio: np.ndarray) -> np.ndarray:
    """`(S,)` samples without the loudest stretch of `PAUSE_SHARE` of them: a pause that falls into one would break no rule."""
    length = round(PAUSE_SHARE * len(audio))
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    start = int((energy[length:] - energy[:-length]).argmax())
    return mute(audio, start / RATE, (start + length) / RATE)


def _units(body: Body, motion: Motion, mouth: np.ndarray) -> np.ndarray:
    """`(T, 52)` float32: the mouth that speaks, over the face that moves of itself."""
    units = np.zeros((len(mouth), len(body.unit_names)), np.float32)
    for name, values in motion.face.items():
        units[:, body.unit_names.index(name)] = values
    smile = motion.face["mouthSmileLeft"]
    for k, name in enumerate(UNITS):
        column = body.unit_names.index(name)
        # A smile gives way where lips are rounded.
        units[:, column] = np.maximum(units[:, column] * (1 - mouth[:, UNITS.index("mouthPucker")]), mouth[:, k])
    shut = units[:, [body.unit_names.index(f"eyeBlink{s}") for s in ("Left", "Right")]].max(axis=1)
    for side in ("Left", "Right"):
        units[:, body.unit_names.index(f"eyeSquint{side}")] = 0.3 * smile * (1 - shut)
    return units.clip(0, 1)


def _draw_shot(rng: np.random.Generator, body: Body, frames: int, framing: str | None, kind: Kind) -> Shot:
    name = framing or str(rng.choice(DEFAULT_FRAMINGS))
    chosen = FRAMINGS[name]
    eyes = (body.rig.head_of("eye.L") + body.rig.head_of("eye.R")) / 2
    height = chosen.height * rng.uniform(0.95, 1.05)
    middle = eyes + np.array([rng.normal(0, 0.03) * height, -chosen.below + rng.normal(0, 0.015) * height, -0.4])
    yaw, rise = rng.normal(0, 0.08), rng.normal(0.02, 0.03)
    stand = middle + DISTANCE * np.array([np.sin(yaw), rise, np.cos(yaw)])
    time = np.arange(frames) / FPS
    drift = np.stack(
        [0.012 * height * np.sin(2 * np.pi * rng.uniform(0.15, 0.5) * time + rng.uniform(0, 6.3)) for _ in range(2)],
        axis=1,
    )
    drift = np.column_stack([drift, np.zeros(frames)])
    targets = middle + drift
    if kind == "leaves_picture":  # the camera turns away, to either side
        gone = np.clip((time - time[-1] * rng.uniform(0.25, 0.4)) / 0.6, 0, 1)
        targets = targets + (gone**2 * (3 - 2 * gone) * rng.choice([-1, 1]) * 0.75 * height)[:, None] * np.array(
            [1.0, 0, 0]
        )
    return Shot(
        name,
        height,
        stand + 0.3 * drift,
        targets,
        draw_lighting(rng),
        draw_place(rng),
        float(np.clip(rng.normal(0, 0.16), -0.4, 0.4)),
    )


@dataclass(frozen=True)
class Frame:
    """One picture and its truth."""

    picture: Picture
    keypoints: np.ndarray
    opening: float
    head: np.ndarray


@dataclass(frozen=True)
class Actor:
    """A body and its bones in camera space, `(T, B, 3, 4)`."""

    body: Body
    bones: np.ndarray


def _beside(shot: Shot) -> np.ndarray:
    """`(3,)` where somebody else stands: behind, on the side that the first turns away from."""
    return np.array([2.6 if shot.facing < 0 else -2.6, 0.2, -2.4])


def _bones(body: Body, motion: Motion, views: list[View], shot: Shot, place: np.ndarray) -> np.ndarray:
    turn = rotation((0, 1, 0), shot.facing)
    pivot = body.rig.head_of("spine01")
    root = np.column_stack([turn, pivot - turn @ pivot + place])
    return body.rig.matrices(turns_of(motion, body.rig), np.stack([view.placed(root) for view in views]))


def _frame(
    actor: Actor, behind: Actor | None, t: int, units: np.ndarray, view: View, shot: Shot, samples: int
) -> Frame:
    size = view.lens.width
    middle = view.lens.project(view.to_camera(shot.targets[0]))
    background = shot.place.seen(
        size, (0.5 * float(middle[0] - (size - 1) / 2), 0.5 * float(middle[1] - (size - 1) / 2))
    )
    if behind is not None:
        farther, _ = _picture(behind, t, np.zeros_like(units), view, shot, background, samples)
        background = np.ascontiguousarray(LINEAR[farther.rgb])
    picture, moment = _picture(actor, t, units, view, shot, background, samples)
    if behind is not None:
        kinds = np.where(picture.kinds == PixelClass.BACKGROUND, farther.kinds, picture.kinds)
        picture = Picture(picture.rgb, kinds, picture.nearness, picture.front)
    points = points_of(actor.body, moment)
    return Frame(
        picture,
        keypoints_of(points, view.lens, picture),
        opening_of(actor.body, moment, points),
        head_pose(actor.body, moment),
    )


def _picture(
    actor: Actor, t: int, units: np.ndarray, view: View, shot: Shot, background: np.ndarray, samples: int
) -> tuple[Picture, Moment]:
    body = actor.body
    moment = body.pose(units, actor.bones[t])
    mesh = Mesh(moment.position, moment.normal, moment.tangent, body.uv, body.shade, body.triangles, body.material)
    light, cells = shot.lighting.seen_by(view), 128 if view.lens.width <= 96 else 224
    focus = Focus((0.0, 0.0, -DISTANCE), 0.85 * shot.height)
    return draw(mesh, body.surfaces, light, view.lens, background, samples, cells, focus), moment


def _with_text(images: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Burn a subtitle into every frame, as a broadcaster does."""
    size = images.shape[1]
    bar, scale = slice(round(0.80 * size), round(0.94 * size)), size / 128
    plate = np.full((bar.stop - bar.start, size, 3), 18, np.uint8)
    cv2.putText(
        plate,
        "BREAKING NEWS",
        (round(0.05 * size), round(0.105 * size)),
        cv2.FONT_HERSHEY_PLAIN,
        0.95 * scale,
        (245, 245, 245),
        max(1, round(scale)),
        cv2.LINE_AA,
    )
    images, classes = images.copy(), classes.copy()
    images[:, bar], classes[:, bar] = plate, PixelClass.TEXT
    return images, classes

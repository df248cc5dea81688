"""Kinds of clips: clean ones, and those that each break one rule on purpose."""

from typing import Literal, get_args

Kind = Literal[
    "clean",
    "wrong_sync",  # the same speaker says something else than the mouth
    "late_sound",  # the sound comes six frames after the mouth
    "other_voice",  # somebody of another voice and timing says the mouth's words
    "pause_in_sound",  # the sound stops while the mouth goes on
    "no_audio",  # no sound track
    "hidden_hands",  # hands behind the back, in a picture that would show them
    "still",  # one picture all the time
    "hard_cut",  # another person from some frame on
    "overlay_text",  # burnt-in subtitles
    "two_people",  # somebody else is in the picture
    "leaves_picture",  # the face goes out of the picture
]
KINDS: tuple[Kind, ...] = get_args(Kind)
LATE_FRAMES = 6

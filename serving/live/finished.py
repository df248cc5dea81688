"""The finished video of a live session: what was sent, in an ordinary mp4, signed as every export is; and how long such videos are kept."""

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import av

from media import flush_to_disk
from omnihuman.exports import Provenance
from serving.http.keys import digest
from serving.live.settings import LiveSettings

ABANDONED = 3600.0  # seconds; nothing that grows rests so long, so it is what a killed server left


class FinishedVideo:
    """Grows beside its place while the session lasts."""

    def __init__(self, folder: Path, name: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self._growing = folder / f"{name}.mp4", folder / f".{name}.m4s"
        self._file = self._growing.open("wb")

    def add(self, data: bytes) -> None:
        """What goes out."""
        self._file.write(data)

    @property
    def empty(self) -> bool:
        """Whether nothing went out."""
        return self._file.tell() == 0

    def finish(self, engine: Any, start: Any, opened: Any, session: Any) -> None:
        """Copy pictures and sound into an ordinary mp4 and sign it; it appears whole.

        Raises:
            provenance.settings.ProvenanceError: it cannot be signed.
        """
        self._file.close()
        model = engine.model
        provenance = Provenance(
            model=model.name,
            weights=model.weights,
            snapshot=model.snapshot,
            seed=start.seed,
            steps=1,
            guidance={},
            prompt=start.prompt,
            conditions={"on": ["text", "reference", "audio"], "live": True},
            inputs={"reference": opened.reference},
            marked=start.mark,
            version=model.version,
        )
        whole = self._growing.with_suffix(".mp4")
        _copy(self._growing, whole, provenance.tags())
        if opened.marking.signer is not None:
            statement = opened.marking.statement(vars(provenance), provenance.title, {})
            opened.marking.signer.sign(whole, self.path, statement)
        else:
            flush_to_disk(whole)
            whole.replace(self.path)
        self.forget()

    def forget(self) -> None:
        """What is not the finished video."""
        self._file.close()
        for path in (self._growing, self._growing.with_suffix(".mp4")):
            path.unlink(missing_ok=True)


def own_folder(folder: Path, state: Mapping[str, Any]) -> Path:
    """Where the videos of one key lie, which no other key can ask for; without keys all lie in `folder`, each known by its name alone.

    Args:
        folder: of all kept videos.
        state: of the request, as `serving.http.clients.Clients` filled it.
    """
    return folder if state.get("key") is None else folder / digest(state["client"])[:16]


def forget_old(folder: Path, settings: LiveSettings) -> None:
    """Remove finished videos that are too old, the oldest of those that are too many or too large together, and what a killed server left."""
    found: list[tuple[float, int, Path]] = []
    for path in folder.rglob("*live-*"):
        with suppress(FileNotFoundError):  # another server's, which shares the folder
            status = path.stat()
            found.append((status.st_mtime, status.st_size, path))
    now, count, size = time.time(), 0, 0
    for written, own, path in sorted(found, reverse=True):
        if path.name.startswith("."):
            if now - written > ABANDONED:
                path.unlink(missing_ok=True)
            continue
        count, size = count + 1, size + own
        if now - written > settings.keep_seconds or count > settings.keep_videos or size > settings.keep_bytes:
            path.unlink(missing_ok=True)


def _copy(source: Path, target: Path, tags: dict[str, str]) -> None:
    with (
        av.open(str(source)) as given,
        av.open(str(target), "w", format="mp4", options={"movflags": "faststart"}) as made,
    ):
        made.metadata.update(tags)
        streams = {stream.index: made.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.dts is not None and packet.stream is not None:
                packet.stream = streams[packet.stream.index]
                made.mux(packet)

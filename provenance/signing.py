"""The last write of an export: a copy of the file with its C2PA manifest, whole or not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any

import c2pa

from media import flush_to_disk, whole_file
from provenance.certificates import Credentials, load_credentials
from provenance.media_types import media_type
from provenance.settings import ProvenanceError, SigningSettings, read_settings

GENERATOR = "omnihuman-pipeline"
# IPTC's term for media that a trained model made; C2PA manifests use the same.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
STATEMENT = "omnihuman.generation"  # our assertion beside C2PA's own
IN_MEMORY = (
    8 * 2**20
)  # bytes: up to here the library works in memory, where it need not ask the system five hundred times
# No thumbnails: an ingredient's would put a person's picture into every file. Pictures are hashed in pieces of 1 MiB (C2PA's Merkle trees) and what the library
# keeps of a file beyond 8 MiB lies on disk: otherwise it holds a video twice in memory.
BUILDING = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False, "verify_trust": False},
    "core": {"backing_store_memory_threshold_in_mb": 8, "merkle_tree_chunk_size_in_kb": 1024},
}


@dataclass(frozen=True)
class Statement:
    """What is said of a file.

    Attributes:
        record: JSON-ready: model, digests of weights and snapshot, seed, conditions.
        title: one line.
        ingredients: files that went in, under what they were (`image`, `audio`, `pose`); their own credentials are kept.
        watermarked: whether the pictures carry the invisible mark.
    """

    record: Mapping[str, Any]
    title: str
    ingredients: Mapping[str, Path] = field(default_factory=dict)
    watermarked: bool = False


class Signer:
    """Signs one export's files with one certificate."""

    def __init__(self, settings: SigningSettings, credentials: Credentials):
        """Ready to sign; `Signer.open` reads both."""
        self._settings, self._credentials = settings, credentials

    @classmethod
    def open(cls) -> "Signer | None":
        """By the environment's settings; None where signing is switched off.

        Raises:
            ProvenanceError: it is not switched off, and nothing can be signed; said before anything is made.
        """
        settings = read_settings()
        return cls(settings, load_credentials(settings)) if settings.required else None

    def sign(self, source: Path, destination: Path, statement: Statement) -> None:
        """Write `source` with a manifest to `destination`, which holds the old file or the whole signed one.

        Raises:
            ProvenanceError: the file, its ingredients or the certificate cannot be used.
            OSError: the disk is full, or the like; nothing is left.
        """
        with whole_file(destination) as temporary:
            self._write(source, temporary, statement)

    def sign_into(self, source: Path, folder: Path, statement: Statement) -> None:
        """`sign` into a folder that appears whole later; the name stays."""
        self._write(source, folder / source.name, statement)
        flush_to_disk(folder / source.name)

    def _write(self, source: Path, destination: Path, statement: Statement) -> None:
        credentials = self._credentials
        kind, now = media_type(source), datetime.now(UTC)
        if kind is None:
            raise ProvenanceError(f"{source} is no file that can carry a C2PA manifest; export an mp4 or PNG frames")
        unreadable = _without_readable_credentials(statement.ingredients)
        with _Remembering(destination) as file, source.open("rb") as opened:
            memory = BytesIO() if source.stat().st_size <= IN_MEMORY else None
            content, target = (opened, file) if memory is None else (BytesIO(opened.read()), memory)
            try:
                info = c2pa.C2paSignerInfo(
                    credentials.algorithm.encode(),
                    credentials.chain,
                    credentials.key_pem,
                    _bytes(self._settings.time_stamps),
                )
                with (
                    c2pa.Signer.from_info(info) as signer,
                    c2pa.Builder(_manifest(statement, kind, now, unreadable), _context()) as builder,
                ):
                    for role, path in statement.ingredients.items():
                        if role not in unreadable:
                            _add_ingredient(builder, role, path)
                    builder.sign(signer, kind, content, target)
            except c2pa.C2paError as error:
                if file.problem is not None:
                    raise file.problem from error
                raise ProvenanceError(
                    f"{destination} cannot be signed ({error}); look at {credentials.source} and `omnihuman doctor`, or switch signing off by "
                    "OMNIHUMAN_SIGNING=off and answer for it"
                ) from error
            if memory is not None:
                file.write(memory.getbuffer())


class _Remembering(FileIO):
    """A file that keeps the system's own error: C2PA's library only says that writing failed."""

    def __init__(self, path: Path):
        super().__init__(path, "w+")
        self.problem: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            written = 0
            view = memoryview(data)
            while written < len(view):
                written += super().write(view[written:])
            return written
        except OSError as error:
            error.filename = str(self.name)
            self.problem = error
            raise


def _manifest(statement: Statement, kind: str, now: datetime, unreadable: Sequence[str]) -> dict[str, Any]:
    agent = {"name": GENERATOR, "version": _own_version()}
    when = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    actions = [
        {
            "action": "c2pa.created",
            "when": when,
            "digitalSourceType": SOURCE_TYPE,
            "softwareAgent": agent,
            "description": statement.title,
        }
    ]
    if statement.watermarked:
        actions.append({"action": "c2pa.watermarked.unbound", "when": when, "softwareAgent": agent})
    said = {
        "ai_generated": True,
        "made": when,
        "inputs_without_credentials": sorted(unreadable),
        **_json_ready(statement.record),
    }
    return {
        "claim_generator_info": [agent],
        "title": statement.title,
        "format": kind,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": STATEMENT, "data": said},
        ],
    }


def _json_ready(record: Mapping[str, Any]) -> dict[str, Any]:
    ready: dict[str, Any] = json.loads(json.dumps(dict(record)))
    return ready


def _without_readable_credentials(ingredients: Mapping[str, Path]) -> list[str]:
    """Roles of inputs that C2PA's library cannot read: of another type, or broken in a way that a decoder passes over. Their hashes are in the record."""
    unreadable = []
    for role, path in ingredients.items():
        if media_type(path) is None:
            unreadable.append(role)
            continue
        try:
            with c2pa.Builder({}, _context()) as trial:
                _add_ingredient(trial, role, path)
        except c2pa.C2paError:
            unreadable.append(role)
    return unreadable


def _add_ingredient(builder: c2pa.Builder, role: str, path: Path) -> None:
    # Under its role: a visitor's file name may say who somebody is.
    with path.open("rb") as content:
        builder.add_ingredient({"title": role, "relationship": "inputTo"}, media_type(path), content)


@cache
def _context() -> c2pa.Context:
    """How the library builds; the same for all files of this process."""
    return c2pa.Context.from_dict(BUILDING)


@cache
def _own_version() -> str:
    try:
        return version(GENERATOR)
    except PackageNotFoundError:
        return "unknown"


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()

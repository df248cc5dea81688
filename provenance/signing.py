"""The last write of an export: a copy of the file with its C2PA manifest, whole or not at all."""

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import c2pa

from media import flush_to_disk, whole_file
from provenance.certificates import Credentials, load_credentials
from provenance.media_types import media_type
from provenance.settings import ProvenanceError, SigningSettings, read_settings
from provenance.streams import sign_file
from provenance.thumbnails import REASON, Held, thumbnails_in, to_leave_out

GENERATOR = "omnihuman-pipeline"
# IPTC's term for media that a trained model made; C2PA manifests use the same.
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
STATEMENT = "omnihuman.generation"  # our assertion beside C2PA's own
# No thumbnails: an ingredient's would put a person's picture into every file. Those that an ingredient brings are left out.
BUILDING = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"verify_after_sign": False, "verify_trust": False},
}
# Of files larger than this pictures are hashed in pieces of 1 MiB (C2PA's Merkle trees) and what the library keeps beyond 8 MiB lies on disk: otherwise it
# holds a video twice in memory.
AT_ONCE = 8 * 2**20  # bytes
IN_PIECES = {"core": {"backing_store_memory_threshold_in_mb": 8, "merkle_tree_chunk_size_in_kb": 1024}}


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
        kind = media_type(source)
        if kind is None:
            raise ProvenanceError(f"{source} is no file that can carry a C2PA manifest; export an mp4 or PNG frames")
        with source.open("rb") as content, destination.open("wb+") as file:
            process = os.getpid()
            context = _context(os.fstat(content.fileno()).st_size > AT_ONCE, process)
            try:
                signer = _signer(
                    credentials.algorithm, credentials.chain, credentials.key_pem, self._settings.time_stamps, process
                )
                with _builder(statement, kind, context) as builder:
                    sign_file(builder, signer, kind, content.fileno(), file.fileno())
            except c2pa.C2paError as error:
                raise ProvenanceError(
                    f"{destination} cannot be signed ({error}); look at {credentials.source} and `omnihuman doctor`, or switch signing off by "
                    "OMNIHUMAN_SIGNING=off and answer for it"
                ) from error
            except OSError as error:
                error.filename = error.filename or str(destination)
                raise


def _manifest(
    statement: Statement, kind: str, now: datetime, unreadable: Collection[str], left_out: Collection[str]
) -> dict[str, Any]:
    agent = {"name": GENERATOR, "version": _own_version()}
    when = now.isoformat(timespec="seconds").replace("+00:00", "Z")
    actions: list[dict[str, Any]] = [
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
    actions += [
        {"action": "c2pa.redacted", "when": when, "reason": REASON, "parameters": {"redacted": address}}
        for address in left_out
    ]
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
        **({"redactions": list(left_out)} if left_out else {}),
    }


def _json_ready(record: Mapping[str, Any]) -> dict[str, Any]:
    ready: dict[str, Any] = json.loads(json.dumps(dict(record)))
    return ready


def _builder(statement: Statement, kind: str, context: c2pa.Context) -> c2pa.Builder:
    """Of the manifest, with each input that the library can read; it cannot read those of another type, or broken in a way that a decoder passes over.

    Inputs that it cannot read are named in the statement, and their hashes are in the record. Pictures that inputs bring in their credentials are left out.
    """
    now = datetime.now(UTC)
    readable, pictures = dict(statement.ingredients), dict[str, Held]()
    for role, path in statement.ingredients.items():
        try:
            own = media_type(path)
            pictures[role] = {} if own is None else thumbnails_in(path, own)
        except c2pa.C2paError:
            own = None
        if own is None:
            del readable[role]
    while True:
        left_out = to_leave_out(pictures[role] for role in readable)
        unreadable = statement.ingredients.keys() - readable.keys()
        builder = c2pa.Builder(_manifest(statement, kind, now, unreadable, left_out), context)
        failed = _add_ingredients(builder, readable)
        if failed is None:
            return builder
        builder.close()
        del readable[failed]


def _add_ingredients(builder: c2pa.Builder, ingredients: Mapping[str, Path]) -> str | None:
    """None, or the first one that the library cannot read: then this builder is of no use."""
    for role, path in ingredients.items():
        with path.open("rb") as content:
            try:
                # Under its role: a visitor's file name may say who somebody is.
                builder.add_ingredient({"title": role, "relationship": "inputTo"}, media_type(path), content)
            except c2pa.C2paError:
                return role
    return None


# What the library made belongs to the process in which it was made: after a fork it refuses it. So each process makes its own, once.
@lru_cache(4)
def _context(in_pieces: bool, process: int) -> c2pa.Context:
    """How the library builds, for files up to `AT_ONCE` or larger ones."""
    return c2pa.Context.from_dict(BUILDING | IN_PIECES if in_pieces else BUILDING)


@lru_cache(4)
def _signer(algorithm: str, chain: bytes, key: bytes, time_stamps: str | None, process: int) -> c2pa.Signer:
    """A key as the library holds it; several threads may sign with one."""
    address = None if time_stamps is None else time_stamps.encode()
    return c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm.encode(), chain, key, address))


@cache
def _own_version() -> str:
    try:
        return version(GENERATOR)
    except PackageNotFoundError:
        return "unknown"

"""What lies in the inbox: candidate files, those not seen before, and users' folders copied in."""

import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from curation.intake.sidecar import has_sidecar, sidecar_path
from curation.tables.storage import CurationError, read_table
from media import sha256_while_unchanged, whole_file
from media.once_a_day import OnceADay

TEMPORARY_SUFFIXES = (".part", ".partial", ".tmp", ".crdownload", "~")

_log = logging.getLogger(__name__)
_log.addFilter(OnceADay())  # the sensor looks every half minute


def candidate_files(folder: Path) -> list[Path]:
    """Every file under `folder` that might be a clip, sorted.

    Hidden and temporary files and sidecars are passed over, pipes, sockets and devices too. A symlink that leads out of
    the folder is refused (a shared inbox must not let one user read another's files) and logged; linked folders are not
    entered, so loops of links end. A link that leads nowhere, or round in a circle, is a candidate that cannot be read.
    """
    root, found = folder.resolve(), []
    for parent, folders, names in os.walk(folder, onerror=_log_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent) / name
            if name.startswith(".") or name.endswith((".json", *TEMPORARY_SUFFIXES)):
                continue
            if path.is_symlink() and not _stays_inside(path, root):
                _log.warning("%s links out of %s and is not ingested; copy the file in instead", path, folder)
                continue
            if _is_regular_or_dangling(path):
                found.append(path)
    return sorted(found)


def _log_unreadable(error: OSError) -> None:
    _log.warning(
        "folder %s cannot be listed (%s) and is not ingested; check its permissions", error.filename, error.strerror
    )


def _stays_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a circle of links leads nowhere
        return True


def _is_regular_or_dangling(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return path.is_symlink()


def fingerprint(path: Path) -> str:
    """sha256 of the content; for a file that cannot be read `unreadable-` and a hash of its name, size and time.

    So an unreadable file is recorded once, and is new again when it can be read.
    """
    try:
        # A sensor asks on each tick: files whose time and size stand are not read again.
        return sha256_while_unchanged(path)
    except OSError:
        status = path.lstat()
        return (
            "unreadable-"
            + hashlib.sha256(
                f"{path}\0{status.st_size}\0{status.st_mtime_ns}".encode(errors="surrogateescape")
            ).hexdigest()[:40]
        )


def known_fingerprints(shards_root: Path, without: str = "") -> set[str]:
    """Fingerprints of everything in any shard but the one named, ingested or quarantined."""
    known: set[str] = set()
    for shard in sorted(shards_root.glob("s-*")):
        if shard.name != without:
            known |= _shard_fingerprints(str(shard), shard.stat().st_mtime_ns)
    return known


@lru_cache(maxsize=20_000)
def _shard_fingerprints(shard: str, modified: int) -> frozenset[str]:
    clips, quarantine = (read_table(Path(shard) / name) for name in ("clips.parquet", "quarantine.parquet"))
    # Of a clip that is a part of a file, the file.
    files = clips["source_sha256" if "source_sha256" in clips else "sha256"]
    return frozenset([*files, *quarantine["sha256"]])


def find_new_clips(inbox: Path, shards_root: Path, leave: Collection[Path] = ()) -> list[Path]:
    """Files of the inbox whose content no shard holds and no quarantine lists, sorted by path; those in `leave` are not
    looked into."""
    if not inbox.is_dir():
        return []
    known = known_fingerprints(shards_root)
    return [path for path in candidate_files(inbox) if path not in leave and fingerprint(path) not in known]


def ingest_folder(folder: Path, inbox: Path) -> list[Path]:
    """Copy a user's clips and their sidecars into `inbox/<folder name>/`, each appearing whole.

    A file that is already there with the same content is left; another file of the same name gets a piece of its
    hash into its name. Returns the paths in the inbox.

    Raises:
        CurationError: no such folder, or it holds the inbox itself.
    """
    if not folder.is_dir():
        raise CurationError(f"no folder {folder}; give the folder that holds your clips")
    if inbox.resolve().is_relative_to(folder.resolve()) or folder.resolve().is_relative_to(inbox.resolve()):
        raise CurationError(f"{folder} and the inbox {inbox} lie inside one another; clips in the inbox need no ingest")
    return [
        _copy_in(path, inbox / folder.resolve().name / path.relative_to(folder)) for path in candidate_files(folder)
    ]


def _copy_in(source: Path, target: Path) -> Path:
    key = fingerprint(source)
    if target.exists() and fingerprint(target) != key:
        target = target.with_name(f"{target.stem}-{key[:8]}{target.suffix}")
    target.parent.mkdir(parents=True, exist_ok=True)
    # The sidecar first: a clip must never be seen without its caption.
    if has_sidecar(source):
        _copy_whole(sidecar_path(source), sidecar_path(target))
    if not target.exists():
        _copy_whole(source, target)
    return target


def _copy_whole(source: Path, target: Path) -> None:
    try:
        with whole_file(target) as temporary:
            shutil.copyfile(source, temporary)
    except OSError as error:
        raise CurationError(
            f"{source} cannot be copied to {target} ({error}); check permissions and free space"
        ) from error

"""A home that was copied or moved: MLflow writes whole paths into its database, and they go on naming the old place.

They follow the database when it is opened, in one transaction of SQLite: two that open it at once do it once, and a kill leaves it undone.
"""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

from media.user_error import UserError

ARTIFACTS = "mlartifacts"  # folder beside the database
# Every place where MLflow keeps such a path (SQLAlchemy models of 3.x; one that an older database lacks is passed over).
COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)
PATIENCE = 60.0  # seconds for another writer to end


class MovedStoreError(UserError):
    """A database whose files are somewhere else; the message says where, and what to copy."""


def artifact_folder(file: Path) -> Path:
    """Where the artifacts of the store in `file` lie."""
    return file.resolve().parent / ARTIFACTS


def earlier_places(file: Path) -> list[Path]:
    """The artifact folders that the database names beside its own, if it was made elsewhere; nothing is written.

    Raises:
        MovedStoreError: one still holds files that were not brought along.
    """
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as database:
        places = list(_earlier(database, file))
    own = artifact_folder(file)
    for place in places:
        if os.path.isdir(place) and not own.is_dir():
            raise MovedStoreError(
                f"{file} was brought here without its files: copy {place} to {own}, or go on where it was"
            )
    return places


def follow(file: Path) -> None:
    """Have every path in the database name the folder beside it, and say so in a line; one that lies where it was made is left alone.

    Raises:
        MovedStoreError: the files were not brought along, or the database cannot be written.
    """
    if not file.is_file() or not earlier_places(file):
        return
    try:
        with closing(sqlite3.connect(file, timeout=PATIENCE, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            places = list(_earlier(database, file))
            changed = sum(_rename(database, old, new) for place in places for old, new in _names(place, file))
            database.execute("COMMIT")
    except sqlite3.OperationalError as error:
        raise MovedStoreError(
            f"{file} was made elsewhere, and its paths cannot be brought up to date ({error}); make it writable"
        ) from error
    for place in places:
        print(
            f"note: this home was at {place.parent}: {changed} paths in {file} now name {file.parent}", file=sys.stderr
        )


def _earlier(database: sqlite3.Connection, file: Path) -> Iterator[Path]:
    """Of the artifact folders that experiments name, those that are not the one beside the database under any name."""
    own = artifact_folder(file)
    if "artifact_location" not in _columns(database, "experiments"):
        return
    for (location,) in database.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall():
        parts = urlsplit(location or "")
        place = Path(unquote(parts.path))
        if parts.scheme != "file" or place.name != ARTIFACTS or place == own:
            continue
        if not (os.path.isdir(place) and own.is_dir() and place.samefile(own)):
            yield place


def _names(place: Path, file: Path) -> Iterator[tuple[str, str]]:
    """What a path began with, and what it is to begin with: of the pipeline's own experiments, and of MLflow's first, "Default"."""
    own = artifact_folder(file)
    yield place.as_uri(), own.as_uri()
    yield str(place.parents[1] / "mlruns"), str(own.parents[1] / "mlruns")


def _rename(database: sqlite3.Connection, old: str, new: str) -> int:
    changed = 0
    for table, column in COLUMNS:
        if column in _columns(database, table):
            done = database.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
            )
            changed += done.rowcount
    return changed


def _columns(database: sqlite3.Connection, table: str) -> set[str]:
    return {row[1] for row in database.execute(f"PRAGMA table_info({table})")}

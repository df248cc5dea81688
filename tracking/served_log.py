"""What the video server made, a row each, in a SQLite file: who may read it needs neither the server nor its videos.

No picture, voice or prompt is in it, and no address: of the inputs there are digests and a few numbers, of clients the name of their key.
"""

import time
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import (
    JSON,
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    create_engine,
    delete,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import SQLAlchemyError

from media.user_error import UserError

FILE = "served.db"  # below var/
DAY = 24 * 3600.0
SCHEMA = 1  # `user_version` of the file
_METADATA = MetaData()
_SERVED = Table(
    "served",
    _METADATA,
    Column("job", String, primary_key=True),
    Column("time", Float, nullable=False, index=True),  # when it ended, seconds since the epoch
    Column("client", String, nullable=False),
    Column("model", String, nullable=False),
    Column("version", Integer, nullable=False),  # of the registered model, 0 for a folder
    Column("weights", String, nullable=False),
    Column("canary", Integer, nullable=False),
    Column("outcome", String, nullable=False),
    Column("work_seconds", Float, nullable=False),
    Column("waited_seconds", Float, nullable=False),
    Column("video_seconds", Float, nullable=False),
    Column("memory_gib", Float, nullable=False),
    Column("inputs", JSON, nullable=False),  # sha256 by condition
    Column("output", String, nullable=False),  # sha256 of the video, "" without
    Column("settings", JSON, nullable=False),
    Column("checks", JSON, nullable=False),
    Column("failed", JSON, nullable=False),  # names of the checks
    Column("features", JSON, nullable=False),  # of the inputs, by the score column that says the same of a clip
)


class ServedLogError(UserError):
    """A file that is no log of this version; the message says what to do."""


@dataclass(frozen=True)
class Served:
    """One attempt at a video; see the table's comments. `failed` are the output checks that it fails."""

    job: str
    time: float
    model: str
    outcome: str
    version: int = 0
    weights: str = ""
    client: str = ""
    canary: bool = False
    work_seconds: float = 0.0
    waited_seconds: float = 0.0
    video_seconds: float = 0.0
    memory_gib: float = 0.0
    inputs: dict[str, str] = field(default_factory=dict)
    output: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, float | str | None] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    features: dict[str, float | None] = field(default_factory=dict)


class ServedLog:
    """Written by one server, read by any process. Its methods may be called from any thread."""

    def __init__(self, path: Path):
        """Open the file, and make it where it is not there.

        Raises:
            ServedLogError: it is something else, or of another version.
        """
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(f"sqlite:///{path}")
        event.listen(self._engine, "connect", _patient)
        with self._asking():
            _prepare(self._engine, path)

    def add(self, served: Served) -> None:
        """Write a row; a job that was there is written anew."""
        row = {**vars(served), "canary": int(served.canary), "failed": list(served.failed)}
        with self._asking(), self._engine.begin() as connection:
            connection.execute(delete(_SERVED).where(_SERVED.c.job == served.job))
            connection.execute(insert(_SERVED).values(**row))

    def latest(self, rows: int) -> list[Served]:
        """The newest rows, newest first."""
        with self._asking(), self._engine.connect() as connection:
            found = connection.execute(select(_SERVED).order_by(_SERVED.c.time.desc()).limit(rows)).all()
        return [_served(row) for row in found]

    def count(self) -> int:
        """How many rows there are."""
        with self._asking(), self._engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(_SERVED)).scalar_one())

    def features(self, rows: int) -> dict[str, np.ndarray]:
        """`(n,)` float64 of the newest rows' inputs by column; NaN where an input had no such value. Columns are those of any row."""
        with self._asking(), self._engine.connect() as connection:
            query = select(_SERVED.c.features).order_by(_SERVED.c.time.desc()).limit(rows)
            found: Sequence[dict[str, float | None]] = [
                row.features for row in connection.execute(query) if row.features
            ]
        names = sorted({name for row in found for name in row})
        return {
            name: np.array([np.nan if row.get(name) is None else row[name] for row in found], float) for name in names
        }

    def forget(self, days: float) -> int:
        """Remove rows that ended more than so many days ago, and their bytes from the file; returns how many."""
        with self._asking(), self._engine.begin() as connection:
            gone = connection.execute(delete(_SERVED).where(_SERVED.c.time < time.time() - days * DAY)).rowcount
        return int(gone)

    @contextmanager
    def _asking(self):
        try:
            yield
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", error))
            raise ServedLogError(
                f"{self.path} cannot be used as the log of what was served ({reason}); move it away, and the server begins a new one"
            ) from error


def served_features(path: Path, rows: int) -> dict[str, np.ndarray]:
    """`ServedLog.features` where something was served, nothing where not. Raises ServedLogError."""
    return ServedLog(path).features(rows) if path.is_file() else {}


def _patient(connection: Any, record: Any) -> None:
    """Readers do not wait for the writer, and what is deleted is overwritten."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA busy_timeout=10000")


def _prepare(engine: Engine, path: Path) -> None:
    with engine.begin() as connection:
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        if version not in (0, SCHEMA):
            raise ServedLogError(
                f"{path} is of a newer version (schema {version}, this one writes {SCHEMA}); update the project, or move the file away"
            )
        _METADATA.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA}")


def _served(row: Row[Any]) -> Served:
    values = dict(row._mapping)
    return Served(**{**values, "canary": bool(values["canary"]), "failed": tuple(values["failed"])})

"""Import it, and new MLflow databases of this process, and of all that it forks, begin as copies of the session's first.

MLflow's migrations take two seconds of a core for each new database.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from mlflow.store.db import utils
from mlflow.store.model_registry import sqlalchemy_store
from sqlalchemy import Engine

from tests.forked_worker import ADDRESS_VARIABLE

migrate = utils._initialize_tables


def begin(engine: Engine) -> None:
    """What `_initialize_tables` does. Processes that come at the same time each make the first; one stays."""
    template = Path(os.environ[ADDRESS_VARIABLE]).with_name("mlflow.db")
    if engine.dialect.name != "sqlite" or not engine.url.database:
        migrate(engine)
    elif template.exists():
        _copy(template, Path(engine.url.database))
    else:
        migrate(engine)
        own = template.with_name(f"mlflow-{os.getpid()}.db")
        _copy(Path(engine.url.database), own)
        own.replace(template)


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


utils._initialize_tables = sqlalchemy_store._initialize_tables = begin

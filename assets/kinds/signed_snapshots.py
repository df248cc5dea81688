"""The signed list of a snapshot's files, kept beside its state in `snapshots/`, which goes where the code goes: what is signed stays the bytes that it was."""

import logging
from collections.abc import Mapping
from pathlib import Path

from assets.core.workspace import Workspace
from media import write_atomically
from media.records import SnapshotRecord
from provenance.certificates import load_credentials
from provenance.settings import read_settings
from provenance.signed_list import FILE, SignedFolder, sign_files, verify_signed_files

logger = logging.getLogger(__name__)
ASSET = "training_snapshot"
REMEDY = "bring the snapshot back by `omnihuman restore` or `dvc checkout`, or freeze it anew: `python -m assets training_snapshot --force`"


def statement_of(workspace: Workspace, digest: str) -> Path:
    """Where the signed list of a snapshot's files is kept."""
    return workspace.state(digest) / FILE


def _kept_statement(workspace: Workspace, digest: str) -> Path:
    """The list that there is: of a snapshot that was frozen before 2026-11-30 it may lie under `var`."""
    before = workspace.var / "signatures" / ASSET / f"{digest}.json"
    statement = statement_of(workspace, digest)
    return before if before.is_file() and not statement.is_file() else statement


def sign_snapshot(workspace: Workspace) -> None:
    """Sign the snapshot that stands in `data`; nothing with `OMNIHUMAN_SIGNING=off`.

    Raises:
        provenance.settings.ProvenanceError: nothing can be signed with what the settings name.
    """
    settings = read_settings()
    digest = SnapshotRecord.read(workspace.data(ASSET)).digest
    statement = statement_of(workspace, digest)
    if not settings.required:
        # One of an earlier freeze says nothing of these bytes.
        for one in (statement, _kept_statement(workspace, digest)):
            one.unlink(missing_ok=True)
        return
    signed = sign_files(_files(workspace), {"snapshot_digest": digest}, load_credentials(settings))
    write_atomically(statement, signed)


def take_signature_along(workspace: Workspace, root: Path) -> None:
    """Copy the signed list of the snapshot that was brought to another home, `root`; what nobody signed has none there either."""
    record = root / "data" / ASSET
    if not record.is_dir():
        return
    digest = SnapshotRecord.read(record).digest
    statement = _kept_statement(workspace, digest)
    if statement.is_file():
        write_atomically(root / statement_of(workspace, digest).relative_to(workspace.root), statement.read_bytes())


def verify_snapshot(workspace: Workspace, digest: str, files: Mapping[str, Path], place: str) -> SignedFolder | None:
    """Compare a snapshot's files, wherever they lie, with what was signed when it was frozen; None where nobody signed it.

    Raises:
        provenance.signed_list.TamperedFiles: a file is not the one that was signed, by its name.
    """
    statement = _kept_statement(workspace, digest)
    return verify_signed_files(files, place, statement, read_settings(), REMEDY) if statement.is_file() else None


def verify_for_registration(workspace: Workspace, trained_on: str) -> None:
    """Verify the snapshot in `data` before a version is registered as trained on it; one that was frozen before snapshots were signed is signed now.

    Args:
        workspace: whose.
        trained_on: the digest that the training wrote down. Its list is asked where the digest of snapshot.json has none: that may be what was changed.

    Raises:
        provenance.signed_list.TamperedFiles: as `verify_snapshot`.
    """
    folder = workspace.data(ASSET)
    for digest in (SnapshotRecord.read(folder).digest, trained_on):
        if verify_snapshot(workspace, digest, _files(workspace), str(folder)) is not None:
            return
    logger.warning(f"{folder} was not signed when it was frozen: nothing says whether its files are as they were")
    sign_snapshot(workspace)


def _files(workspace: Workspace) -> dict[str, Path]:
    return {path.name: path for path in sorted(workspace.data(ASSET).iterdir()) if path.is_file()}

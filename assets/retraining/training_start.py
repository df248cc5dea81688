"""Where the training stages begin: from scratch, or from the teacher that the champion was distilled from.

The choice is a file under version control, `start.json`, that all three stages read: DVC, the demo and Dagster see a changed
choice as a changed input. It names registered versions and digests, so that a champion that moves later changes nothing. When
the champion is the start, stages 1 and 2 take its teacher's weights over as they are, and stage 3 trains them on.
"""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from assets.core.names import CHAMPION, FROM_SCRATCH, MODELS, SCRATCH, STUDENT, TEACHER, TRANSFORMER
from assets.core.steps import AssetError, Execution, Metadata
from assets.core.workspace import Workspace
from media import whole_directory, write_atomically
from media.records import ProductRecord
from tracking.version_origin import VersionOrigin

BY_HAND = "or begin from scratch: `omnihuman start scratch`"


@dataclass(frozen=True)
class ChampionStart:
    """The champion's teacher as a beginning.

    Attributes:
        student: the champion's version.
        teacher: version of the teacher that it was distilled from.
        weights: digest of the teacher's checkpoint, as its training recorded it.
        files: digest of the transformer in the registry.
        snapshot: digest of the snapshot that it was trained on.
        earlier: digests of those that its own beginnings were trained on, newest first.
        steps, rate_factor: of stage 3, from the profile's `continuation` when the choice was made.
    """

    student: int
    teacher: int
    weights: str
    files: str
    snapshot: str
    earlier: list[str]
    steps: int
    rate_factor: float

    def __str__(self) -> str:
        return f"{TEACHER} {self.teacher} ({STUDENT} {self.student}'s), {self.steps} steps at {self.rate_factor:g} of stage 3's rates"


def read_start(workspace: Workspace) -> ChampionStart | None:
    """What is chosen; None is from scratch, and so is no file.

    Raises:
        AssetError: the file is not what `omnihuman start` writes.
    """
    path = workspace.start
    if not path.is_file():
        return None
    try:
        chosen = json.loads(path.read_text())
        begin = chosen.pop("from")
        if begin == SCRATCH and not chosen:
            return None
        if begin == CHAMPION:
            return ChampionStart(**chosen)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AssetError(
            f"{path} cannot be read ({error}); write it anew with `omnihuman start scratch` or `omnihuman start champion`"
        ) from error
    raise AssetError(
        f"{path} says from {begin!r}; write it anew with `omnihuman start scratch` or `omnihuman start champion`"
    )


def choose_start(workspace: Workspace, begin: str) -> ChampionStart | None:
    """Write the choice `scratch` or `champion` (today's); returns it as `read_start` does.

    Raises:
        AssetError: no champion to begin from, its files are gone, or its teacher saw a clip that is withdrawn now.
    """
    start = None if begin == SCRATCH else _from_champion(workspace)
    write_atomically(
        workspace.start,
        (FROM_SCRATCH if start is None else json.dumps({"from": CHAMPION, **asdict(start)}, indent=1) + "\n").encode(),
    )
    return start


def teacher_folder(workspace: Workspace, start: ChampionStart) -> Path:
    """The transformer of the start's teacher, out of the registry, its bytes compared with what was registered.

    Raises:
        AssetError: they are gone, or others.
    """
    from omnihuman.digests import weights_digest
    from tracking.registry import RegistryError

    what = f"{workspace.start} begins from {TEACHER} {start.teacher}"
    try:
        folder = workspace.registry.folder(TEACHER, start.teacher) / TRANSFORMER
        found = weights_digest(folder)
    except (RegistryError, OSError) as error:
        raise AssetError(
            f"{what}, whose files are gone ({error}); bring the artifacts of {workspace.tracker} back, {BY_HAND}"
        ) from error
    if found != start.files:
        raise AssetError(
            f"{what}, whose files at {folder} hash to {found[:12]}, registered were {start.files[:12]}; restore them, {BY_HAND}"
        )
    return folder


def take_over(execution: Execution, start: ChampionStart, above: str | None) -> Metadata:
    """Make a stage's product of the start's weights as they are: from the registry, or from the stage above.

    Raises:
        AssetError: as `teacher_folder`.
    """
    workspace, name = execution.workspace, execution.name
    source = teacher_folder(workspace, start) if above is None else workspace.data(above) / "transformer"
    record: dict[str, Any] = {
        "name": name, "kind": "taken over", "profile": workspace.profile.name, "steps": 0, "continued_from": str(start),
        "parent": above or MODELS[TEACHER], "parent_weights": start.files if above else start.weights,
        "weights_digest": start.files, "snapshot_digest": start.snapshot, "mlflow_run_id": None,
        "seen_snapshots": [start.snapshot, *start.earlier],
    }  # fmt: skip
    with whole_directory(workspace.data(name)) as draft:
        shutil.copytree(source, draft / "transformer", copy_function=shutil.copyfile)
        ProductRecord(record).write(draft)
    return {key: record[key] for key in ("continued_from", "weights_digest", "snapshot_digest", "steps")}


def continued_section(section: dict[str, Any], start: ChampionStart) -> dict[str, Any]:
    """Stage 3's section of the profile with the steps and rates of a continuation."""
    optimizer = section["optimizer"]
    rates = {name: optimizer[name] * start.rate_factor for name in ("lr", "adam_lr")}
    return {**section, "steps": start.steps, "optimizer": {**optimizer, **rates}}


def _from_champion(workspace: Workspace) -> ChampionStart:
    config, tracker, registry = workspace.profile.continuation, workspace.tracker, workspace.registry
    if config is None:
        raise AssetError(
            f"profile {workspace.profile.name} has no section `continuation`; add {{steps: ...}}, {BY_HAND}"
        )
    champion = registry.at_alias(STUDENT) if tracker.exists() else None
    if champion is None:
        raise AssetError(
            f"{STUDENT} has no champion in {tracker} to begin from; `omnihuman demo` or `omnihuman promote` makes one, {BY_HAND}"
        )
    number = champion.origin.teacher_version
    if number is None:
        raise AssetError(
            f"{STUDENT} {champion.version} does not say which teacher it was distilled from (an older registration); {BY_HAND[3:]}"
        )
    origin = _origin_of_teacher(workspace, number)
    start = ChampionStart(
        champion.version,
        number,
        origin.weights_digest,
        origin.files_digest,
        origin.snapshot_digest,
        list(origin.earlier_snapshots),
        config.steps,
        config.rate_factor,
    )
    teacher_folder(workspace, start)
    _refuse_withdrawn(workspace, start)
    return start


def _origin_of_teacher(workspace: Workspace, number: int) -> VersionOrigin:
    from tracking.registry import RegistryError

    fault = f"{TEACHER} {number}, of which the champion was distilled, is not whole in {workspace.tracker}"
    try:
        origin = workspace.registry.version(TEACHER, number).origin
    except RegistryError as error:
        raise AssetError(f"{fault} ({error}); {BY_HAND[3:]}") from error
    missing = [name for name in ("weights_digest", "files_digest", "snapshot_digest") if not getattr(origin, name)]
    if missing:
        raise AssetError(f"{fault} (it has no {', '.join(missing)}); {BY_HAND[3:]}")
    return origin


def _refuse_withdrawn(workspace: Workspace, start: ChampionStart) -> None:
    from assets.past.who_saw import who_saw
    from assets.retraining.refresh import withdrawn_clips

    withdrawn = withdrawn_clips(workspace)
    saw = (
        [exposure.kind for exposure in who_saw(workspace, withdrawn) if exposure.name == f"{TEACHER} {start.teacher}"]
        if withdrawn
        else []
    )
    if saw:
        doubt = "may have seen" if saw[0].startswith("unknown") else "saw"
        raise AssetError(f"{TEACHER} {start.teacher} {doubt} clips that are withdrawn now; {BY_HAND[3:]}")

"""Choose where the training stages begin: from scratch, or from today's champion where its teacher may be trained on."""

from assets.core.names import SCRATCH, STUDENT, TEACHER
from assets.core.steps import AssetError
from assets.core.training_start import BY_HAND, ChampionStart, write_start
from assets.core.workspace import Workspace
from assets.kinds.continuation import teacher_folder
from assets.past.who_saw import who_saw
from assets.past.withdrawals import withdrawn_clips
from tracking.registry import RegistryError
from tracking.version_origin import VersionOrigin


def choose_start(workspace: Workspace, begin: str) -> ChampionStart | None:
    """Write the choice `scratch` or `champion` (today's); returns it as `read_start` does.

    Raises:
        AssetError: no champion to begin from, its files are gone, or its teacher saw a clip that is withdrawn now.
    """
    start = None if begin == SCRATCH else _from_champion(workspace)
    write_start(workspace, start)
    return start


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
    withdrawn = withdrawn_clips(workspace)
    saw = (
        [exposure.kind for exposure in who_saw(workspace, withdrawn) if exposure.name == f"{TEACHER} {start.teacher}"]
        if withdrawn
        else []
    )
    if saw:
        doubt = "may have seen" if saw[0].startswith("unknown") else "saw"
        raise AssetError(f"{TEACHER} {start.teacher} {doubt} clips that are withdrawn now; {BY_HAND[3:]}")

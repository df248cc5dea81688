"""The MLflow model registry: versions made of plain folders (safetensors, no pickle), aliases that move."""

from dataclasses import dataclass
from pathlib import Path

from media.user_error import UserError
from tracking.mlflow_store import connect, experiment_id  # first: it sets what mlflow reads at import

import mlflow  # isort: skip
from mlflow.exceptions import MlflowException  # isort: skip
from mlflow.tracking import MlflowClient  # isort: skip

CHALLENGER, CHAMPION, PREVIOUS = "challenger", "champion", "previous"
EXPERIMENT = "models"


class RegistryError(UserError):
    """A model, version or alias that is not there; the message says what makes it."""


@dataclass(frozen=True)
class Version:
    """One version of a registered model."""

    name: str
    version: int
    run_id: str | None
    tags: dict[str, str]
    aliases: tuple[str, ...]


def register_model(
    tracking_uri: str, name: str, folder: Path, run_id: str | None = None, tags: dict[str, str] | None = None
) -> Version:
    """Upload `folder` as a logged model and register it as the next version of `name`.

    Args:
        tracking_uri: of MLflow.
        name: the registered model's name; made on first use.
        folder: a saved pipeline.
        run_id: the run whose training made it.
        tags: put on the version.

    Raises:
        RegistryError: the folder does not exist.
    """
    if not folder.is_dir():
        raise RegistryError(f"no folder {folder} to register; materialise registered_model again")
    client = connect(tracking_uri)
    home = client.get_run(run_id).info.experiment_id if run_id else experiment_id(client, tracking_uri, EXPERIMENT)
    model = client.create_logged_model(home, name=name, source_run_id=run_id, model_type="video diffusion pipeline")
    client.log_model_artifacts(model.model_id, str(folder))
    client.finalize_logged_model(model.model_id, "READY")
    _ensure_model(client, name)
    made = client.create_model_version(
        name, source=f"models:/{model.model_id}", run_id=run_id, tags=tags, model_id=model.model_id
    )
    return get_version(tracking_uri, name, int(made.version))


def get_version(tracking_uri: str, name: str, version: int) -> Version:
    """Read one version. Raises RegistryError when there is none."""
    client = connect(tracking_uri)
    try:
        found = client.get_model_version(name, str(version))
    except MlflowException as error:
        raise RegistryError(f"no version {version} of {name} in the registry; materialise registered_model") from error
    return _version(found, _aliases_of(client, name))


def list_versions(tracking_uri: str, name: str) -> list[Version]:
    """All versions, oldest first."""
    client = connect(tracking_uri)
    found = client.search_model_versions(f"name = '{name}'")
    aliases = _aliases_of(client, name) if found else {}
    return sorted((_version(v, aliases) for v in found), key=lambda v: v.version)


def get_alias(tracking_uri: str, name: str, alias: str) -> Version | None:
    """The version that `alias` stands at, or None."""
    client = connect(tracking_uri)
    try:
        model = client.get_registered_model(name)
    except MlflowException:
        return None
    number = (model.aliases or {}).get(alias)
    return None if number is None else get_version(tracking_uri, name, int(number))


def set_alias(tracking_uri: str, name: str, alias: str, version: int) -> None:
    """Move `alias` to `version`. Raises RegistryError when there is no such version."""
    get_version(tracking_uri, name, version)
    connect(tracking_uri).set_registered_model_alias(name, alias, str(version))


def describe_version(tracking_uri: str, name: str, version: int, text: str) -> None:
    """Markdown for a version's page."""
    connect(tracking_uri).update_model_version(name, str(version), description=text)


def version_description(tracking_uri: str, name: str, version: int) -> str:
    """What `describe_version` put there; empty where nobody did."""
    return connect(tracking_uri).get_model_version(name, str(version)).description or ""


def set_version_tags(tracking_uri: str, name: str, version: int, tags: dict[str, str]) -> None:
    """Tags on a version, such as what the gate said."""
    client = connect(tracking_uri)
    for key, value in tags.items():
        client.set_model_version_tag(name, str(version), key, value)


def champion_folder(tracking_uri: str, name: str, alias: str = CHAMPION) -> Path:
    """The files of the version at `alias`, on this machine; a remote artifact store is downloaded.

    Raises:
        RegistryError: the alias stands nowhere.
    """
    version = get_alias(tracking_uri, name, alias)
    if version is None:
        raise RegistryError(f"{name} has no version with alias {alias!r}; run `make demo`, or `omnihuman promote`")
    return version_folder(tracking_uri, name, version.version)


def version_folder(tracking_uri: str, name: str, version: int) -> Path:
    """The files of one version, on this machine."""
    connect(tracking_uri)
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{name}/{version}"))


def move_champion(tracking_uri: str, name: str, version: int) -> int | None:
    """Alias champion to `version`, the old champion's version to `previous`; returns the old one."""
    old = get_alias(tracking_uri, name, CHAMPION)
    if old is not None and old.version != version:
        set_alias(tracking_uri, name, PREVIOUS, old.version)
    set_alias(tracking_uri, name, CHAMPION, version)
    return None if old is None else old.version


def _ensure_model(client: MlflowClient, name: str) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException:
        client.create_registered_model(name)


def _aliases_of(client: MlflowClient, name: str) -> dict[str, str]:
    return dict(client.get_registered_model(name).aliases or {})


def _version(found, aliases: dict[str, str]) -> Version:
    own = tuple(sorted(alias for alias, number in aliases.items() if int(number) == int(found.version)))
    return Version(found.name, int(found.version), found.run_id or None, dict(found.tags or {}), own)

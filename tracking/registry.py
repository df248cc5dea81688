"""The MLflow model registry: versions made of plain folders (safetensors, no pickle), aliases that move."""

import hashlib
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from media import sha256_of_file
from media.user_error import UserError
from provenance.certificates import load_weights_credentials
from provenance.settings import SIGNING, read_settings
from provenance.signed_list import TamperedFiles
from provenance.weights import REMEDY, sign_folder, statement_of, verify_folder
from tracking.held_once import hold_once
from tracking.mlflow_store import ADDRESS, point_mlflow_at  # first: it sets what mlflow reads at import
from tracking.model_address import CHALLENGER as CHALLENGER
from tracking.model_address import CHAMPION as CHAMPION
from tracking.model_address import PREVIOUS as PREVIOUS
from tracking.model_address import SCHEME, ModelAddress
from tracking.tracker import Tracker
from tracking.version_origin import VersionOrigin

import mlflow  # isort: skip
from mlflow.entities.model_registry import ModelVersion, RegisteredModel  # isort: skip
from mlflow.exceptions import MlflowException  # isort: skip

logger = logging.getLogger(__name__)
EXPERIMENT = "models"
SIGNED = "signed"  # tag of a version: digest of the signature over its files
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
ABSENT = "RESOURCE_DOES_NOT_EXIST"  # MLflow's word


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

    @property
    def address(self) -> ModelAddress:
        """Its name in the registry."""
        return ModelAddress(self.name, version=self.version)

    @property
    def origin(self) -> VersionOrigin:
        """Where it came from, as its tags say."""
        return VersionOrigin.from_tags(self.tags)


class Registry:
    """The registered models of a tracker's store."""

    def __init__(self, tracker: Tracker):
        """Uses the tracker's client; nothing is asked before the first question."""
        self.tracker = tracker

    def register(
        self, name: str, folder: Path, run_id: str | None = None, origin: VersionOrigin | None = None, about: str = ""
    ) -> Version:
        """Upload `folder` as a logged model and register it, signed, as the next version of `name`.

        In a store on this machine, weights that the newest versions have too are held once, by hard links.

        Args:
            name: the registered model's name; made on first use.
            folder: a saved pipeline.
            run_id: the run whose training made it.
            origin: put on the version as tags.
            about: what the model is, for its page; it is set where the page says something else.

        Raises:
            RegistryError: the folder does not exist, has a link to a folder in it, or a signature that does not fit while signing is switched off.
            provenance.settings.ProvenanceError: it cannot be signed, and signing is not switched off.
        """
        if not folder.is_dir():
            raise RegistryError(f"no folder {folder} to register; materialise registered_model again")
        linked = next((path for path in sorted(folder.rglob("*")) if path.is_symlink() and path.is_dir()), None)
        if linked is not None:
            raise RegistryError(
                f"{linked} is a link to a folder, whose files MLflow would leave out; put the folder itself there"
            )
        tags = {} if origin is None else origin.tags()
        signature = _signed(name, folder, tags)
        client = self.tracker.client
        point_mlflow_at(self.tracker.uri)
        home = self.tracker.experiment_of(run_id) if run_id else self.tracker.experiment_id(EXPERIMENT)
        model = client.create_logged_model(home, name=name, source_run_id=run_id, model_type="video diffusion pipeline")
        client.log_model_artifacts(model.model_id, str(folder))
        if signature:
            with tempfile.TemporaryDirectory() as place:
                for file, content in signature.items():
                    (Path(place) / file).write_bytes(content)
                client.log_model_artifacts(model.model_id, place)
            tags[SIGNED] = hashlib.sha256(next(iter(signature.values()))).hexdigest()
        client.finalize_logged_model(model.model_id, "READY")
        known = self._find_model(name)
        if known is None:
            client.create_registered_model(name, description=about or None)
        elif about and known.description != about:
            client.update_registered_model(name, about)
        source = f"{SCHEME}{model.model_id}"
        made = client.create_model_version(
            name, source=source, run_id=run_id, tags=tags or None, model_id=model.model_id
        )
        if self.tracker.is_local:
            self._hold_once(name, int(made.version))
        return self.version(name, int(made.version))

    def _hold_once(self, name: str, number: int) -> None:
        newest = [version for model in self._models() for version in self.versions(model)[-2:]]
        others = []
        for version in newest:
            if (version.name, version.version) != (name, number):
                with suppress(RegistryError):  # files that are gone have nothing in common
                    others.append(self.file(version.name, version.version, ""))
        hold_once(self.file(name, number, ""), others)

    def _models(self) -> list[str]:
        return [model.name for model in self.tracker.client.search_registered_models()]

    def version(self, name: str, number: int) -> Version:
        """Read one version. Raises RegistryError when there is none."""
        found = self._find_version(name, number)
        if found is None:
            raise RegistryError(f"no version {number} of {name} in the registry; {self._remedy(name)}")
        return _version(found, self.aliases(name))

    def has(self, name: str, number: int) -> bool:
        """Whether there is such a version."""
        return self._find_version(name, number) is not None

    def versions(self, name: str) -> list[Version]:
        """All versions, oldest first."""
        found = self.tracker.client.search_model_versions(f"name = '{name}'")
        aliases = self.aliases(name) if found else {}
        return sorted((_version(v, aliases) for v in found), key=lambda v: v.version)

    def versions_with_snapshots(self, names: tuple[str, ...]) -> list[Version]:
        """Every version of the named models that says which snapshot it was trained on."""
        if not self.tracker.exists():
            return []
        return [version for name in names for version in self.versions(name) if version.origin.snapshot_digest]

    def aliases(self, name: str) -> dict[str, int]:
        """Each alias of a model, to the version that it stands at; none for a model that is not there."""
        model = self._find_model(name)
        return {} if model is None else {alias: int(number) for alias, number in (model.aliases or {}).items()}

    def at_alias(self, name: str, alias: str = CHAMPION) -> Version | None:
        """The version that `alias` stands at, or None."""
        number = self.aliases(name).get(alias)
        return None if number is None else self.version(name, number)

    def find(self, address: ModelAddress) -> Version:
        """The version that an address means. Raises RegistryError when there is none."""
        if address.version is not None:
            return self.version(address.name, address.version)
        found = self.at_alias(address.name, address.alias)
        if found is None:
            raise RegistryError(
                f"{address.name} has no version with alias {address.alias!r}; {self._remedy(address.name)}"
            )
        return found

    def set_alias(self, name: str, alias: str, number: int) -> None:
        """Move `alias` to a version. Raises RegistryError when there is no such version."""
        self.version(name, number)
        self.tracker.client.set_registered_model_alias(name, alias, str(number))

    def remove_alias(self, name: str, alias: str) -> None:
        """Let `alias` stand nowhere, if it stands anywhere."""
        if alias in self.aliases(name):
            self.tracker.client.delete_registered_model_alias(name, alias)

    def describe(self, name: str, number: int, text: str) -> None:
        """Markdown for a version's page."""
        self.tracker.client.update_model_version(name, str(number), description=text)

    def description(self, name: str, number: int) -> str:
        """What `describe` put there; empty where nobody did."""
        return self.tracker.client.get_model_version(name, str(number)).description or ""

    def set_tags(self, name: str, number: int, tags: dict[str, str]) -> None:
        """Tags on a version, such as what the gate said."""
        for key, value in tags.items():
            self.tracker.client.set_model_version_tag(name, str(number), key, value)

    def note(self, name: str, key: str) -> str | None:
        """A tag of a whole model, or None."""
        model = self._find_model(name)
        return None if model is None else (model.tags or {}).get(key)

    def set_note(self, name: str, key: str, text: str | None) -> None:
        """Set a tag of a whole model; None takes it away."""
        if text is not None:
            self.tracker.client.set_registered_model_tag(name, key, text)
        elif self.note(name, key) is not None:
            self.tracker.client.delete_registered_model_tag(name, key)

    def folder(self, name: str, number: int) -> Path:
        """The files of one version, as `verified`."""
        return self.verified(name, number)[0]

    def verified(self, name: str, number: int) -> tuple[Path, Mapping[str, str]]:
        """The files of one version, on this machine, as they were signed at registration; a remote artifact store is downloaded.

        Returns:
            Their folder, and the sha256 of each by its name in it, empty where the version is not signed.

        Raises:
            RegistryError: the registry has no such version, or its files are gone.
            provenance.signed_list.TamperedFiles: a file is not the one that was signed, by its name.
        """
        folder = self.file(name, number, "")
        statement, signed = statement_of(folder), self.version(name, number).tags.get(SIGNED)
        files: Mapping[str, str] = {}
        if statement is not None or signed is not None:
            files = verify_folder(folder, read_settings()).files
            if statement is not None and signed not in (None, sha256_of_file(statement)):
                raise TamperedFiles(
                    f"{folder} is signed, but is not what was registered as version {number} of {name}: another version's files stand there; {REMEDY}"
                )
        else:
            logger.warning(
                f"version {number} of {name} is not signed (registered before versions were signed, or with OMNIHUMAN_SIGNING=off): nothing says whether its files are as they were"
            )
        return folder, files

    def file(self, name: str, number: int, path: str) -> Path:
        """One file, or folder, of a version, and of a remote artifact store no other; raises as `folder`."""
        self.version(name, number)
        uri = self.tracker.uri
        point_mlflow_at(uri)
        address = "/".join(filter(None, [str(ModelAddress(name, version=number)), path]))
        try:
            return Path(mlflow.artifacts.download_artifacts(artifact_uri=address, tracking_uri=uri, registry_uri=uri))
        except (MlflowException, OSError) as error:
            raise RegistryError(
                f"the files of version {number} of {name} cannot be had ({error}); bring them back from a backup, or register the "
                "weights that stand here anew: `python -m assets registered_model --force`"
            ) from error

    def _remedy(self, name: str) -> str:
        """What to do where a version or alias is not there."""
        there = ", ".join(str(version.version) for version in self.versions(name))
        others = f"; of those that there are ({there}) `omnihuman promote VERSION` makes one champion" if there else ""
        return f"`make demo` registers the weights that stand here{others}"

    def _find_model(self, name: str) -> RegisteredModel | None:
        with self._asking():
            return self.tracker.client.get_registered_model(name)
        return None

    def _find_version(self, name: str, number: int) -> ModelVersion | None:
        with self._asking():
            return self.tracker.client.get_model_version(name, str(number))
        return None

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Pass over the block when what it asks for is not there; a store that does not answer is another matter."""
        try:
            yield
        except MlflowException as error:
            if error.error_code != ABSENT:
                raise RegistryError(
                    f"MLflow at {self.tracker} does not answer ({error}); start the server, or name another store by {ADDRESS}"
                ) from error


def champion_folder(tracking_uri: str, name: str, alias: str = CHAMPION) -> Path:
    """The files of the version at `alias`, on this machine; a remote artifact store is downloaded.

    Raises:
        RegistryError: the alias stands nowhere.
    """
    registry = Registry(Tracker(tracking_uri))
    return registry.folder(name, registry.find(ModelAddress(name, alias)).version)


def write_adapter_flavour(weights: Path, base: str, folder: Path) -> bool:
    """Write a LoRA as MLflow's `diffusers` flavour has it, where that fits: the flavour names its base by a hub id.

    `mlflow.diffusers.load_model(folder).load_pipeline()` puts it on that base. The hub is asked for the base's revision; without an answer none is noted.

    Args:
        weights: the LoRA's file, in diffusers' dialect.
        base: what it stands on.
        folder: to be made.
    """
    if not _HUB_ID.fullmatch(base):
        return False
    import mlflow.diffusers

    mlflow.diffusers.save_model(str(weights), base_model=base, path=str(folder))
    return True


def _signed(name: str, folder: Path, about: dict[str, str]) -> dict[str, bytes]:
    """The files that sign it, the signature first; none where signing is switched off. Raises as `Registry.register`."""
    settings = read_settings()
    if settings.required:
        return sign_folder(folder, {"model": name, **about}, load_weights_credentials(settings))
    if (stale := statement_of(folder)) is not None:
        try:
            verify_folder(folder, settings)
        except TamperedFiles as error:
            # It would go along with the weights, and whoever loads the version would be refused.
            raise RegistryError(
                f"{stale} is of an earlier registration and does not fit ({error}), and {SIGNING}=off makes no other; remove it, or switch signing on"
            ) from error
    return {}


def _version(found: ModelVersion, aliases: dict[str, int]) -> Version:
    own = tuple(sorted(alias for alias, number in aliases.items() if number == int(found.version)))
    return Version(found.name, int(found.version), found.run_id or None, dict(found.tags or {}), own)

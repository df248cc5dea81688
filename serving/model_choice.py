"""Which model makes a video: from the registry by alias or version, or from a folder; and the one that is kept loaded."""

import dataclasses
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from assets.core.names import STUDENT, TEACHER, TRANSFORMER
from assets.core.workspace import Workspace
from media.records import ProductRecord, SnapshotRecord, TrainedOnRecord
from media.records.trained_on import PEOPLE, PUPPETS
from omnihuman import OmniHumanPipeline
from omnihuman.autoencoder import has_the_same_latents, load_autoencoder
from omnihuman.bases.quantised import quantised_as
from omnihuman.digests import weights_digest
from omnihuman.pipeline import build_pipeline
from omnihuman.placement import choose_device, choose_quantised, place_pipeline
from omnihuman.saved_encoders import FROZEN, INDEX
from omnihuman.wan.pipeline import is_wan_pipeline, pipeline_from_wan
from profiles import Profile, resolve_source
from serving.freed_memory import return_large_blocks
from serving.inputs import GenerateError
from tracking.model_address import CHAMPION, SCHEME, ModelAddress, ModelAddressError

if TYPE_CHECKING:
    from tracking.registry import Version

KINDS = (PUPPETS, PEOPLE)
Lora = tuple[Path, float]  # file or folder, and scale


@dataclass(frozen=True)
class LoadedModel:
    """A pipeline and what is known of where it came from; `snapshot` is "" where that is not known, `decoder` with its own, `trained_on` None
    for a folder without that record, `version` 0 for a folder, `files` the sha256 of each file of a signed version by its name."""

    pipeline: OmniHumanPipeline
    name: str
    weights: str
    snapshot: str
    decoder: str = ""
    trained_on: TrainedOnRecord | None = None
    version: int = 0
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def quantised(self) -> str:
        """`int8` or `fp8` where its matrices are held so, else ""."""
        return quantised_as(self.pipeline.transformer)

    def unlike(self, whom: str) -> str:
        """Say what the model was trained on where that is not `whom`, puppets or people; empty where it is, or where no record says."""
        if self.trained_on is None or all(self.trained_on.knows(kind) for kind in ([whom] if whom else KINDS)):
            return ""
        of_picture = f"this picture shows {whom}; " if whom else ""
        return f"{of_picture}{self.name} was trained on {self.trained_on}, and what it has hardly seen it cannot make"


@dataclass(frozen=True)
class ModelChoice:
    """One entry of a picker: `address` is what `load_model` takes."""

    label: str
    address: str


@dataclass(frozen=True)
class Checkpoint:
    """A training's product, such as data/stage_3_checkpoint: a transformer, which the profile's frozen encoders make a pipeline of."""

    folder: Path
    record: ProductRecord

    @property
    def one_step(self) -> bool:
        """Whether it is a student."""
        return self.record.kind in ("consistency", "adversarial", "streaming")


def load_model(workspace: Workspace, model: str, keep_dtype: bool = False) -> LoadedModel:
    """A pipeline by alias (`champion`), from the registry (`models:/NAME@ALIAS`, `models:/NAME/VERSION`), or from a folder: a whole
    pipeline's, or a training's (data/distilled_student). It is where `evaluation.device` of the profile says, computes in `evaluation.dtype`, and
    holds its matrices as `evaluation.quantise` says; with `keep_dtype` as its files do, so that it can be saved again. From here on the process
    gives large blocks of memory back.

    Raises:
        GenerateError: no such folder, one whose files cannot be read, or a training of another profile.
        tracking.registry.RegistryError: no such model, version or alias.
        omnihuman.placement.NoSuchDevice: a device that is not there.
        omnihuman.bases.quantised.CannotQuantise: weights in 8 bits that cannot be had.
    """
    choose_quantised(workspace.profile, choose_device(workspace.profile.evaluation.device))  # before minutes of reading
    return_large_blocks()
    return _load(workspace, _find(workspace, model), keep_dtype)


def followed_alias(workspace: Workspace, model: str) -> ModelAddress | None:
    """The alias that `model` names, which may move; None for a folder or a version. Raises as `load_model`."""
    if not isinstance(_find(workspace, model), Path | Checkpoint):
        address = ModelAddress.parse(model, STUDENT)
        return address if address.version is None else None
    return None


def load_beside(workspace: Workspace, address: ModelAddress, served: LoadedModel) -> LoadedModel:
    """As `load_model`, of a registered version, while other threads of this process generate with `served`.

    Encoders, autoencoder and tokenizers that both have, to the byte as their signatures say, are shared: they are neither read nor held twice. One worker
    makes one video at a time, so nothing is computed in them twice at once.

    Libraries build a network of files in bfloat16 under that default dtype of torch, which is the whole process's: what another thread
    draws meanwhile would have fewer bits. So files are read as float32, which holds their values exactly, and cast afterwards.
    """
    return _load(workspace, workspace.registry.find(address), served=served)


def with_decoder(model: LoadedModel, folder: Path) -> LoadedModel:
    """The model with another autoencoder to decode with.

    Raises:
        GenerateError: the folder holds none, or one whose latents are others than the model's.
    """
    if not (folder / "config.json").is_file():
        raise GenerateError(
            f"{folder} holds no autoencoder (config.json with safetensors); materialise slim_decoder, then give data/slim_decoder/vae"
        )
    decoder = load_autoencoder(folder, model.pipeline.vae.dtype)
    if not has_the_same_latents(model.pipeline.vae, decoder):
        raise GenerateError(
            f"{folder} decodes other latents than those of {model.name}; make a slim decoder of this model's autoencoder"
        )
    model.pipeline.register_modules(vae=decoder.to(model.pipeline.vae.device))
    return dataclasses.replace(model, decoder=weights_digest(folder))


def parse_lora(written: str) -> Lora:
    """A LoRA's file or folder and its scale, written FILE or FILE:SCALE.

    Raises:
        GenerateError: a scale that is no number.
    """
    file, colon, scale = written.rpartition(":")
    if not colon or Path(written).exists():
        return Path(written), 1.0
    try:
        number = float(scale)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise GenerateError(f"--lora {written}: write FILE, or FILE:SCALE, for example style.safetensors:0.8")
    return Path(file), number


def with_loras(model: LoadedModel, loras: Sequence[Lora]) -> LoadedModel:
    """The model with LoRAs of Wan attached to its transformer, each with its scale; without any as it is.

    Raises:
        omnihuman.errors.MissingWeights: no such file.
        omnihuman.wan.dialects.adapters.AdapterError: no LoRA of Wan's, or one that does not fit the transformer.
    """
    if not loras:
        return model
    names = [f"lora_{number}" for number in range(len(loras))]
    for name, (file, _) in zip(names, loras, strict=True):
        model.pipeline.load_lora_weights(file, adapter_name=name)
    model.pipeline.set_adapters(names, [scale for _, scale in loras])
    return model


def list_choices(workspace: Workspace) -> list[ModelChoice]:
    """Every alias of student and teacher, champions first."""
    found = [
        (
            alias != CHAMPION,
            ModelChoice(f"{name} @ {alias} (version {version.version})", str(ModelAddress(name, alias))),
        )
        for name in (STUDENT, TEACHER)
        for version in workspace.registry.versions(name)
        for alias in version.aliases
    ]
    return [choice for _, choice in sorted(found, key=lambda pair: pair[0])]


class ModelShelf:
    """Keeps the model that was asked for last: loading takes seconds, and two need not fit into memory.

    An alias is looked up at every call, so a promotion is seen by the next video.
    """

    def __init__(self, workspace: Workspace, loras: Sequence[Lora] = ()):
        """`loras` are added to every model."""
        self._workspace, self._loras = workspace, loras
        self._lock = threading.Lock()
        self._held: tuple[str, LoadedModel] | None = None

    def get(self, model: str) -> LoadedModel:
        """As `load_model` and `with_loras`, and raises the same."""
        with self._lock:
            found = _find(self._workspace, model)
            key = str(found if isinstance(found, Path | Checkpoint) else found.address)
            if self._held is None or self._held[0] != key:
                self._held = None
                self._held = key, with_loras(_load(self._workspace, found), self._loras)
            return self._held[1]


def _find(workspace: Workspace, model: str) -> "Path | Checkpoint | Version":
    if model.startswith(SCHEME):
        return _registered(workspace, model)
    place = Path(model)
    if (place / ProductRecord.FILE).is_file() and (place / TRANSFORMER / "config.json").is_file():
        return Checkpoint(place, ProductRecord.read(place))
    if (place / INDEX).is_file():
        return place
    if place.is_file():
        raise GenerateError(
            f"{model} is one file, and a video takes a whole pipeline: `omnihuman weights inspect` says what it is; a transformer takes the place of "
            "the one in a pipeline's folder (`omnihuman weights convert --to diffusers`), a LoRA is given by --lora"
        )
    if place.exists() or not re.fullmatch(r"[\w-]+", model):
        raise GenerateError(
            f"{model} holds no {INDEX}; give an alias (champion), models:/NAME@ALIAS, the folder of a whole pipeline "
            "(save_pretrained), or of a training (data/distilled_student)"
        )
    return _registered(workspace, model)


def _registered(workspace: Workspace, model: str) -> "Version":
    try:
        return workspace.registry.find(ModelAddress.parse(model, STUDENT))
    except ModelAddressError as error:
        raise GenerateError(str(error)) from error


def _load(
    workspace: Workspace,
    found: "Path | Checkpoint | Version",
    keep_dtype: bool = False,
    served: LoadedModel | None = None,
) -> LoadedModel:
    loaded = _read(workspace, found, served)
    place_pipeline(loaded.pipeline, workspace.profile, keep_dtype)
    return loaded


def _read(workspace: Workspace, found: "Path | Checkpoint | Version", served: LoadedModel | None = None) -> LoadedModel:
    if isinstance(found, Checkpoint):
        joined = _joined(workspace.profile, found)
        return dataclasses.replace(joined, trained_on=_clips_of(workspace, joined.snapshot))
    if isinstance(found, Path):
        audio = resolve_source(workspace.profile.encoders.audio)
        weights = weights_digest(found / TRANSFORMER)
        clips = TrainedOnRecord.read_if_there(found)
        snapshot = "" if clips is None else clips.snapshot
        return LoadedModel(_read_pipeline(found, audio), str(found), weights, snapshot, trained_on=clips)
    (folder, files), origin = workspace.registry.verified(found.name, found.version), found.origin
    clips, name = TrainedOnRecord.read_if_there(folder), f"{found.name} version {found.version}"
    given = {} if served is None else {"dtype": torch.float32} | _shared(served, files)
    return LoadedModel(
        _read_pipeline(folder, given=given),
        name,
        origin.weights_digest,
        origin.snapshot_digest,
        "",
        clips,
        found.version,
        files,
    )


def _shared(served: LoadedModel, files: Mapping[str, str]) -> dict[str, Any]:
    """What of a served pipeline a version with these files has too, by name."""
    shared = {}
    for name in FROZEN:
        ours, theirs = (
            {file: known for file, known in one.items() if file.startswith(f"{name}/")} for one in (served.files, files)
        )
        if ours and ours == theirs and not (name == "vae" and served.decoder):
            shared[name] = getattr(served.pipeline, name)
    return shared


def _clips_of(workspace: Workspace, snapshot: str) -> TrainedOnRecord | None:
    """What a training, whose folder has no such record, was trained on; None where today's snapshot is another."""
    from assets.kinds.registration.training_data import trained_on

    today = SnapshotRecord.read_if_there(workspace.data("training_snapshot"))
    return trained_on(workspace) if today is not None and today.digest == snapshot else None


def _joined(profile: Profile, checkpoint: Checkpoint) -> LoadedModel:
    folder, record = checkpoint.folder, checkpoint.record
    if record.profile != profile.name:
        raise GenerateError(
            f"{folder} was trained with profile {record.profile}, whose encoders it needs, not {profile.name}'s; choose it with --profile"
        )
    steps = 1 if checkpoint.one_step else profile.evaluation.teacher_steps
    with _as_generate_error(folder):
        pipeline = build_pipeline(profile, folder / TRANSFORMER, steps, record.values.get("streaming"))
    return LoadedModel(pipeline, str(folder), weights_digest(folder / TRANSFORMER), record.snapshot_digest)


def _read_pipeline(
    folder: Path, audio_encoder: str | Path = "", given: Mapping[str, Any] | None = None
) -> OmniHumanPipeline:
    """`given` goes to `from_pretrained`."""
    with _as_generate_error(folder):
        if is_wan_pipeline(folder):
            return pipeline_from_wan(folder, audio_encoder)
        return OmniHumanPipeline.from_pretrained(str(folder), **(given or {}))


@contextmanager
def _as_generate_error(folder: Path) -> Iterator[None]:
    """Whatever diffusers, transformers and safetensors raise for files of another kind or cut off, in one line."""
    try:
        yield
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise GenerateError(
            f"{folder} cannot be loaded as a pipeline: {reason}; save it again with save_pretrained, or register it anew"
        ) from error

"""LoRAs of Wan, whoever trained them, and of MMDiTs by diffusers' names, on OmniHuman's pipeline: loaded, scaled, fused and taken off as in diffusers' `WanPipeline`."""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers.loaders.lora_pipeline import WanLoraLoaderMixin
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors.torch import save_file
from torch import Tensor, nn

from media.files import sha256_of_file
from media.user_error import some_of
from omnihuman.bases.quantised import refuse_quantised
from omnihuman.errors import MissingWeights
from omnihuman.wan.dialects.adapter_writing import written_as
from omnihuman.wan.dialects.adapters import (
    DIFFUSERS_WEIGHTS,
    METADATA,
    PEFT_WEIGHTS,
    Adapter,
    AdapterError,
    read_adapter,
)
from omnihuman.wan.dialects.in_memory import KINDS, kept, tensor_of
from omnihuman.wan.dialects.names import diffusers_name

SHOWN = 12
UNKNOWN = "unknown, attached as "  # an adapter that did not come through `load_lora_weights`


class LoraLoading(WanLoraLoaderMixin):
    """The part of `OmniHumanPipeline` that takes LoRAs. Beside these methods there are diffusers' own: `set_adapters`, `disable_lora`,
    `unload_lora_weights`, `delete_adapters` and the rest."""

    _lora_loadable_modules = ["transformer"]
    transformer: Any

    def load_lora_weights(
        self,
        pretrained_model_name_or_path_or_dict: str | Path | dict[str, Tensor],
        adapter_name: str | None = None,
        hotswap: bool = False,
        *,
        alpha: float | None = None,
        **kwargs: Any,
    ) -> None:
        """Attach a LoRA of the transformer's base in any dialect that `omnihuman weights inspect` tells apart, whole or not at all.

        Args:
            pretrained_model_name_or_path_or_dict: a file; a folder, peft's or one that holds one; a hub id; or its tensors by key.
            adapter_name: default one that is free.
            hotswap: as in diffusers.
            alpha: of a file in which it is missing, see `docs/reference/weights.md`.
            kwargs: `weight_name` names the file in a folder or of a hub id; others are `hf_hub_download`'s.

        Raises:
            AdapterError: (a ValueError) no LoRA of a base, another kind of adapter, or one with modules that this transformer does not have or has
                in other sizes; they are named.
            MissingWeights: nothing there.
        """
        low_memory = kwargs.pop("low_cpu_mem_usage", True)
        adapter, digest = _read(pretrained_model_name_or_path_or_dict, alpha, kwargs)
        check_fit(adapter, self.transformer)
        tensors, metadata, _ = written_as(adapter, "diffusers")
        attached = getattr(self.transformer, "peft_config", {})
        name = adapter_name or next(free for n in range(len(attached) + 1) if (free := f"default_{n}") not in attached)
        with warnings.catch_warnings():
            # Of weights in 8 bits: that they cannot be merged, which `fuse_lora` says.
            warnings.filterwarnings("ignore", message="TorchaoLoraLinear was instantiated")
            self.load_lora_into_transformer(
                {key: tensor_of(stored) for key, stored in tensors.items()},
                self.transformer,
                adapter_name=name,
                metadata=json.loads(metadata[METADATA]),
                _pipeline=self,
                low_cpu_mem_usage=low_memory,
                hotswap=hotswap,
            )
        self._digests[name] = digest

    def fuse_lora(self, components: list[str] = ["transformer"], lora_scale: float = 1.0, **kwargs: Any) -> None:  # type: ignore[override]  # noqa: B006 - diffusers' own; never changed
        """As diffusers'; `loras` goes on telling of what is in the weights.

        Raises:
            InputError: the weights are in 8 bits.
        """
        refuse_quantised(self.transformer, "fusing a LoRA")
        names = kwargs.get("adapter_names")
        fused = {n: scale * lora_scale for n, scale in self._attached().items() if names is None or n in names}
        super().fuse_lora(components=components, lora_scale=lora_scale, **kwargs)
        self._fused += [(self._digest(name), scale) for name, scale in fused.items()]

    def unfuse_lora(self, components: list[str] = ["transformer"], **kwargs: Any) -> None:  # noqa: B006 - as above
        """As diffusers'."""
        attached = bool(_layers(self.transformer))
        super().unfuse_lora(components=components, **kwargs)
        if attached:
            self._fused.clear()

    def loras(self) -> dict[str, float]:
        """What changes the transformer's weights now, attached or fused: sha256 of each LoRA's file, and its scale."""
        scales: dict[str, float] = {}
        for digest, scale in [*((self._digest(name), scale) for name, scale in self._attached().items()), *self._fused]:
            scales[digest] = round(scales.get(digest, 0.0) + scale, 6)
        return scales

    def _attached(self) -> dict[str, float]:
        """Scale by name of what is attached, switched on and not fused."""
        scales: dict[str, float] = {}
        # Every call asks, and going through all modules takes as long as a part of a one-step call.
        attached = getattr(self.transformer, "peft_config", None)
        for layer in _layers(self.transformer) if attached else ():
            if not layer.disable_adapters:
                names = [n for n in layer.active_adapters if n in layer.lora_A and n not in layer.merged_adapters]
                scales |= {n: layer.scaling[n] * layer.r[n] / layer.lora_alpha[n] for n in names}
        return scales

    def _digest(self, name: str) -> str:
        return self._digests.get(name, UNKNOWN + name)

    @property
    def _digests(self) -> dict[str, str]:
        return self.__dict__.setdefault("_lora_digests", {})

    @property
    def _fused(self) -> list[tuple[str, float]]:
        """Digest and scale of what is in the weights."""
        return self.__dict__.setdefault("_fused_scales", [])

    @_fused.setter
    def _fused(self, scales: list[tuple[str, float]]) -> None:
        self.__dict__["_fused_scales"] = scales


def check_fit(adapter: Adapter, transformer: nn.Module) -> None:
    """Refuse a LoRA that does not fit as a whole: what is left out would make another network than its trainer's.

    Raises:
        AdapterError: with the modules, and what both sides have of them.
    """
    modules = dict(transformer.named_modules())
    absent, other, kinds = [], [], []
    for own, update in adapter.updates.items():
        name = diffusers_name(own)
        module = modules.get(name)
        if module is None or not hasattr(module, "in_features"):
            absent.append(name)
            continue
        size, wanted = (update.down.shape[1], update.up.shape[0]), (module.in_features, module.out_features)
        if size != wanted:
            other.append(f"{name} maps {size[0]} to {size[1]}, here {wanted[0]} to {wanted[1]}")
        if not {update.down.dtype, update.up.dtype} <= KINDS.keys():
            kinds.append(f"{name} ({update.down.dtype})")
    said = {
        "adapt no matrix of this transformer": absent,
        "are of another size": other,
        "are in numbers that cannot be computed with": kinds,
    }
    wrong = [f"{len(names)} {what}: {some_of(names, SHOWN)}" for what, names in said.items() if names]
    if wrong:
        raise AdapterError(
            f"{adapter.source} does not fit: of its {len(adapter.updates)} updates {'; '.join(wrong)}. Nothing of it was loaded; take a LoRA of "
            "this model's base (`omnihuman weights inspect` says of which it is)"
        )


def _layers(transformer: nn.Module) -> list[Any]:
    return [module for module in transformer.modules() if hasattr(module, "lora_A")]


def _read(source: str | Path | Mapping[str, Tensor], alpha: float | None, options: dict[str, Any]) -> tuple[Adapter, str]:  # fmt: skip
    """The LoRA with its tensors in reach, and the digest of its file."""
    if isinstance(source, Mapping):
        return _of_tensors(source, alpha)
    file = _file(source, options)
    return read_adapter(file, alpha), sha256_of_file(file / PEFT_WEIGHTS if file.is_dir() else file)


def _of_tensors(tensors: Mapping[str, Tensor], alpha: float | None) -> tuple[Adapter, str]:
    """They are read as those of a file are, by the same rules; its bytes are kept in memory."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "tensors"
        save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, file)
        return kept(read_adapter(file, alpha)), hashlib.sha256(file.read_bytes()).hexdigest()


def _file(source: str | Path, options: dict[str, Any]) -> Path:
    """The file, or peft's folder, of a path or hub id."""
    path, wanted = Path(source).expanduser(), options.pop("weight_name", None)
    if path.is_file():
        return path
    if path.is_dir():
        if wanted is None and (path / PEFT_WEIGHTS).is_file():
            return path
        found = [path / (wanted or DIFFUSERS_WEIGHTS)]
        if wanted is None and not found[0].is_file():
            found = sorted(path.glob("*.safetensors"))
        if len(found) == 1 and found[0].is_file():
            return found[0]
        names = ", ".join(sorted(file.name for file in path.glob("*.safetensors"))) or "none"
        raise MissingWeights(
            f"{path} holds no {wanted or DIFFUSERS_WEIGHTS}: name one of its .safetensors files ({names}) by weight_name"
        )
    missing = f"no LoRA at {source}: correct the path"
    if str(source).startswith((".", "/", "~")) or str(source).count("/") != 1 or path.suffix == ".safetensors":
        raise MissingWeights(missing)
    try:
        return Path(hf_hub_download(str(source), wanted or DIFFUSERS_WEIGHTS, **options))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise MissingWeights(f"{missing}. As a hub id it could not be fetched: {error}") from error

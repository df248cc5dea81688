"""Files of whole Wan transformers in three dialects: told apart, held against what such a transformer consists of, renamed.

| dialect | who writes it | a key |
| --- | --- | --- |
| diffusers | `save_pretrained` of diffusers | `blocks.0.attn1.to_q.weight` |
| original | Wan's own repository, ComfyUI's `diffusion_models` | `blocks.0.self_attn.q.weight` |
| comfy | ComfyUI's whole checkpoints | `model.diffusion_model.blocks.0.self_attn.q.weight` |
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from diffusers import WanTransformer3DModel

from media.user_error import UserError
from media.weights import eight_bits
from omnihuman.wan.dialects.names import PREFIXES, bare, key_to_diffusers, key_to_original
from omnihuman.wan.dialects.tensor_files import StoredBytes, TensorFile

TransformerDialect = Literal["diffusers", "original", "comfy"]
TRANSFORMER_DIALECTS: tuple[TransformerDialect, ...] = get_args(TransformerDialect)
HEAD_DIM = 128  # of every published Wan
# What programs put beside a weight of eight bits: it times this is the weight. And ComfyUI's mark of such a file.
SCALES = (".scale_weight", ".weight_scale", ".scale_input", ".input_scale")
MARKS = ("scaled_fp8",)
# Width, blocks, channels in, whether a picture is embedded (Wan2.1's and Wan2.2's published config.json).
PUBLISHED = {
    (1536, 30, 16, False): "Wan2.1-T2V-1.3B", (5120, 40, 16, False): "Wan2.1-T2V-14B or Wan2.2-T2V-A14B", (5120, 40, 36, True): "Wan2.1-I2V-14B",
    (5120, 40, 36, False): "Wan2.2-I2V-A14B", (3072, 30, 48, False): "Wan2.2-TI2V-5B",
}  # fmt: skip


class TransformerFileError(UserError, ValueError):
    """A file that cannot be taken for a Wan transformer, or not be written in a dialect; the message names keys and remedy."""


@dataclass(frozen=True)
class TransformerFile:
    """A whole transformer, whatever its dialect.

    Attributes:
        source: file or folder.
        dialect: in which it is.
        tensors: by diffusers' key.
        scales: of weights in eight bits, by diffusers' name of the module and what follows it.
        marks: tensors that say something of the file.
        foreign: keys of nothing that Wan's transformer has.
    """

    source: Path
    dialect: TransformerDialect
    tensors: dict[str, StoredBytes]
    scales: dict[str, StoredBytes]
    marks: dict[str, StoredBytes]
    foreign: tuple[str, ...]

    def kinds(self) -> dict[str, int]:
        """Number of tensors by kind of number."""
        return dict(Counter(stored.dtype for stored in self.tensors.values()))

    def config(self) -> dict[str, Any]:
        """Arguments of diffusers' `WanTransformer3DModel` that the shapes tell.

        Raises:
            TransformerFileError: what tells them is missing.
        """
        try:
            return _config_of({key: stored.shape for key, stored in self.tensors.items()})
        except KeyError as error:
            raise TransformerFileError(
                f"{self.source} lacks {error}, from which a Wan transformer's size is read: fetch it again"
            ) from error

    def whole_config(self) -> dict[str, Any]:
        """`config`, where the shapes tell the number of heads too.

        Raises:
            TransformerFileError: they do not, or what tells sizes is missing.
        """
        config = self.config()
        if config["attention_head_dim"] != HEAD_DIM:
            raise TransformerFileError(
                f"{self.source} has a width that no published Wan has, so its number of heads is not known: put its config.json beside it"
            )
        return config

    def compared(self) -> tuple[list[str], list[str]]:
        """Keys that are missing, and those that have another shape than the transformer of these sizes has."""
        with torch.device("meta"):
            expected = WanTransformer3DModel(**self.config()).state_dict()
        missing = [key for key in expected if key not in self.tensors]
        other = [k for k, s in self.tensors.items() if k in expected and tuple(expected[k].shape) != s.shape]
        return missing, other

    def model(self) -> str:
        """Which published transformer has these sizes, or the sizes."""
        config = self.config()
        width = config["num_attention_heads"] * config["attention_head_dim"]
        sizes = (width, config["num_layers"], config["in_channels"], config["image_dim"] is not None)
        return PUBLISHED.get(
            sizes, f"a Wan of width {width}, {config['num_layers']} blocks, {config['in_channels']} channels in"
        )


def sort_keys(source: Path, files: list[TensorFile]) -> TransformerFile:
    """Tell the dialect of a transformer's files and sort their tensors.

    Raises:
        TransformerFileError: keys of two dialects, or none of Wan's.
    """
    stored = {name: tensor for file in files for name, tensor in file.tensors.items()}
    of: dict[TransformerDialect, list[str]] = {"diffusers": [], "original": [], "comfy": []}
    foreign, scales, marks, tensors, same = [], {}, {}, {}, []
    for name, tensor in stored.items():
        own = bare(name)
        weight, scale = _without_scale(own)
        if own in MARKS:
            marks[own] = tensor
            continue
        as_diffusers = key_to_diffusers(weight)
        if as_diffusers is None and name == own and key_to_original(weight):
            of["diffusers"].append(name)
            as_diffusers = weight
        elif as_diffusers is not None and name != own:
            of["comfy" if name.startswith(PREFIXES[0]) else "original"].append(name)
        elif as_diffusers is not None and as_diffusers != weight:
            of["original"].append(name)
        elif as_diffusers is not None:
            same.append(name)
        else:
            foreign.append(name)
            continue
        if scale:
            scales[as_diffusers.removesuffix(".weight") + scale] = tensor
        else:
            tensors[as_diffusers] = tensor
    found = [dialect for dialect, names in of.items() if names]
    if len(found) > 1:
        both = " and ".join(f"{dialect} keys ({of[dialect][0]})" for dialect in found)
        raise TransformerFileError(f"{source} mixes {both}: it was put together by hand; take the file of one tool")
    if not found:
        raise TransformerFileError(
            f"{source} holds no block of a Wan transformer, such as blocks.0.self_attn.q.weight; its keys are like "
            f"{', '.join([*same, *foreign][:3]) or 'none'}. Is it of another model?"
        )
    return TransformerFile(source, found[0], tensors, scales, marks, tuple(foreign))


def renamed(file: TransformerFile, dialect: TransformerDialect) -> dict[str, StoredBytes]:
    """A transformer's tensors by a dialect's keys, in the order of their bytes.

    Raises:
        TransformerFileError: keys that Wan's transformer does not have, whose names in the other dialect nobody knows; or weights of eight bits
            for diffusers, which has no place for their scales.
    """
    if file.foreign:
        shown = ", ".join(file.foreign[:4])
        raise TransformerFileError(
            f"{file.source} holds {len(file.foreign)} keys that Wan2.1's transformer does not have ({shown}): what they are called in {dialect} keys is "
            "not known, and without them it would be another network. If they are scales of small numbers, take the file in bfloat16"
        )
    small = {key: stored.dtype for key, stored in file.tensors.items() if stored.dtype.startswith("F8")}
    if dialect == "diffusers" and (small or file.scales):
        raise TransformerFileError(eight_bits(file.source, small or {key: s.dtype for key, s in file.scales.items()}))
    if file.marks and small and not file.scales:
        raise TransformerFileError(
            f"{file.source} says by {next(iter(file.marks))} that its {len(small)} weights of eight bits have scales, and holds none: without them they are "
            "other numbers. Take the file with its scales"
        )
    prefix = PREFIXES[0] if dialect == "comfy" else ""
    out = {}
    for key, stored in {**file.tensors, **file.scales}.items():
        weight, scale = _without_scale(key)
        own = key if dialect == "diffusers" else f"{prefix}{key_to_original(weight)}"
        out[own.removesuffix(".weight") + scale if scale else own] = stored
    out |= {f"{prefix}{mark}": stored for mark, stored in file.marks.items()}
    return dict(sorted(out.items(), key=lambda item: (str(item[1].file), item[1].start)))


def original_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config.json` as Wan's own repository has it, of diffusers' arguments."""
    return {
        "_class_name": "WanModel", "model_type": "t2v" if config["image_dim"] is None else "i2v",
        "dim": config["num_attention_heads"] * config["attention_head_dim"], "num_heads": config["num_attention_heads"],
        "num_layers": config["num_layers"], "ffn_dim": config["ffn_dim"], "freq_dim": config["freq_dim"], "text_dim": config["text_dim"],
        "in_dim": config["in_channels"], "out_dim": config["out_channels"], "patch_size": list(config["patch_size"]), "eps": 1e-6,
        "text_len": 512,
    }  # fmt: skip


def _without_scale(key: str) -> tuple[str, str]:
    """The weight that a key is of, and, of a scale, what follows its module."""
    scale = next((scale for scale in SCALES if key.endswith(scale)), "")
    return (key.removesuffix(scale) + ".weight", scale) if scale else (key, "")


def _config_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    width, channels, *patch = shapes["patch_embedding.weight"]
    blocks = {int(key.split(".")[1]) for key in shapes if key.startswith("blocks.")}
    image = shapes.get("condition_embedder.image_embedder.norm1.weight")
    out = shapes["proj_out.weight"][0]
    for size in patch:
        out //= size
    head = (
        HEAD_DIM if width % HEAD_DIM == 0 else width
    )  # a width that no published one has: shapes are the same with any number of heads
    return {
        "patch_size": tuple(patch), "num_attention_heads": width // head, "attention_head_dim": head, "in_channels": channels, "out_channels": out,
        "text_dim": shapes["condition_embedder.text_embedder.linear_1.weight"][1],
        "freq_dim": shapes["condition_embedder.time_embedder.linear_1.weight"][1],
        "ffn_dim": shapes["blocks.0.ffn.net.0.proj.weight"][0], "num_layers": 1 + max(blocks),
        "cross_attn_norm": "blocks.0.norm2.weight" in shapes,
        "qk_norm": "rms_norm_across_heads" if "blocks.0.attn1.norm_q.weight" in shapes else None,
        "image_dim": image[0] if image else None,
        "added_kv_proj_dim": width if "blocks.0.attn2.add_k_proj.weight" in shapes else None,
    }  # fmt: skip

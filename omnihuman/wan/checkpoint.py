"""Official Wan transformers on disk, in diffusers' layout or Wan's original one."""

from pathlib import Path
from typing import Any

from diffusers import WanTransformer3DModel

from media.user_error import some_of
from omnihuman.bases.checkpoint import (
    SHOWN,
    Checkpoint,
    CheckpointError,
    locate,
    read_configuration,
    read_headers,
    refused,
    weight_files,
)
from omnihuman.bases.weights import own_arguments, plain_configuration
from omnihuman.wan.dialects.names import bare, key_to_diffusers
from omnihuman.wan.dialects.tensor_files import read_header
from omnihuman.wan.dialects.transformers import sort_keys

WAN_CONFIG = own_arguments(WanTransformer3DModel)
OWN = "OmniHumanTransformer3DModel"
# What the published classes are called in `_class_name`, and how such a folder is laid out.
LAYOUTS = {"WanTransformer3DModel": "diffusers", "WanModel": "original"}
# Keys of a configuration that the class does not take and that change nothing: the published repository's own, and what the class took while it was
# developed (huggingface/diffusers, pull request 10926).
UNREAD = ("model_type", "window_size", "add_img_emb")
# Text to video, image to video, and Wan2.2's 5B, which is both.
KINDS = ("t2v", "i2v", "ti2v")
NAME, EXAMPLE = "Wan2.1", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"


def open_wan(path_or_id: str | Path) -> Checkpoint:
    """Find a checkpoint's configuration and the headers of its weights.

    Args:
        path_or_id: a folder with `config.json` and safetensors; a pipeline's folder with such a `transformer` folder; one file of
            safetensors, whose sizes its shapes tell where no `config.json` is beside it; or a hub id of either layout. Keys are
            diffusers', Wan's own, or these with ComfyUI's prefix.

    Raises:
        MissingWeights: nothing there.
        CheckpointError: no configuration of a Wan2.1 text- or image-to-video model, files that are absent or cut off, numbers in
            eight bits (but fp8 beside its scale, `omnihuman.bases.scales`), GGUF, or a pickle.
        TensorFileError, TransformerFileError: one file without a configuration that is cut off, or no Wan transformer's.
    """
    source = locate(path_or_id, NAME, EXAMPLE)
    folder = source if source.is_dir() else source.parent
    if source.is_file() and not (folder / "config.json").is_file():
        found = sort_keys(source, [read_header(source)])
        layout, config = "diffusers" if found.dialect == "diffusers" else "original", found.whole_config()
    else:
        layout, config = _configuration(folder / "config.json")
    stored, problems = read_headers(folder, weight_files(source))
    if problems:
        raise refused(source, NAME, problems)
    # By each key's own name: files of other tools are found beside a config.json of diffusers' too.
    renamed = {key_to_diffusers(bare(name)) or name: part for name, part in stored.items()}
    if len(renamed) < len(stored):
        kept = {part.name for part in renamed.values()}
        twice = some_of([name for name in stored if name not in kept], SHOWN)
        raise refused(source, NAME, [f"it holds keys under the names of two tools, {twice} among them"])
    return Checkpoint(source, layout, config, renamed, WanTransformer3DModel, NAME)


def _configuration(path: Path) -> tuple[str, dict[str, Any]]:
    if not path.is_file():
        raise CheckpointError(f"{path} is missing: put the checkpoint's own config.json there")
    config = read_configuration(path)
    name, kind = config.get("_class_name"), config.get("model_type", "t2v")
    if name == OWN:
        raise CheckpointError(
            f"{path} is of an OmniHuman model already: OmniHumanTransformer3DModel.from_pretrained reads it"
        )
    if name not in LAYOUTS or kind not in KINDS:
        raise CheckpointError(
            f"{path}: _class_name {name!r}, model_type {kind!r}; Wan2.1 text-to-video and image-to-video can be loaded "
            f"(_class_name one of {sorted(LAYOUTS)}, model_type 't2v' or 'i2v')"
        )
    if LAYOUTS[name] == "original":
        return "original", from_original(config, path)
    return "diffusers", plain_configuration(config, path, WanTransformer3DModel, UNREAD)


def from_original(config: dict[str, Any], path: Path) -> dict[str, Any]:
    """Wan's own argument names to diffusers'. What Wan2.1's code has as constants (CLIP width 1280) stays constant."""
    needed = ("dim", "num_heads", "num_layers", "ffn_dim")
    absent = [name for name in needed if name not in config]
    if absent:
        raise CheckpointError(f"{path} lacks {absent}: put the checkpoint's own config.json there")
    dim, image = config["dim"], config.get("model_type") == "i2v"
    return {
        "patch_size": tuple(config.get("patch_size", (1, 2, 2))),
        "num_attention_heads": config["num_heads"],
        "attention_head_dim": dim // config["num_heads"],
        "in_channels": config.get("in_dim", 16),
        "out_channels": config.get("out_dim", 16),
        "text_dim": config.get("text_dim", 4096),
        "freq_dim": config.get("freq_dim", 256),
        "ffn_dim": config["ffn_dim"],
        "num_layers": config["num_layers"],
        "cross_attn_norm": config.get("cross_attn_norm", True),
        "qk_norm": "rms_norm_across_heads" if config.get("qk_norm", True) else None,
        "eps": config.get("eps", 1e-6),
        "image_dim": 1280 if image else None,
        "added_kv_proj_dim": dim if image else None,
    }

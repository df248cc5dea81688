"""Wan's modules under the names of its own code and of diffusers', both ways.

Wan2.1's code (`wan/modules/model.py`) names a block's parts `self_attn.q`, `cross_attn.k_img`, `ffn.0`; diffusers' `WanTransformer3DModel` names
them `attn1.to_q`, `attn2.add_k_proj`, `ffn.net.0.proj`. Kohya's trainers write Wan's names with `_` for every dot.
"""

import re

_ATTENTION = {
    "q": "to_q", "k": "to_k", "v": "to_v", "o": "to_out.0", "norm_q": "norm_q", "norm_k": "norm_k",
    "k_img": "add_k_proj", "v_img": "add_v_proj", "norm_k_img": "norm_added_k",
}  # fmt: skip
# Of a block, and of what stands outside them. The norm before cross-attention is Wan's third and diffusers' second; the others have no weights.
IN_BLOCK = (
    {f"self_attn.{own}": f"attn1.{theirs}" for own, theirs in _ATTENTION.items() if "img" not in own}
    | {f"cross_attn.{own}": f"attn2.{theirs}" for own, theirs in _ATTENTION.items()}
    | {"ffn.0": "ffn.net.0.proj", "ffn.2": "ffn.net.2", "norm3": "norm2", "modulation": "scale_shift_table"}
)
OUTSIDE = {
    "patch_embedding": "patch_embedding", "head.head": "proj_out", "head.modulation": "scale_shift_table",
    "time_embedding.0": "condition_embedder.time_embedder.linear_1", "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1", "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "img_emb.proj.0": "condition_embedder.image_embedder.norm1", "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
    "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2", "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
    "img_emb.emb_pos": "condition_embedder.image_embedder.pos_embed",
}  # fmt: skip
_TO_DIFFUSERS = (IN_BLOCK, OUTSIDE)
_TO_ORIGINAL = tuple({theirs: own for own, theirs in table.items()} for table in _TO_DIFFUSERS)
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_FLAT_BLOCK = re.compile(r"blocks_(\d+)_(.+)")
_FLAT = tuple({own.replace(".", "_"): own for own in table} for table in _TO_DIFFUSERS)
# diffusers' names of modules of MMDiTs (HunyuanVideo, HunyuanVideo-1.5, Stable Diffusion 3), whose makers' own names nobody needs here.
_OF_MMDIT = re.compile(
    r"(?:single_)?transformer_blocks\.\d+\..+|(?:context_embedder|context_embedder_2|time_text_embed|time_embed|norm_out|x_embedder)\..+"
)
PARTS_OF_A_MODULE = (".weight", ".bias")
# What ComfyUI writes before Wan's own names in the file of a whole checkpoint, and in that of a transformer alone.
PREFIXES = ("model.diffusion_model.", "diffusion_model.")


def bare(key: str) -> str:
    """A key without ComfyUI's prefix."""
    for prefix in PREFIXES:
        if key.startswith(prefix):
            return key.removeprefix(prefix)
    return key


def to_diffusers(module: str) -> str | None:
    """A module or parameter by Wan's name to diffusers' name of it; None for what Wan's transformer does not have."""
    return _renamed(module, *_TO_DIFFUSERS)


def to_original(module: str) -> str | None:
    """A module or parameter by diffusers' name to Wan's name of it; None for what Wan's transformer does not have."""
    return _renamed(module, *_TO_ORIGINAL)


def own_name(module: str) -> str | None:
    """The name under which a module of any base stands in an adapter: Wan's own of Wan's, diffusers' of an MMDiT's; None for what no base has."""
    return to_original(module) or (module if _OF_MMDIT.fullmatch(module) else None)


def diffusers_name(own: str) -> str:
    """Back again: what diffusers calls a module."""
    return to_diffusers(own) or own


def key_to_diffusers(key: str) -> str | None:
    """A weight's key likewise: `blocks.0.self_attn.q.weight` to `blocks.0.attn1.to_q.weight`."""
    return _renamed_key(key, *_TO_DIFFUSERS)


def key_to_original(key: str) -> str | None:
    """A weight's key likewise: `blocks.0.attn1.to_q.weight` to `blocks.0.self_attn.q.weight`."""
    return _renamed_key(key, *_TO_ORIGINAL)


def flattened(module: str) -> str:
    """Wan's name as kohya's trainers write it: `blocks_0_self_attn_q`."""
    return module.replace(".", "_")


def unflattened(flat: str) -> str | None:
    """Wan's name of a flattened one; None where no module of Wan's is called so."""
    block = _FLAT_BLOCK.fullmatch(flat)
    if block:
        inner = _FLAT[0].get(block[2])
        return f"blocks.{block[1]}.{inner}" if inner else None
    return _FLAT[1].get(flat)


def _renamed(module: str, in_block: dict[str, str], outside: dict[str, str]) -> str | None:
    block = _BLOCK.fullmatch(module)
    if block:
        inner = in_block.get(block[2])
        return f"blocks.{block[1]}.{inner}" if inner else None
    return outside.get(module)


def _renamed_key(key: str, in_block: dict[str, str], outside: dict[str, str]) -> str | None:
    part = next((part for part in PARTS_OF_A_MODULE if key.endswith(part)), "")
    module = _renamed(key.removesuffix(part), in_block, outside)
    return None if module is None else module + part

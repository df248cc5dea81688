"""The transformer's files: an official Wan2.1 checkpoint in and out, and what this project saved itself."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, Literal, Self, overload

import torch
from diffusers import WanTransformer3DModel

from media.weights import COMPUTED, check_numbers, refuse_pickles
from omnihuman.block import OmniHumanBlock
from omnihuman.deferred_imports import deferring
from omnihuman.digests import forget_source
from omnihuman.wan.checkpoint import WanLoadReport
from omnihuman.wan.weights import (
    REMEDY,
    check_loading_info,
    empty_for_wan,
    load_new_parts,
    load_wan_part,
    save_wan_part,
    settle_new_parts,
)


class StoredTransformer(WanTransformer3DModel):
    """The part of `OmniHumanTransformer3DModel` that is read and written."""

    @abstractmethod
    def _build_new_parts(self) -> None:
        """Make the modules outside the blocks that Wan does not have, with the values that training starts from."""

    @overload
    @classmethod
    def from_wan(
        cls,
        path_or_id: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        return_report: Literal[False] = False,
        **new_parts: Any,
    ) -> Self: ...

    @overload
    @classmethod
    def from_wan(
        cls,
        path_or_id: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        return_report: Literal[True],
        **new_parts: Any,
    ) -> tuple[Self, WanLoadReport]: ...

    @classmethod
    def from_wan(
        cls,
        path_or_id: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        return_report: bool = False,
        **new_parts: Any,
    ) -> Self | tuple[Self, WanLoadReport]:
        """Start from an official Wan2.1 transformer, key for key. Only the new parts are initialised.

        Args:
            path_or_id: diffusers' or Wan's original layout; see `omnihuman.wan.checkpoint.open_wan`.
            torch_dtype: None keeps each weight's dtype in the file. What Wan keeps in float32 is float32 either way.
            return_report: also return which keys were loaded and which are new.
            new_parts: OmniHuman's own configuration (`audio_dim` and so on).

        Raises:
            FileNotFoundError: nothing there.
            WanCheckpointError: (a ValueError) a published key is missing, left over or has another shape, a file is cut off
                or absent, or it is another kind of model; all at once, with the remedy.
        """
        model, checkpoint, report = empty_for_wan(cls, path_or_id, new_parts)
        load_wan_part(model, checkpoint, report, torch_dtype)
        model._build_new_parts()
        config = model.config
        dim = config.num_attention_heads * config.attention_head_dim
        for block in model.blocks:
            assert isinstance(block, OmniHumanBlock)
            block.build_new_parts(dim, config.num_attention_heads, config.eps, block.audio_attn is not None)
        settle_new_parts(model, checkpoint.dtype_of("patch_embedding.weight", torch_dtype))
        return (model, report) if return_report else model

    @classmethod
    def inspect_wan(cls, path_or_id: str | Path, **new_parts: Any) -> WanLoadReport:
        """What `from_wan` would load, from the headers alone: seconds and no memory for 14B. Raises the same."""
        return empty_for_wan(cls, path_or_id, new_parts)[2]

    @classmethod
    @deferring()
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        """As diffusers', but a key that is missing or left over is an error there and not a warning.

        Raises:
            WanCheckpointError: (a ValueError) with the place and the keys.
            WrongWeights: pickles, numbers in eight bits, or a file that is cut off.
        """
        wanted = kwargs.pop("output_loading_info", False)
        refuse_pickles(pretrained_model_name_or_path)
        check_numbers(pretrained_model_name_or_path, REMEDY, COMPUTED)
        ours = {"output_loading_info": True, "ignore_mismatched_sizes": True, "use_safetensors": True}
        model, info = super().from_pretrained(pretrained_model_name_or_path, **kwargs | ours)
        check_loading_info(pretrained_model_name_or_path, info)
        forget_source(model)
        return (model, info) if wanted else model

    def load_new_parts(self, file: str | Path) -> None:
        """Read OmniHuman's own weights, which lie beside a stage's adapter, into a model that stands on Wan's (`from_wan`).

        Raises:
            MissingWeights: no such file.
            WrongWeights: (a ValueError) they are of another configuration.
        """
        load_new_parts(self, Path(file))

    def save_wan(self, folder: str | Path) -> None:
        """Write Wan's part alone, so that diffusers' `WanTransformer3DModel.from_pretrained(folder)` reads it.

        Raises:
            FileExistsError: the folder holds something.
            InputError: LoRA adapters are attached.
        """
        save_wan_part(self, Path(folder))

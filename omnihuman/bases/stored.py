"""A transformer's files: what its base published in and out, and what this project saved itself."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, overload

import torch
from diffusers import ModelMixin

from media.weights import COMPUTED, check_numbers, refuse_pickles
from omnihuman.bases.checkpoint import Checkpoint, LoadReport
from omnihuman.bases.quantised import mend_zero_rows, refuse_quantised
from omnihuman.bases.weights import (
    REMEDY,
    check_loading_info,
    empty_for_base,
    load_base_part,
    load_new_parts,
    open_published,
    save_base_part,
    settle_new_parts,
)
from omnihuman.deferred_imports import deferring
from omnihuman.digests import forget_source


class StoredModel(ModelMixin):
    """The part of every OmniHuman transformer that is read and written.

    Attributes:
        published: diffusers' class, whose keys and configuration stay as they are.
        base_name, example: what the base is called, and a hub id that has it.
        edge: key of the first weight that latents meet; new parts get its dtype.
    """

    published: ClassVar[Any]
    base_name: ClassVar[str]
    example: ClassVar[str]
    edge: ClassVar[str]

    @classmethod
    def open_base(cls, path_or_id: str | Path) -> Checkpoint:
        """Find a published checkpoint's configuration and headers, in diffusers' layout.

        Raises:
            MissingWeights: nothing there.
            CheckpointError: another class, a configuration that it does not take, files that are absent or cut off.
        """
        return open_published(path_or_id, cls.published, cls.base_name, cls.example)

    @abstractmethod
    def build_new_parts(self) -> None:
        """Make the modules that the base does not have, with the values that training starts from."""

    def build_tables(self) -> None:
        """Make what no checkpoint holds and every model of a configuration has alike."""

    @overload
    @classmethod
    def from_base(
        cls,
        path_or_id: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        return_report: Literal[False] = False,
        **new_parts: Any,
    ) -> Self: ...

    @overload
    @classmethod
    def from_base(
        cls,
        path_or_id: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        return_report: Literal[True],
        **new_parts: Any,
    ) -> tuple[Self, LoadReport]: ...

    @classmethod
    def from_base(
        cls,
        path_or_id: str | Path,
        *,
        torch_dtype: torch.dtype | None = None,
        return_report: bool = False,
        **new_parts: Any,
    ) -> Self | tuple[Self, LoadReport]:
        """Start from a published transformer, key for key. Only the new parts are initialised.

        Args:
            path_or_id: a folder of the transformer or of its pipeline, or a hub id.
            torch_dtype: None keeps each weight's dtype in the file. What the base keeps in float32 is float32 either way.
            return_report: also return which keys were loaded and which are new.
            new_parts: OmniHuman's own configuration (`audio_dim` and so on).

        Raises:
            FileNotFoundError: nothing there.
            CheckpointError: (a ValueError) a published key is missing, left over or has another shape, a file is cut off
                or absent, or it is another kind of model; all at once, with the remedy.
        """
        model, checkpoint, report = empty_for_base(cls, path_or_id, new_parts)
        load_base_part(model, checkpoint, report, torch_dtype)
        model.build_tables()
        model.build_new_parts()
        settle_new_parts(model, checkpoint.dtype_of(cls.edge, torch_dtype))
        return (model, report) if return_report else model

    @classmethod
    def inspect_base(cls, path_or_id: str | Path, **new_parts: Any) -> LoadReport:
        """What `from_base` would load, from the headers alone: seconds and no memory for 14B. Raises the same."""
        return empty_for_base(cls, path_or_id, new_parts)[2]

    @classmethod
    @deferring()
    def from_pretrained(cls, pretrained_model_name_or_path: Any, **kwargs: Any) -> Any:
        """As diffusers', but a key that is missing or left over is an error there and not a warning.

        Raises:
            CheckpointError: (a ValueError) with the place and the keys.
            WrongWeights: pickles, numbers in eight bits, or a file that is cut off.
        """
        wanted = kwargs.pop("output_loading_info", False)
        refuse_pickles(pretrained_model_name_or_path)
        check_numbers(pretrained_model_name_or_path, REMEDY, COMPUTED)
        ours = {"output_loading_info": True, "ignore_mismatched_sizes": True, "use_safetensors": True}
        model, info = super().from_pretrained(pretrained_model_name_or_path, **kwargs | ours)
        check_loading_info(pretrained_model_name_or_path, info)
        forget_source(model)
        mend_zero_rows(model)  # where the caller gave a quantization_config
        return (model, info) if wanted else model

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """As diffusers', of whole weights.

        Raises:
            InputError: they are in 8 bits (`omnihuman.bases.quantised`).
        """
        refuse_quantised(self, "saving")
        super().save_pretrained(save_directory, *args, **kwargs)

    def load_new_parts(self, file: str | Path) -> None:
        """Read OmniHuman's own weights, which lie beside a stage's adapter, into a model that stands on its base's (`from_base`).

        Raises:
            MissingWeights: no such file.
            WrongWeights: (a ValueError) they are of another configuration.
        """
        load_new_parts(self, Path(file))

    def save_base(self, folder: str | Path) -> None:
        """Write the base's part alone, so that diffusers' own class reads it.

        Raises:
            FileExistsError: the folder holds something.
            InputError: LoRA adapters are attached, or the weights are in 8 bits.
        """
        refuse_quantised(self, "saving")
        save_base_part(self, Path(folder))

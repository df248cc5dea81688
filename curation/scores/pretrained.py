"""Networks of transformers that a score takes by path: a folder in the library's own layout, safetensors only."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from curation.errors import CurationError
from media import sha256_while_unchanged
from media.weights import WrongWeights, load_network, refuse_pickles

Loaded = TypeVar("Loaded")


def model_folder(source: str, key: str, example: str) -> Path:
    """The folder that a profile names.

    Args:
        source: as it stands in the profile.
        key: the profile key, for the message.
        example: a published model of the kind.

    Raises:
        CurationError: it holds no config.json with safetensors, or pickles instead.
    """
    path = Path(source)
    try:
        refuse_pickles(path)
    except WrongWeights as error:
        raise CurationError(f"{key}: {error}") from error
    if not (path / "config.json").is_file() or not list(path.glob("*.safetensors")):
        raise CurationError(
            f"{key} is {source!r} and that is no folder with config.json and safetensors; download one such as {example} "
            "(`hf download NAME --local-dir FOLDER`), or set it to null"
        )
    return path


def folder_version(path: Path, suffixes: tuple[str, ...] = (".json", ".safetensors")) -> str:
    """12 hex over the folder's JSON and safetensors: weights, labels and how pictures or sound are prepared."""
    files = sorted(p for p in path.iterdir() if p.suffix in suffixes)
    parts = "".join(f"{file.name} {sha256_while_unchanged(file)}\n" for file in files)
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


def loaded(path: str | Path, key: str, kind: str, load: Callable[[str], Loaded]) -> Loaded:
    """What `load` makes of the folder; no code in it is run and nothing is downloaded.

    Raises:
        CurationError: the folder holds something else than a `kind`.
    """
    try:
        return load(str(path))
    except Exception as error:  # transformers raises a wide family here
        raise CurationError(f"{key}: {path} cannot be loaded as {kind} ({error}); download it again") from error


FROM_DISK: dict[str, Any] = {"local_files_only": True}  # concrete classes run no code of a folder


def whole_network(model_class: Any, path: str, device: str, may_differ: Sequence[str] = ()) -> Any:
    """A network in evaluation mode on a device, that holds the files' weights and no others.

    Args:
        model_class: of transformers.
        path: of the folder.
        device: where it computes; what is given to it goes there.
        may_differ: patterns that begin the names of weights that files have or lack, as nothing computes with them.

    Raises:
        media.weights.WrongWeights: other weights.
    """
    tables = (r".*position_ids$",)  # numbers from 0 on, which transformers once kept in files
    network = load_network(
        model_class, path, "download it again", may_lack=may_differ, may_have=(*may_differ, *tables), **FROM_DISK
    )
    return network.eval().to(device)

"""Networks of transformers that a score takes by path: a folder in the library's own layout, safetensors only."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from curation.tables.storage import CurationError
from media import sha256_while_unchanged

Loaded = TypeVar("Loaded")


def model_folder(source: str, key: str, example: str) -> Path:
    """The folder that a profile names.

    Args:
        source: as it stands in the profile.
        key: the profile key, for the message.
        example: a published model of the kind.

    Raises:
        CurationError: it holds no config.json with safetensors.
    """
    path = Path(source)
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


def whole_network(model_class: Any, path: str, unused: str = "\0") -> Any:
    """A network in evaluation mode whose every weight was in the files, but for those whose name begins with `unused`.

    Raises:
        ValueError: some weights are missing or have other shapes; transformers would fill them with random numbers.
    """
    network, report = model_class.from_pretrained(path, use_safetensors=True, output_loading_info=True, **FROM_DISK)
    wrong = sorted(report["missing_keys"]) + sorted(str(entry[0]) for entry in report["mismatched_keys"])
    wrong = [name for name in wrong if not name.startswith(unused)]
    if wrong:
        raise ValueError(f"its files lack {len(wrong)} weights, such as {wrong[0]}")
    return network.eval()

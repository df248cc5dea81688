"""What a file of weights is, and the same weights as another tool reads them: `omnihuman weights inspect` and `convert`."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from media.files import whole_directory, write_atomically
from media.user_error import some_of
from omnihuman.bases.checkpoint import WEIGHTS, weight_files
from omnihuman.errors import InputError, MissingWeights
from omnihuman.wan.checkpoint import WAN_CONFIG, from_original
from omnihuman.wan.dialects.adapter_writing import written_as
from omnihuman.wan.dialects.adapters import (
    ADAPTER_DIALECTS,
    PEFT_CONFIG,
    PEFT_WEIGHTS,
    SHOWN,
    Adapter,
    is_adapter,
    read_adapter,
)
from omnihuman.wan.dialects.formats import gguf_architecture, is_pickle
from omnihuman.wan.dialects.names import to_diffusers
from omnihuman.wan.dialects.tensor_files import read_header, write_tensors
from omnihuman.wan.dialects.transformers import (
    TRANSFORMER_DIALECTS,
    TransformerFile,
    original_config,
    renamed,
    sort_keys,
)

DIALECTS = tuple(dict.fromkeys((*TRANSFORMER_DIALECTS, *ADAPTER_DIALECTS)))
_WIDTHS = {1536: "Wan2.1-1.3B", 5120: "Wan2.1-14B or Wan2.2-A14B", 3072: "Wan2.2-TI2V-5B"}
Told = Callable[[int], None]


@dataclass(frozen=True)
class FileReport:
    """What a file of weights is.

    Attributes:
        source: file or folder.
        what: "transformer", "lora" or "gguf".
        dialect: whose keys it has.
        model: the published model that it is, or is for.
        kinds: number of tensors by kind of number.
        ranks: of a LoRA, number of modules by rank.
        alphas: of a LoRA, number of modules by alpha.
        alpha_from: where alpha stands.
        scales: keys of scales of small numbers.
        missing: keys that a whole transformer has and this has not.
        foreign: keys that are not Wan's, or have another shape.
        becomes: dialects that it can be converted to.
    """

    source: str
    what: str
    dialect: str
    model: str
    kinds: dict[str, int]
    ranks: dict[int, int] = field(default_factory=dict)
    alphas: dict[float, int] = field(default_factory=dict)
    alpha_from: str = ""
    scales: int = 0
    missing: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    becomes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether nothing is missing and nothing is left over."""
        return not self.missing and not self.foreign

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"whole": self.whole}

    def __str__(self) -> str:
        def counted(values: dict[Any, int]) -> str:
            return ", ".join(f"{value} ({count})" for value, count in sorted(values.items(), key=lambda i: -i[1]))

        named = {
            "lora": "LoRA of a transformer",
            "transformer": "Wan transformer",
            "gguf": "GGUF file of quantised weights",
        }
        rows = [("what", f"{named[self.what]}, {self.dialect} keys"), ("model", self.model)]
        if self.what == "lora":
            places = {
                "rank": "said nowhere, so taken as the rank",
                "tensors": "from beside the matrices",
                "you": "given by you",
            }
            rows += [("rank", counted(self.ranks)), ("alpha", f"{counted(self.alphas)}, {places.get(self.alpha_from, 'from ' + self.alpha_from)}")]  # fmt: skip
        rows += [("numbers", counted(self.kinds)), ("scales", str(self.scales) if self.scales else "")]
        rows += [("missing", _some(self.missing)), ("foreign", _some(self.foreign))]
        rows += [("converts to", ", ".join(self.becomes) or "nothing here")]
        return "\n".join([self.source, *(f"  {name:12s} {text}" for name, text in rows if text)])


def inspect_file(path: Path) -> FileReport:
    """Say what a file, or a folder of files, is; headers alone are read.

    Raises:
        MissingWeights: nothing there.
        InputError: a pickle.
        TensorFileError, AdapterError, TransformerFileError: what cannot be taken for anything.
    """
    opened = _open(path)
    if isinstance(opened, FileReport):
        return opened
    if isinstance(opened, Adapter):
        updates = opened.updates.values()
        written = ADAPTER_DIALECTS if all(map(to_diffusers, opened.updates)) else ("diffusers", "peft")
        kinds = Counter(half.dtype for update in updates for half in (update.down, update.up))
        return FileReport(
            str(path), "lora", opened.dialect, _model_of(opened), dict(kinds),
            ranks=dict(Counter(update.rank for update in updates)), alphas=dict(Counter(update.alpha for update in updates)),
            alpha_from=opened.alpha_from, becomes=tuple(d for d in written if d != opened.dialect),
        )  # fmt: skip
    missing, misshapen = opened.compared()
    small = bool(opened.scales) or any(kind.startswith("F8") for kind in opened.kinds())
    becomes = [d for d in TRANSFORMER_DIALECTS if d != opened.dialect and not (small and d == "diffusers")]
    return FileReport(
        str(path), "transformer", opened.dialect, opened.model(), opened.kinds(), scales=len(opened.scales), missing=tuple(missing),
        foreign=(*opened.foreign, *misshapen), becomes=() if opened.foreign else tuple(becomes),
    )  # fmt: skip


def convert_file(path: Path, dialect: str, output: Path, alpha: float | None = None, told: Told = lambda done: None) -> list[Path]:  # fmt: skip
    """Write the weights of a file as another tool reads them, whole or not at all; no number is computed with.

    Args:
        path: a file or a folder.
        dialect: one of `DIALECTS` that fits what it is.
        output: a `.safetensors` file; or a folder, which gets the `config.json` that goes with the dialect, and as many files as there were.
        alpha: of a LoRA in which it is missing.
        told: is called with the bytes written so far.

    Returns:
        What was written.

    Raises: as `inspect_file`, and InputError for a dialect that it does not have and for an output that is there.
    """
    if output.exists():
        raise InputError(f"{output} is there already: name a new file or folder, or remove it first")
    opened = _open(path, alpha)
    if isinstance(opened, FileReport):
        raise InputError(
            f"{path} is a GGUF file, whose numbers are quantised in blocks: its keys alone cannot be converted. Take the model in bfloat16"
        )
    if isinstance(opened, Adapter):
        return _convert_adapter(opened, dialect, output, told)
    return _convert_transformer(opened, path, dialect, output, told)


def _convert_adapter(adapter: Adapter, dialect: str, output: Path, told: Told) -> list[Path]:
    if dialect not in ADAPTER_DIALECTS:
        raise InputError(
            f"{adapter.source} is a LoRA, which has the dialects {', '.join(ADAPTER_DIALECTS)}, not {dialect}"
        )
    tensors, metadata, config = written_as(adapter, dialect)
    if config is None:
        target = output if output.suffix == ".safetensors" else output / f"{adapter.source.stem}.safetensors"
        write_tensors(target, tensors, metadata, told)
        return [target]
    if output.suffix == ".safetensors":
        raise InputError(
            f"peft keeps a LoRA in a folder, {PEFT_WEIGHTS} with {PEFT_CONFIG}: give --output a folder, not {output.name}"
        )
    with whole_directory(output) as folder:
        write_tensors(folder / PEFT_WEIGHTS, tensors, metadata, told)
        (folder / PEFT_CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return [output / PEFT_WEIGHTS, output / PEFT_CONFIG]


def _convert_transformer(file: TransformerFile, path: Path, dialect: str, output: Path, told: Told) -> list[Path]:
    if dialect not in TRANSFORMER_DIALECTS:
        raise InputError(
            f"{path} is a whole transformer, which has the dialects {', '.join(TRANSFORMER_DIALECTS)}, not {dialect}"
        )
    missing, _ = file.compared()
    if missing:
        raise InputError(
            f"{path} lacks {len(missing)} keys of {file.model()}, {missing[0]} among them: fetch the other files of it too"
        )
    tensors = renamed(file, dialect)
    if output.suffix == ".safetensors":
        write_tensors(output, tensors, {}, told)
        return [output]
    config = _config(file, path)
    files = sorted({str(stored.file) for stored in tensors.values()})
    names = [WEIGHTS] if len(files) == 1 else [
        f"{Path(WEIGHTS).stem}-{i + 1:05d}-of-{len(files):05d}.safetensors" for i in range(len(files))
    ]  # fmt: skip
    done, places = 0, dict[str, str]()
    with whole_directory(output) as folder:
        for source, name in zip(files, names, strict=True):
            here = {key: stored for key, stored in tensors.items() if str(stored.file) == source}
            write_tensors(folder / name, here, {}, lambda more, before=done: told(before + more))  # type: ignore[misc]
            done += sum(stored.size for stored in here.values())
            places |= dict.fromkeys(here, name)
        if len(files) > 1:
            index = {"metadata": {"total_size": done}, "weight_map": places}
            write_atomically(folder / f"{WEIGHTS}.index.json", json.dumps(index, indent=2).encode())
        text = {"_class_name": "WanTransformer3DModel", **config} if dialect == "diffusers" else original_config(config)
        write_atomically(folder / "config.json", (json.dumps(text, indent=2) + "\n").encode())
    return [output / name for name in (*names, "config.json")]


def _config(file: TransformerFile, path: Path) -> dict[str, Any]:
    """Diffusers' arguments: of the file's own config.json, or read from the shapes."""
    beside = (path if path.is_dir() else path.parent) / "config.json"
    if beside.is_file():
        held = json.loads(beside.read_text())
        if held.get("_class_name") == "WanModel":
            return from_original(held, beside)
        if held.get("_class_name") == "WanTransformer3DModel":
            return {name: value for name, value in held.items() if name in WAN_CONFIG}
    return file.whole_config()


def _open(path: Path, alpha: float | None = None) -> FileReport | Adapter | TransformerFile:
    if not path.exists():
        raise MissingWeights(f"{path} is not there: give a file or folder of weights")
    if path.is_dir() and (path / PEFT_WEIGHTS).is_file():
        return read_adapter(path, alpha)
    if path.is_file():
        if (architecture := gguf_architecture(path)) is not None:
            return FileReport(str(path), "gguf", "its own", architecture, {})
        if is_pickle(path):
            raise InputError(
                f"{path} is a pickle, and reading one can run what its writer wanted: take the model as safetensors"
            )
    files = [path] if path.is_file() else _files_of_folder(path)
    headers = [read_header(file) for file in files]
    if len(headers) == 1 and is_adapter(headers[0]):
        return read_adapter(files[0], alpha)
    return sort_keys(path, headers)


def _files_of_folder(path: Path) -> list[Path]:
    folder = path / "transformer" if (path / "transformer" / "config.json").is_file() else path
    files = list(weight_files(folder))
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise MissingWeights(f"{folder} lacks {', '.join(absent)}, which its index names: fetch them too")
    return files


def _model_of(adapter: Adapter) -> str:
    """What a LoRA is for, by the width of what it adapts."""
    widths = {u.down.shape[1] for module, u in adapter.updates.items() if module.endswith(("_attn.q", "ffn.0"))}
    blocks = {int(module.split(".")[1]) for module in adapter.updates if module.startswith("blocks.")}
    if not all(map(to_diffusers, adapter.updates)):
        return f"an MMDiT by diffusers' names; {len(adapter.updates)} modules"
    width = next(iter(widths)) if len(widths) == 1 else None
    said = _WIDTHS.get(width or 0, f"a Wan of width {width}" if width else "a Wan whose width its modules do not tell")
    return f"{said}; {len(adapter.updates)} modules in {len(blocks)} blocks"


def _some(names: tuple[str, ...]) -> str:
    return f"{len(names)}: {some_of(names, SHOWN)}" if names else ""

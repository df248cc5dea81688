"""The one way in which weights come into a network: all of them, of its own names and shapes, or refused by name.

The libraries fill what a file lacks with random numbers, pass over what it has too much and cast eight-bit numbers without their
scales, with a warning at most. A network that came in here is what its file says.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from media.user_error import UserError, some_of

SHOWN = 5
# How libraries name weights that are pickles: reading one can run what its writer wanted.
PICKLES = frozenset({".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"})
CONVERT = (
    "take the model in safetensors from where it was published, or convert it (docs/guide/your-own-weights.md, Pickles)"
)
# What safetensors calls the numbers that a network computes or counts with.
COMPUTED = frozenset({"F64", "F32", "F16", "BF16"})
NUMBERS = COMPUTED | {"I64", "I32", "I16", "I8", "U8", "BOOL"}


class WrongWeights(UserError, ValueError):
    """A file or folder that is not a network's whole weights; the message names the place, the keys and the remedy."""


def load_network(
    model_class: Any,
    folder: str | Path,
    remedy: str,
    *,
    may_lack: Iterable[str] = (),
    may_have: Iterable[str] = (),
    **options: Any,
) -> Any:
    """`model_class.from_pretrained(folder, **options)` of a library, safetensors only.

    Args:
        model_class: diffusers' or transformers'.
        folder: on this machine, or a hub id.
        remedy: what to do where they are other ones; the end of the message.
        may_lack: patterns that begin the names of weights that nothing computes with.
        may_have: patterns that begin the names of weights beside the network, such as a head that is not used.
        options: the library's own.

    Raises:
        WrongWeights: pickles, keys that are missing, left over or of another shape, or numbers in eight bits.
        OSError: nothing there that can be read, from the library.
    """
    refuse_pickles(folder)
    check_numbers(folder, remedy)
    network, report = model_class.from_pretrained(
        str(folder), use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True, **options
    )
    check_report(folder, report, remedy, may_lack, may_have)
    return network


def refuse_pickles(place: str | Path) -> None:
    """Refuse a model's folder, or a file, whose weights are pickles and nothing else. A hub id is passed over.

    Raises:
        WrongWeights: with the file's name.
    """
    path = Path(place)
    files = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    pickles = [file for file in files if file.suffix in PICKLES]
    if pickles and not any(file.suffix == ".safetensors" for file in files):
        raise WrongWeights(f"{pickles[0]} is a pickle, which can run programs when it is read; {CONVERT}")


def check_report(
    place: str | Path,
    report: Mapping[str, Any],
    remedy: str,
    may_lack: Iterable[str] = (),
    may_have: Iterable[str] = (),
) -> None:
    """Refuse what a library's `output_loading_info` tells of.

    Raises:
        WrongWeights: with the place, the keys and the remedy.
    """
    other = [
        f"{name} is {tuple(found)}, its configuration says {tuple(own)}"
        for name, found, own in report["mismatched_keys"]
    ]
    _refuse(place, _but(report["missing_keys"], may_lack), _but(report["unexpected_keys"], may_have), other, remedy)


def fill(
    network: Any,
    weights: Mapping[str, Any],
    place: str | Path,
    remedy: str,
    *,
    may_lack: Iterable[str] = (),
    may_have: Iterable[str] = (),
    assign: bool = False,
) -> None:
    """Put `weights` into a network of torch.

    Args:
        network: takes them in place, or with `assign` instead of its own.
        weights: tensors by the names of its state dict.
        place: where they come from, for the message.
        remedy, may_lack, may_have: as in `load_network`.
        assign: as in `load_state_dict`.

    Raises:
        WrongWeights: keys that are missing, left over or of another shape.
    """
    compare(
        weights, {name: value.shape for name, value in network.state_dict().items()}, place, remedy, may_lack, may_have
    )
    network.load_state_dict(weights, strict=False, assign=assign)


def compare(
    weights: Mapping[str, Any],
    wanted: Mapping[str, Iterable[int]],
    place: str | Path,
    remedy: str,
    may_lack: Iterable[str] = (),
    may_have: Iterable[str] = (),
) -> None:
    """Hold weights against the names and shapes that are wanted.

    Raises:
        WrongWeights: they differ.
    """
    other = [
        f"{name} is {tuple(weights[name].shape)}, wanted is {tuple(shape)}"
        for name, shape in wanted.items()
        if name in weights and tuple(weights[name].shape) != tuple(shape)
    ]
    missing = _but((name for name in wanted if name not in weights), may_lack)
    _refuse(place, missing, _but((name for name in weights if name not in wanted), may_have), other, remedy)


def check_numbers(place: str | Path, remedy: str, numbers: frozenset[str] = NUMBERS) -> None:
    """Refuse numbers that cannot be computed with, by the headers alone. A hub id is passed over.

    Args:
        place: file or folder.
        remedy: what to do where a file cannot be read.
        numbers: kinds that the network has: `COMPUTED` of one that counts with none.

    Raises:
        WrongWeights: some are in eight bits, such as float8 of a file that was made for less memory.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(place)
    for file in sorted(path.glob("*.safetensors")) if path.is_dir() else [path] if path.is_file() else []:
        try:
            with safe_open(file, framework="np") as opened:
                kinds = {name: opened.get_slice(name).get_dtype() for name in opened.keys()}  # noqa: SIM118 - no mapping
        except SafetensorError as error:
            raise WrongWeights(f"{file} is cut off or no safetensors file ({error}); {remedy}") from error
        strange = {name: kind for name, kind in kinds.items() if kind not in numbers}
        if strange:
            raise WrongWeights(eight_bits(file, strange))


def eight_bits(file: str | Path, kinds: Mapping[str, str]) -> str:
    """What to say of a file with weights in numbers that cannot be computed with, by name and kind. Fetching it again would not help."""
    found = ", ".join(sorted(set(kinds.values())))
    return (
        f"{file} holds {len(kinds)} weights in {found}, such as {sorted(kinds)[0]}: they were made smaller for programs that scale them while "
        "they compute. Take the model in bfloat16 or float32 from where it was published, or convert the file: each weight, times its "
        "scale where the file has one beside it (scale_weight, weight_scale), saved as bfloat16"
    )


def _but(names: Iterable[str], patterns: Iterable[str]) -> list[str]:
    allowed = [re.compile(pattern) for pattern in patterns]
    return sorted(name for name in names if not any(pattern.match(name) for pattern in allowed))


def _refuse(place: str | Path, missing: list[str], left_over: list[str], other: list[str], remedy: str) -> None:
    kinds = {"missing": missing, "left over": left_over, "of another shape": sorted(other)}
    wrong = [f"{len(keys)} {kind}: {some_of(keys, SHOWN)}" for kind, keys in kinds.items() if keys]
    if wrong:
        raise WrongWeights(
            f"{place} does not hold this network's weights: {'; '.join(wrong)}. {remedy[:1].upper()}{remedy[1:]}"
        )

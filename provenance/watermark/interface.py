"""How a published network wants its pictures and bits: by the names of its files where they are known, else by a `mark.json` beside them."""

import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from provenance.settings import ProvenanceError

FILE = "mark.json"
LONGEST = 255  # bytes of a name
# What torch writes: reading one runs what it says.
PICKLES = (".pt", ".pth", ".ckpt", ".jit", ".pkl", ".bin", ".torchscript")


@dataclass(frozen=True)
class Interface:
    """What ONNX files do not say of themselves. Encoder: pictures and bits of 0 and 1 in, pictures out. Decoder: pictures in, an answer for each bit out.

    Attributes:
        name: for people.
        encoder, decoder: names of the files.
        channels: their order, `rgb` or `bgr`.
        lowest, highest: what black and white are to the network.
        boundary: an answer above it is a 1.
        strength: by how much what the encoder adds is multiplied.
    """

    name: str
    encoder: str
    decoder: str
    channels: str = "rgb"
    lowest: float = -1.0
    highest: float = 1.0
    boundary: float = 0.0
    strength: float = 1.0


def read_interface(folder: Path) -> Interface:
    """That of the networks in `folder`.

    RivaGAN's is that of the package invisible-watermark 0.2.0 (`imwatermark/rivaGan.py`), TrustMark's that of its ONNX files (`encoder_Q.onnx` and the like; its libraries
    for Python and Rust agree on it).

    Raises:
        ProvenanceError: there is none that can be used.
    """
    described = folder / FILE
    found = _described(described) if described.is_file() else _known(folder)
    for name in (found.encoder, found.decoder):
        if Path(name).suffix in PICKLES:
            raise ProvenanceError(_pickle(folder / name))
        if not (folder / name).is_file():
            raise ProvenanceError(f"{described} names {name}, and {folder} has none; put it there")
    return found


def _known(folder: Path) -> Interface:
    names = {path.name for path in folder.glob("*.onnx")}
    if {"rivagan_encoder.onnx", "rivagan_decoder.onnx"} <= names:
        return Interface("RivaGAN", "rivagan_encoder.onnx", "rivagan_decoder.onnx", "bgr", boundary=0.52)
    for variant in "QBCP":
        encoder, decoder = f"encoder_{variant}.onnx", f"decoder_{variant}.onnx"
        if {encoder, decoder} <= names:
            return Interface(f"TrustMark {variant}", encoder, decoder)
    raise ProvenanceError(_why_none(folder))


def _described(file: Path) -> Interface:
    try:
        said: dict[str, Any] = json.loads(file.read_bytes())
        unknown = set(said) - {field.name for field in fields(Interface)}
        if unknown:
            raise ValueError(f"no such key: {', '.join(sorted(unknown))}")
        made = Interface(**said)
        names, numbers = (made.name, made.encoder, made.decoder), (made.lowest, made.highest, made.boundary)
        if not all(isinstance(name, str) and name for name in names):
            raise ValueError("name, encoder and decoder are words")
        for name in names[1:]:
            if Path(name).name != name or len(name.encode()) > LONGEST:
                raise ValueError(f"{name!r} is no name of a file in this folder")
        if not all(isinstance(one, int | float) and math.isfinite(one) for one in (*numbers, made.strength)):
            raise ValueError("lowest, highest, boundary and strength are numbers")
        if made.strength <= 0:
            raise ValueError("strength is above 0")
        if made.channels not in ("rgb", "bgr") or not made.lowest < made.highest:
            raise ValueError("channels is rgb or bgr, and lowest is less than highest")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        keys = ", ".join(field.name for field in fields(Interface))
        raise ProvenanceError(f"{file} does not describe a network ({error}); its keys are {keys}") from error
    return made


def _why_none(folder: Path) -> str:
    there = sorted(folder.iterdir())
    for path in there:
        if path.suffix in PICKLES:
            return _pickle(path)
    return (
        f"{folder} has no networks of a known name ({', '.join(path.name for path in there) or 'nothing'}): RivaGAN's are rivagan_encoder.onnx and rivagan_decoder.onnx, "
        f"TrustMark's encoder_Q.onnx and decoder_Q.onnx; of others, write {FILE} beside them"
    )


def _pickle(file: Path) -> str:
    return (
        f"{file} is a pickle of torch's (TorchScript is one, VideoSeal's among them): loading it runs whatever it says, so it is not loaded; "
        "have encoder and decoder as ONNX files"
    )

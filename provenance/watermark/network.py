"""A published network's mark, by its ONNX files: our payload, put in and read by their encoder and decoder.

Which ones, and what they reach: docs/guide/marks.md. A picture is marked by itself; of a network of one size what it adds is enlarged to the picture's, as TrustMark
has it (Bui et al., arXiv 2311.18297, section 3.4).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from provenance.settings import ProvenanceError
from provenance.watermark.interface import FILE, Interface, read_interface
from provenance.watermark.payload import CODED, Payload
from provenance.watermark.spread import LEAST_BITS, MOST, Spread, turns_of

TRIED = 256  # pixels of the picture that is marked for a trial
LOOKED_AT = 16  # pictures at least that are read, whole turns of the spread


@dataclass(frozen=True)
class NetworkFound:
    """What the decoder read.

    Attributes:
        score: how well its answers agree with what they decode to, 1 at most.
        payload: None where it read none of ours.
    """

    score: float
    payload: Payload | None
    in_place: bool | None = None

    @property
    def marked(self) -> bool:
        """Whether the mark is there: a check sum fits, and the answers agree."""
        return self.payload is not None


class NetworkMark:
    """Encoder and decoder, as `provenance.watermark.backend.Mark`."""

    def __init__(self, interface: Interface, encoder: Any, decoder: Any):
        """Sessions of onnxruntime.

        Raises:
            ProvenanceError: they take or give something else than pictures and bits, or too few bits; or a picture that is marked for a trial
                is none, is not marked, or cannot be read.
        """
        self.interface, self._encoder, self._decoder = interface, encoder, decoder
        self._pictures = _only(interface.encoder, encoder.get_inputs(), (4, 5), "takes pictures (B, 3, H, W)")
        self._bits = _only(interface.encoder, encoder.get_inputs(), (2,), "takes bits (B, N)")
        self._read = _only(interface.decoder, decoder.get_inputs(), (4, 5), "takes pictures (B, 3, H, W)")
        self._marked = _only(interface.encoder, encoder.get_outputs(), (4, 5), "gives pictures (B, 3, H, W)")
        self._answers = _only(interface.decoder, decoder.get_outputs(), (2,), "gives an answer for each bit (B, N)")
        self._shape, self._read_shape = (
            _sizes(session.get_inputs(), name) for session, name in ((encoder, self._pictures), (decoder, self._read))
        )
        self.spread = Spread(_bits(interface, encoder.get_inputs(), decoder.get_outputs()))
        self._try()

    @property
    def name(self) -> str:
        """For people."""
        return f"the invisible mark of {self.interface.name}"

    def steps_for(self, frames: np.ndarray, payload: Payload, size: tuple[int, ...]) -> "NetworkSteps":
        """What says `payload`; neither the pictures nor their size are asked before each is there."""
        return NetworkSteps(self, payload)

    def mark(self, frames: np.ndarray, payload: Payload) -> np.ndarray:
        """Add the mark to a copy of `(T, H, W, 3)` uint8 RGB pictures of one film."""
        made = np.empty_like(frames)
        for number, (image, out) in enumerate(zip(frames, made, strict=True)):
            self.put(image, out, self.spread.said(payload, number))
        return made

    def put(self, image: np.ndarray, out: np.ndarray, bits: np.ndarray) -> None:
        """Write `(H, W, 3)` uint8 RGB with `(B,)` bits to `out`."""
        given = self._given(image, self._shape)
        inputs = {self._pictures: given, self._bits: bits[None].astype(np.float32)}
        marked = self._run(self._encoder, self.interface.encoder, self._marked, inputs)
        if marked.size != given.size or not np.isfinite(marked).all():
            raise ProvenanceError(
                f"{self.interface.encoder} gives {marked.shape} for a picture {given.shape}, or numbers that are not finite; it cannot mark this picture"
            )
        levels = 255 / (self.interface.highest - self.interface.lowest)
        inside = np.clip(marked, self.interface.lowest, self.interface.highest)
        added = (inside - given).reshape(3, *given.shape[-2:]).transpose(1, 2, 0) * np.float32(
            levels * self.interface.strength
        )
        if added.shape[:2] != image.shape[:2]:
            added = cv2.resize(added, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        if self.interface.channels == "bgr":
            added = added[..., ::-1]
        out[:] = np.clip(np.rint(image + added), 0, 255)

    def find(self, frames: Iterable[np.ndarray]) -> NetworkFound:
        """Read the first pictures of a film, or a picture."""
        looked_at = self.spread.turns * -(-LOOKED_AT // self.spread.turns)
        answers = [self._answer(image) for image in islice(frames, looked_at)]
        if not answers:
            return NetworkFound(0.0, None)
        return NetworkFound(*self.spread.read(np.stack(answers) - self.interface.boundary))

    def _answer(self, image: np.ndarray) -> np.ndarray:
        """`(B,)` of one picture."""
        inputs = {self._read: self._given(image, self._read_shape)}
        found = self._run(self._decoder, self.interface.decoder, self._answers, inputs)
        if found.shape != (1, self.spread.bits) or not np.isfinite(found).all():
            raise ProvenanceError(
                f"{self.interface.decoder} answers {found.shape} for a picture, where {self.spread.bits} finite numbers are wanted; it cannot read this picture"
            )
        answers: np.ndarray = found[0]
        return answers

    def _try(self) -> None:
        """What files do not say of themselves shows when they run: better once here than in the middle of an export."""
        image = np.random.default_rng(0).integers(0, 256, (TRIED, TRIED, 3), np.uint8)
        image = cv2.GaussianBlur(image, (0, 0), 4)
        zeros, ones = np.empty_like(image), np.empty_like(image)
        for bit, out in enumerate((zeros, ones)):
            self.put(image, out, np.full(self.spread.bits, bit, np.float32))
            self._answer(out)
        if np.array_equal(zeros, ones):
            raise ProvenanceError(
                f"{self.interface.encoder} makes the same picture of zeros and of ones: it puts no mark in; raise strength in {FILE}, or take another"
            )

    def _run(self, session: Any, file: str, name: str, inputs: dict[str, np.ndarray]) -> np.ndarray:
        try:
            found: np.ndarray = session.run([name], inputs)[0]
        except Exception as error:  # onnxruntime raises a family of its own, without a common base
            given = ", ".join(f"{key} {value.shape}" for key, value in inputs.items())
            raise ProvenanceError(
                f"{file} does not run with {given} of float32 ({error}); export it for one picture at a time"
            ) from error
        return found

    def _given(self, image: np.ndarray, shape: Sequence[int | None]) -> np.ndarray:
        """`(1, 3, H, W)`, or `(1, 3, 1, H, W)`, float32 as the network has it."""
        height, width = (side or own for side, own in zip(shape[-2:], image.shape[:2], strict=True))
        if image.shape[:2] != (height, width):
            smaller = height * width < image.shape[0] * image.shape[1]
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        if self.interface.channels == "bgr":
            image = image[..., ::-1]
        scale = (self.interface.highest - self.interface.lowest) / 255
        made: np.ndarray = (image.astype(np.float32) * scale + self.interface.lowest).transpose(2, 0, 1)
        return np.ascontiguousarray(made.reshape(1, 3, *[1] * (len(shape) - 4), height, width), dtype=np.float32)


@dataclass(frozen=True)
class NetworkSteps:
    """What a network puts into the pictures of one film."""

    mark: NetworkMark
    payload: Payload

    def put(self, image: np.ndarray, out: np.ndarray, number: int = 0) -> None:
        """As `provenance.watermark.backend.Steps`."""
        self.mark.put(image, out, self.mark.spread.said(self.payload, number))


def open_network(folder: Path) -> NetworkMark:
    """The networks of a folder; opened once in this process for as long as their files stay as they are.

    Raises:
        ProvenanceError: they cannot be used; the message says why.
    """
    interface = read_interface(folder)
    files = tuple(folder / name for name in (interface.encoder, interface.decoder))
    return _opened(interface, files, tuple(file.stat().st_mtime_ns for file in files))


@lru_cache(2)
def _opened(interface: Interface, files: tuple[Path, ...], times: tuple[int, ...]) -> NetworkMark:
    encoder, decoder = (_session(file) for file in files)
    return NetworkMark(interface, encoder, decoder)


def _session(file: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a family of its own, without a common base
        raise ProvenanceError(f"{file} cannot be opened as an ONNX model ({error}); download it again") from error


def _only(file: str, values: Sequence[Any], ranks: tuple[int, ...], wanted: str) -> str:
    """Name of the one input or output of so many dimensions."""
    names = [str(one.name) for one in values if len(one.shape) in ranks]
    if len(names) != 1:
        there = ", ".join(f"{one.name} {one.shape}" for one in values)
        raise ProvenanceError(f"{file} is no network of this kind, which {wanted}: it has {there}")
    return names[0]


def _sizes(inputs: Sequence[Any], name: str) -> list[int | None]:
    """Of an input's dimensions, None where they are free."""
    (shape,) = [one.shape for one in inputs if one.name == name]
    return [side if isinstance(side, int) else None for side in shape]


def _bits(interface: Interface, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
    """Bits in a picture, by whichever of both files says it."""
    told = [one.shape[-1] for one in (*inputs, *outputs) if len(one.shape) == 2 and isinstance(one.shape[-1], int)]
    if not told or len(set(told)) != 1:
        raise ProvenanceError(
            f"{interface.encoder} and {interface.decoder} do not say how many bits they carry, or not the same ({told}); export them with that dimension fixed"
        )
    if told[0] < LEAST_BITS:
        raise ProvenanceError(
            f"{interface.name} carries {told[0]} bits in a picture: our payload, {CODED} coded symbols, would take {turns_of(told[0])} pictures in turn, and {MOST} are the most; "
            f"take a network of {LEAST_BITS} bits or more"
        )
    return int(told[0])

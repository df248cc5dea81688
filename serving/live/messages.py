"""What client and server say to one another. Types and order are those of vLLM-Omni's `/v1/realtime/video` where that has them (docs/guide/streaming.md)."""

import base64
import json
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from media.speech.level import RATE
from serving.live.settings import BAD_DATA, TOO_LARGE, UNSUPPORTED, LiveError

CONTROLS = ("session.pause", "session.resume", "session.stop", "session.ping", "audio.done")
SAMPLES: dict[str, np.dtype[Any]] = {"s16le": np.dtype("<i2"), "f32le": np.dtype("<f4")}


class Start(BaseModel):
    """The first message of a session. `sample_rate` and `sample_format` are of the socket: a track's sound says its own.

    Attributes:
        model: whom the client means to talk to; "" takes whoever is there.
        image: base64 of a picture.
        prompt: a caption.
        format: `m4s` is fragmented MP4 with sound; `jpeg` and `png` are single pictures; `rtp`, over WebRTC alone, is tracks of both.
        seed: of the noise.
        sample_rate, sample_format: of binary messages, mono.
        idle: go on in silence while no sound comes.
        pace: `video` sends at the video's own rate, `fast` as fast as it is made.
        mark, face_check: as of `omnihuman generate`.
        keep: keep the finished video, signed, for `GET /v1/realtime/video/ID/content`; of `m4s` alone.
    """

    model_config = ConfigDict(extra="forbid")

    type: Literal["session.start"]
    model: Annotated[str, Field(max_length=200)] = ""
    image: str
    prompt: Annotated[str, Field(max_length=4000)] = "A person talks."
    format: Literal["m4s", "jpeg", "png", "rtp"] = "m4s"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    sample_rate: int = RATE
    sample_format: Literal["s16le", "f32le"] = "s16le"
    idle: bool = False
    pace: Literal["video", "fast"] = "video"
    mark: bool = True
    face_check: bool = True
    keep: bool = False


def read_start(said: dict[str, Any], rtp: bool = False) -> Start:
    """The first message.

    Args:
        said: of `read_json`.
        rtp: it came over WebRTC, where pictures and sound are tracks.

    Raises:
        LiveError: it is none, or asks for what there is not.
    """
    if said.get("type") != "session.start":
        raise LiveError(BAD_DATA, f"the first message is session.start, got {str(said.get('type'))[:40]}")
    try:
        start = Start(**({"format": "rtp"} if rtp else {}) | said)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(map(str, found["loc"]))
        code = UNSUPPORTED if where in ("format", "sample_format", "pace") else BAD_DATA
        raise LiveError(code, f"session.start: {where}: {found['msg']}") from error
    if (start.format == "rtp") != rtp:
        raise LiveError(UNSUPPORTED, f"format: {start.format} does not go over {'WebRTC' if rtp else 'a socket'}")
    if start.keep and start.format != "m4s":
        what = "tracks are" if rtp else "single pictures are"
        raise LiveError(UNSUPPORTED, f"keep: {what} no video to keep; ask for m4s over the socket, not {start.format}")
    if start.pace == "fast" and rtp:
        raise LiveError(UNSUPPORTED, "pace: over WebRTC pictures go out at the video's own rate")
    if start.sample_rate != RATE:
        raise LiveError(UNSUPPORTED, f"sound is taken at {RATE} Hz, not {start.sample_rate}; resample it first")
    return start


def read_json(text: str | None) -> dict[str, Any]:
    """Raises LiveError for anything but a JSON object."""
    if text is None:
        raise LiveError(BAD_DATA, "session.start comes before sound")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LiveError(BAD_DATA, f"a message is no JSON: {error}") from error
    if not isinstance(said, dict):
        raise LiveError(BAD_DATA, "a message is no JSON object")
    return said


def read_base64(said: object, name: str, most: int) -> bytes:
    """Raises LiveError for something else, or more than `most` bytes."""
    if not isinstance(said, str) or not said:
        raise LiveError(BAD_DATA, f"{name} is base64")
    if len(said) * 3 // 4 > most + 2:
        raise LiveError(TOO_LARGE, f"{name} is larger than {most} bytes")
    try:
        return base64.b64decode(said, validate=True)
    except ValueError as error:  # binascii's, or of a letter that is not ASCII
        raise LiveError(BAD_DATA, f"{name} is no base64 ({error})") from error


def read_packet(data: bytes, sample_format: str, most_seconds: float) -> np.ndarray:
    """`(S,)` float32 of a binary message.

    Raises:
        LiveError: an empty packet, one that ends in mid-sample, a long one, or numbers that are not finite.
    """
    kind = SAMPLES[sample_format]
    if not data:
        raise LiveError(BAD_DATA, "an empty packet of sound; leave it out")
    if len(data) % kind.itemsize:
        raise LiveError(BAD_DATA, f"a packet of {len(data)} bytes ends within a sample of {kind.itemsize}")
    if len(data) / kind.itemsize > most_seconds * RATE:
        raise LiveError(
            TOO_LARGE, f"a packet holds at most {most_seconds:g} s of sound ({round(most_seconds * RATE)} samples)"
        )
    samples = np.frombuffer(data, kind)
    if kind.kind == "i":
        return samples.astype(np.float32) / 2.0**15
    if not np.isfinite(samples).all():
        raise LiveError(BAD_DATA, "a packet holds numbers that are not finite (NaN or infinite)")
    return samples.astype(np.float32)

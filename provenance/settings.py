"""How this machine signs and marks, from the environment: keys belong to a place, not to a profile that goes with the data."""

import os
from dataclasses import dataclass
from pathlib import Path

from media.user_error import UserError

SIGNING, CERTIFICATE, KEY = "OMNIHUMAN_SIGNING", "OMNIHUMAN_CERTIFICATE", "OMNIHUMAN_KEY"
TIME_STAMPS, TRUSTED, KEYS = "OMNIHUMAN_TIME_STAMPS", "OMNIHUMAN_TRUSTED", "OMNIHUMAN_KEYS"
WATERMARK, ICON = "OMNIHUMAN_WATERMARK", "OMNIHUMAN_ICON"
REQUIRED, ON, OFF = "required", "on", "off"
UNSIGNED_NOTE = (
    f"note: {SIGNING}=off, so this file says nowhere in a way that can be checked that a model made it; where the law asks for that "
    "(in the European Union, Article 50 of the AI Act), answering for it is up to you"
)
UNMARKED_NOTE = f"note: {WATERMARK}=off, so the pictures carry no invisible mark; what a re-encoding leaves of this file says nothing"


class ProvenanceError(UserError, RuntimeError):
    """Something that cannot be signed, or settings of signing that cannot be followed; the message says what to do."""


@dataclass(frozen=True)
class SigningSettings:
    """Where the keys are and what is asked for.

    Attributes:
        required: an export that cannot be signed fails; False signs nothing.
        watermark: whether exported pictures carry the invisible mark.
        network: folder of a published network that puts it in and reads it; None for our own pattern.
        icon: seconds from one showing of the icon to the next, the first at the start; None shows none.
        certificate, key: PEM files of the operator's own; None for the development certificate.
        folder: where the development certificate lives.
        time_stamps: address of an RFC 3161 time-stamping authority, or None.
        trusted: a PEM file of certificates that count as ours beside the own one, or None.
    """

    required: bool = True
    watermark: bool = True
    icon: float | None = None
    certificate: Path | None = None
    key: Path | None = None
    folder: Path = Path()
    time_stamps: str | None = None
    trusted: Path | None = None
    network: Path | None = None


def read_settings() -> SigningSettings:
    """What the environment says.

    Raises:
        ProvenanceError: a value that means nothing, or a certificate without its key.
    """
    certificate, key, trusted = (_path(name) for name in (CERTIFICATE, KEY, TRUSTED))
    if (certificate is None) != (key is None):
        there, missing = (CERTIFICATE, KEY) if key is None else (KEY, CERTIFICATE)
        raise ProvenanceError(f"{there} is set and {missing} is not; a certificate and its key go together: set both")
    return SigningSettings(
        _one_of(SIGNING, REQUIRED, OFF) == REQUIRED,
        os.environ.get(WATERMARK) != OFF,
        _seconds(ICON),
        certificate,
        key,
        _path(KEYS) or _configuration() / "omnihuman" / "signing",
        os.environ.get(TIME_STAMPS) or None,
        trusted,
        _network(),
    )


def notes(settings: SigningSettings) -> list[str]:
    """What a person is told who switched something off."""
    return [UNSIGNED_NOTE] * (not settings.required) + [UNMARKED_NOTE] * (not settings.watermark)


def _one_of(name: str, default: str, other: str) -> str:
    value = os.environ.get(name) or default
    if value not in (default, other):
        raise ProvenanceError(f"{name} is {value!r}; set it to {default} or {other}")
    return value


def _network() -> Path | None:
    folder = None if os.environ.get(WATERMARK) in (ON, OFF) else _path(WATERMARK)
    if folder is not None and not folder.is_dir():
        raise ProvenanceError(
            f"{WATERMARK} is {os.environ[WATERMARK]!r}, and {folder} is no folder; set it to {ON} or {OFF}, or to the whole path of a folder with a "
            "published network's ONNX files"
        )
    return folder


def _seconds(name: str) -> float | None:
    value = os.environ.get(name) or OFF
    if value == OFF:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ProvenanceError(f"{name} is {value!r}; set it to the seconds from one showing to the next, or to {OFF}")
    return seconds


def _path(name: str) -> Path | None:
    """A relative path begins where this process works; errors that name it name the whole one."""
    value = os.environ.get(name)
    try:
        return Path(value).expanduser().absolute() if value else None
    except RuntimeError as error:
        raise ProvenanceError(f"{name} is {value!r}: {error}; name a folder or file that is there") from error


def _configuration() -> Path:
    """The user's folder of settings, by the XDG base directories."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")

"""Files in and out: video and sound through PyAV, whole files and directories, pictures. No other project code.

A name is looked up when it is first asked for: whoever writes a file whole need not wait for PyAV.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from media.audio.hearing import read_audio
    from media.containers import MediaError, Span
    from media.decode import Clip, decode_clip, decode_frames
    from media.encode import encode_clip
    from media.figures import in_few_colours, png_bytes
    from media.files import (
        cut_unfinished_line,
        flush_to_disk,
        sha256_of_file,
        sha256_while_unchanged,
        whole_directory,
        whole_file,
        write_atomically,
    )
    from media.probe import Probe, probe_clip

_MODULES = {
    "containers": ("MediaError", "Span"),
    "decode": ("Clip", "decode_clip", "decode_frames"),
    "encode": ("encode_clip",),
    "figures": ("in_few_colours", "png_bytes"),
    "files": (
        "cut_unfinished_line",
        "flush_to_disk",
        "sha256_of_file",
        "sha256_while_unchanged",
        "whole_directory",
        "whole_file",
        "write_atomically",
    ),
    "audio.hearing": ("read_audio",),
    "probe": ("Probe", "probe_clip"),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Clip",
    "MediaError",
    "Probe",
    "Span",
    "cut_unfinished_line",
    "decode_clip",
    "decode_frames",
    "encode_clip",
    "flush_to_disk",
    "in_few_colours",
    "png_bytes",
    "probe_clip",
    "read_audio",
    "sha256_of_file",
    "sha256_while_unchanged",
    "whole_directory",
    "whole_file",
    "write_atomically",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'media' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"media.{_HOMES[name]}"), name)
    return value

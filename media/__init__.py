"""Files in and out: video and sound through PyAV, whole files and directories, pictures. No other project code."""

from media.containers import MediaError, Span
from media.decode import Clip, decode_clip, read_audio
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

__all__ = [
    "Clip",
    "MediaError",
    "Probe",
    "Span",
    "cut_unfinished_line",
    "decode_clip",
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

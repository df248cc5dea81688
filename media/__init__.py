"""Video and audio files in and out: PyAV, no other project code, no framework beyond numpy."""

from media.decode import Clip, MediaError, decode_clip, probe_clip, read_audio
from media.directories import flush_to_disk, whole_directory
from media.encode import encode_clip, write_atomically

__all__ = ["Clip", "MediaError", "decode_clip", "encode_clip", "flush_to_disk", "probe_clip", "read_audio", "whole_directory", "write_atomically"]

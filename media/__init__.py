"""Video and audio files in and out: PyAV, no other project code, no framework beyond numpy."""

from media.decode import Clip, MediaError, decode_clip, probe_clip, read_audio
from media.encode import encode_clip, write_atomically

__all__ = ["Clip", "MediaError", "decode_clip", "encode_clip", "probe_clip", "read_audio", "write_atomically"]

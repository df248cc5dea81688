"""Make the pack of recordings: `python -m people.speech.build`. Needs Debian's package flite 2.2 (CMU licence); nobody else does.

Sentences are this project's own. Sound is brought to -22 dB of full scale (`media.speech.level`) and kept as Opus.
"""

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import av
import numpy as np

from media import read_audio, write_atomically
from media.speech.level import LEVEL, measure_speech
from people.speech.recordings import FOLDER, RATE, SOUND, TABLE, Phone, SpeechError, Split, write_phones
from people.speech.voices import TAKES, Take

SENTENCES: dict[Split, Path] = {
    "train": FOLDER / "sentences.txt",
    "held_out": FOLDER / "held_out_sentences.txt",
}
BITRATE = 16_000  # per second; the sound correlates by 0.997 with what went in
# 60 ms of Opus to a packet cost the fewest bytes; bitexact leaves FFmpeg's version and a drawn serial number out.
OPUS, OGG = {"frame_duration": "60", "application": "audio"}, {"fflags": "+bitexact"}


def synthesise(text: str, take: Take) -> tuple[np.ndarray, tuple[Phone, ...]]:
    """`(S,)` float32 at 16 kHz and the phones of one sentence.

    Raises:
        SpeechError: flite is not installed.
    """
    if shutil.which("flite") is None:
        raise SpeechError("flite is not on the PATH; install it with apt-get install flite")
    settings = ["--setf", f"duration_stretch={take.stretch}"]
    if take.pitch is not None:
        settings += ["--setf", f"int_f0_target_mean={take.pitch}"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = ["flite", "-voice", take.voice, "-psdur", *settings, "-t", text, "-o", str(path)]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        audio = read_audio(path, RATE)
    return audio, phones_of(printed, len(audio) / RATE)


def phones_of(printed: str, seconds: float) -> tuple[Phone, ...]:
    """Read what `flite -psdur` prints: each phone with its end in seconds, at most the sound's."""
    pairs = [item.rsplit(":", 1) for item in printed.split()]
    ends = [min(float(end), seconds) for _, end in pairs]
    return tuple(
        Phone(symbol, start, end) for (symbol, _), start, end in zip(pairs, [0.0, *ends[:-1]], ends, strict=True)
    )


def encode_opus(audio: np.ndarray) -> bytes:
    """`(S,)` float32 at 16 kHz as an Ogg file."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg", container_options=OGG) as container:
        stream = container.add_stream("libopus", rate=RATE, layout="mono", options=OPUS)
        stream.bit_rate = BITRATE
        frame = av.AudioFrame.from_ndarray(audio[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def at_level(audio: np.ndarray) -> np.ndarray:
    """Bring speech to `LEVEL` dB of full scale."""
    return (audio * 10 ** ((LEVEL - measure_speech(audio).level) / 20)).astype(np.float32)


def build(folder: Path) -> None:
    """Write `recordings.opus` and `recordings.json` into a folder."""
    sound, rows = bytearray(), []
    for take in TAKES:
        for text in SENTENCES[take.split].read_text().splitlines():
            audio, phones = synthesise(text, take)
            encoded = encode_opus(at_level(audio))
            rows.append(
                {"take": take.name, "split": take.split, "text": text, "offset": len(sound), "size": len(encoded),
                 "phones": write_phones(phones)}
            )  # fmt: skip
            sound += encoded
    head = {"synthesiser": "flite 2.2", "bytes": len(sound), "sha256": hashlib.sha256(sound).hexdigest()}
    lines = ",\n".join(json.dumps(row) for row in rows)
    write_atomically(folder / SOUND.name, bytes(sound))
    write_atomically(folder / TABLE.name, f'{json.dumps(head)[:-1]}, "recordings": [\n{lines}\n]}}\n'.encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where both files go")
    build(parser.parse_args().folder)

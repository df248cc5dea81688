#!/usr/bin/env bash
# webvtt-py 0.6.0, pysubs2 1.8.1, av 18.1.0 (libavcodec of FFmpeg, Python 3.11): one caption has three texts, and half of it is gone after a round trip.
#
# Seen: WebVTT writes & and < of the spoken words as &amp; and &lt;, as its specification asks. Of `<v Anna>Tom &amp; I &lt;3 it</v>` FFmpeg gives "Tom & I <3 it";
# webvtt-py's `.text` and pysubs2's `.plaintext` give "Tom &amp; I &lt;3 it", though they take the tag out. Only webvtt-py knows that Anna says it. The other way both write
# "Tom & I <3 it" as it is; they read their own files, but for FFmpeg, and by the specification's rules of parsing, a tag begins at the "<", and the words after
# it are lost without a warning: "Tom & I ". Captions are prompts and the text that speech is aligned with: &amp; is spelled as a word, and lost words have sound and no text.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install webvtt-py==0.6.0 pysubs2==1.8.1 av==18.1.0
"$work/venv/bin/python" - "$work" <<'PY'
import sys
from pathlib import Path

import av
import pysubs2
import webvtt

SPOKEN, folder = "Tom & I <3 it", Path(sys.argv[1])


def by_ffmpeg(path: Path) -> str:
    with av.open(str(path)) as container:
        packet = next(packet for packet in container.demux() if packet.size)
        return packet.decode()[0].ass.decode().split(",,")[-1]


def texts(path: Path) -> dict[str, str]:
    return {
        "FFmpeg": by_ffmpeg(path),
        "webvtt-py": webvtt.read(str(path))[0].text,
        "pysubs2": pysubs2.load(str(path))[0].plaintext,
    }


given = folder / "given.vtt"
given.write_text("WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n<v Anna>Tom &amp; I &lt;3 it</v>\n")
seen = texts(given)
print("as the specification has it:", seen, "| voice for webvtt-py:", webvtt.read(str(given))[0].voice, "| name for pysubs2:", repr(pysubs2.load(str(given))[0].name))
escaped = "Tom &amp; I &lt;3 it"
assert seen == {"FFmpeg": SPOKEN, "webvtt-py": escaped, "pysubs2": escaped}, "changed"
assert webvtt.read(str(given))[0].voice == "Anna" and pysubs2.load(str(given))[0].name == "", "changed"

one = webvtt.WebVTT()
one.captions.append(webvtt.Caption("00:00:01.000", "00:00:02.500", SPOKEN))
other = pysubs2.SSAFile()
other.append(pysubs2.SSAEvent(1000, 2500, SPOKEN))
for name, content in (("webvtt-py", one.content), ("pysubs2", other.to_string("vtt"))):
    path = folder / "written.vtt"
    path.write_text(content)
    seen = texts(path)
    print(f"written by {name}:", seen)
    assert seen == {"FFmpeg": "Tom & I ", "webvtt-py": SPOKEN, "pysubs2": SPOKEN}, "changed"
PY

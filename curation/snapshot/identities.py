"""Who is seen, by what the sidecar says or by the naming of well-known sets: two clips of one person share an identity."""

import re
from pathlib import PurePosixPath

# CelebV-HQ names a clip by the eleven letters of its YouTube video and a number: M2Ohb0FAaJU_1.mp4. People are not named
# in it; one video is taken for one person.
CELEBV_HQ = re.compile(r"(?P<who>[A-Za-z0-9_-]{11})_\d+(_\d+)?\.mp4")
# RAVDESS: modality-channel-emotion-intensity-statement-repetition-actor: 01-01-06-01-02-01-12.mp4.
RAVDESS = re.compile(r"(?P<modality>\d\d)-(?P<channel>\d\d)(-\d\d){4}-(?P<who>\d\d)\.(mp4|wav)")
# EchoMimicV2's EMTD is a list of YouTube videos with times: copies name a clip by a running number and the video's eleven letters,
# 019_R7jm0-R9N_o.mp4, or by the letters and whatever follows. One video is taken for one person.
EMTD_NUMBERED = re.compile(r"\d{3}_(?P<who>[A-Za-z0-9_-]{11})\.mp4")
EMTD = re.compile(r"(?P<who>[A-Za-z0-9_-]{11})(_.+)?\.mp4")
FULL_AUDIO_VIDEO, SPEECH = "01", "01"
KINDS = ("celebv-hq", "ravdess", "cyberhost", "emtd", "folder", "packaged")


def identity_by_name(kind: str, name: str) -> str:
    """The identity that a file's name, relative to its set, tells; empty where it tells none.

    Args:
        kind: `celebv-hq`, `ravdess` and `emtd` by their file names; `cyberhost`, `folder` and `packaged`, and what of `emtd` has
            other names, by the first folder, one folder per person (CyberHost's set of 269 videos of 119 people is not
            released; this is how a copy is laid out).
        name: with `/` between folders.
    """
    path = PurePosixPath(name)
    if kind in ("celebv-hq", "ravdess"):
        found = (CELEBV_HQ if kind == "celebv-hq" else RAVDESS).fullmatch(path.name)
        return f"{kind}:{found['who']}" if found else ""
    if kind == "emtd" and (found := EMTD_NUMBERED.fullmatch(path.name) or EMTD.fullmatch(path.name)):
        return f"{kind}:{found['who']}"
    return path.parts[0] if len(path.parts) > 1 else ""


def known_identities(source_name: str, identity: str) -> set[str]:
    """Everything that a training clip's file name and sidecar tell of who is seen."""
    found = {identity_by_name("celebv-hq", source_name), identity_by_name("ravdess", source_name), identity}
    if EMTD_NUMBERED.fullmatch(PurePosixPath(source_name).name):
        found.add(identity_by_name("emtd", source_name))
    return found - {""}


def why_not(kind: str, name: str) -> str:
    """Why a file of a set is no sample of a talking person; empty for one that is."""
    file = PurePosixPath(name).name
    if kind == "celebv-hq" and not CELEBV_HQ.fullmatch(file):
        return "its name is not that of a CelebV-HQ clip (VIDEO_NUMBER.mp4)"
    if kind == "ravdess":
        found = RAVDESS.fullmatch(file)
        if not found:
            return "its name is not that of a RAVDESS file (seven pairs of digits)"
        if found["modality"] != FULL_AUDIO_VIDEO:
            return "RAVDESS modality is not 01, picture and sound"
        if found["channel"] != SPEECH:
            return "RAVDESS vocal channel is not 01, speech"
    if kind in ("cyberhost", "emtd") and not identity_by_name(kind, name):
        return "it lies in no folder of a person (PERSON/CLIP.mp4)"
    return ""

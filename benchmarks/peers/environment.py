"""The peers' environment: made once under the cache folder, every version pinned, each peer apart so that one that cannot be had leaves the others."""

import hashlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

CONSTRAINTS = Path(__file__).with_name("constraints.txt")
SECONDS = 1800  # for one peer's packages


@dataclass(frozen=True)
class Peer:
    """A published tool and how it is installed.

    Attributes:
        name: of the project.
        version: of `packages[0]`, as it is reported.
        packages: with what they ask for; first the tool itself.
        bare: without what they ask for: it has no build for a CPU, or is a second OpenCV.
        apart: without what they ask for, into a folder that this peer's processes alone see.
    """

    name: str
    version: str
    packages: tuple[str, ...]
    bare: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()


# What every peer runs on: the versions of this project's own constraints.txt, so that no other torch or OpenCV makes the difference. PyAV alone is older:
# Data-Juicer asks for 13.1, and with 18 its filters of size and length fail when they close a file.
BASE = ("torch", "numpy", "scipy", "av", "opencv-python-headless", "safetensors")
PEERS = {
    # Beside its requirements: aiohttp, which it imports and does not name; ray and dlib, which it would install itself in the middle of a run.
    "data-juicer": Peer("Data-Juicer", "1.6.1", ("py-data-juicer", "aiohttp", "ray", "dlib-bin")),
    "pyscenedetect": Peer("PySceneDetect", "0.7.2", ("scenedetect-headless",)),
    "torchmetrics": Peer("torchmetrics", "1.9.0", ("torchmetrics",)),
    "diffusers": Peer("diffusers", "0.42.1", ("diffusers", "transformers", "accelerate", "ftfy")),
    # The registry's torchvision is built for CUDA and cannot be imported beside a CPU's torch as it is (theirs/diffsynth_training.py);
    # seen by the others it would break transformers.
    "diffsynth": Peer(
        "DiffSynth-Studio", "2.1.12",
        ("transformers", "imageio", "einops", "modelscope", "ftfy", "pandas", "accelerate", "peft"), ("diffsynth",), ("torchvision",),
    ),
}  # fmt: skip


class CannotInstall(Exception):
    """A peer's packages; the message is the first line of what the installer said."""


class Environment:
    """A folder with a Python of its own and the peers that were asked for."""

    def __init__(self, root: Path):
        """`root`: where environments are kept, one for each list of packages and versions."""
        digest = hashlib.sha256(CONSTRAINTS.read_bytes() + repr((BASE, PEERS)).encode()).hexdigest()[:8]
        self.folder = root / f"environment-{digest}"
        self.python = self.folder / "bin" / "python"

    def install(self, key: str) -> None:
        """Install a peer where it is not yet.

        Raises:
            CannotInstall: the installer failed; a later call tries again.
        """
        done = self.folder / f"{key}.installed"
        if done.exists():
            return
        peer = PEERS[key]
        if not self.python.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            _run([sys.executable, "-m", "venv", str(self.folder)])
        self._pip(*BASE, *peer.packages)
        if peer.bare:
            self._pip("--no-deps", *peer.bare)
        if peer.apart:
            self._pip("--no-deps", "--target", str(self.apart(key)), *peer.apart)
        done.touch()

    def apart(self, key: str) -> Path:
        """The folder of what this peer's processes alone see."""
        return self.folder / "apart" / key

    def _pip(self, *arguments: str) -> None:
        _run([str(self.python), "-m", "pip", "install", "--quiet", "--no-compile", "-c", str(CONSTRAINTS), *arguments])


def cache_folder() -> Path:
    """Where environments and clips are kept: OMNIHUMAN_PEERS, or a folder of the user's cache."""
    return Path(os.environ.get("OMNIHUMAN_PEERS") or Path.home() / ".cache" / "omnihuman" / "peers")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if done.returncode:
        lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise CannotInstall(next((line for line in lines if line.startswith("ERROR")), lines[0] if lines else "failed"))

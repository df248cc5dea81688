"""Python's way out: what a pipeline returned, as the files that `omnihuman generate` writes."""

import tempfile
from pathlib import Path
from typing import Any

import torch

from media.records import TrainedOnRecord
from media.speech.length import fitted
from media.speech.level import RATE
from omnihuman.digests import weights_digest
from omnihuman.errors import InputError
from omnihuman.exporting.making import Making
from omnihuman.exports import Export, Mp4Export, PngExport, Provenance
from omnihuman.long_video import Handover, Segment

DIGITS = 12


def save_output(frames: Any, making: Making | None, conditions: dict[str, object], path: Path, visible: bool) -> Path:
    """As `OmniHumanOutput.save`, and raises the same; the first three are of such an output."""
    if not isinstance(frames, torch.Tensor) or frames.dtype != torch.uint8 or frames.ndim != 5:
        raise InputError('save writes frames; leave output_type at "frames"')
    if len(frames) != 1 or making is None:
        raise InputError(
            f"save writes one video, and there are {len(frames)}; make each by itself, or write them by `omnihuman generate`"
        )
    provenance = _provenance(making, conditions, visible)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tmp-save-") as place:
        work, export = Path(place), _export(path, provenance, making, frames.shape[1])
        export.open(work, 0)
        nothing = torch.empty(0)
        export.save(Segment(0, 0, frames, nothing, Handover(nothing, nothing)), work)
        export.finish(work, path)
    return path


def _provenance(making: Making, conditions: dict[str, object], visible: bool) -> Provenance:
    folder, weights, snapshot = Path(making.folder), "", ""
    if making.folder and (folder / "transformer" / "config.json").is_file():
        weights, clips = weights_digest(folder / "transformer"), TrainedOnRecord.read_if_there(folder)
        snapshot = "" if clips is None else clips.snapshot
    # Not the folder's name: it may say whose machine this is.
    by_weights = f"OmniHumanPipeline, weights {weights[:DIGITS]}" if weights else "OmniHumanPipeline"
    return Provenance(
        making.model or by_weights, weights, snapshot, making.seed, making.steps, making.guidance, making.prompt, conditions, {}, visible,
        version=making.version, loras=making.loras, quantised=making.quantised,
    )  # fmt: skip


def _export(path: Path, provenance: Provenance, making: Making, frames: int) -> Export:
    if path.suffix == "":
        return PngExport(provenance, making.fps)
    if path.suffix != ".mp4":
        raise InputError(f"{path}: save writes FILE.mp4, or a folder of PNG frames")
    sound = making.sound
    if sound is not None:
        sound = fitted(sound, round(frames / making.fps * RATE))
    return Mp4Export(path, provenance, making.fps, sound, RATE)

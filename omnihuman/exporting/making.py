"""How a video came to be, for what it says of itself."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Making:
    """What `OmniHumanOutput.save` writes beside the pictures.

    Attributes:
        folder: from which the pipeline was loaded, "" of one that was put together in memory.
        seed: of the noise, None where there was none.
        steps, guidance, prompt: as sampled.
        sound: `(S,)` float at `RATE`, or None.
        fps: frames a second.
        loras: sha256 of each LoRA's file that changed the weights, and its scale.
        model: what its file calls the model; "" names it by its weights.
        version: of the registered model, 0 for one from a folder.
        quantised: as of `omnihuman.exports.Provenance`.
    """

    folder: str
    seed: int | None
    steps: int
    guidance: dict[str, Any]
    prompt: str
    sound: Any
    fps: float
    loras: dict[str, float] = field(default_factory=dict)
    model: str = ""
    version: int = 0
    quantised: str = ""

"""An encoder's actor whose accelerator is small; it needs Ray, which `ray_functions` does not."""

from pathlib import Path
from typing import Any

import torch

from curation.on_ray.encoders import Encoder
from tests.curation.ray_functions import note

SIZES, TOO_LARGE = "sizes", "too_large"


class EncoderOfLittleMemory(Encoder):
    """Its accelerator holds no two windows, and none of one clip. Beside the profile's autoencoder the file `too_large` names that clip, and `sizes` gets
    a line for each batch of pictures."""

    def call(self, method: str, *arguments: Any) -> Any:
        folder = Path(self._profile.encoders.autoencoder).parent
        if method == "encode" and arguments[0] == "latents":
            batch = arguments[1]
            note(folder / SIZES, len(batch))
            if len(batch) > 1 or batch[0].sample.clip_id == (folder / TOO_LARGE).read_text():
                raise torch.OutOfMemoryError("tried to allocate 20 GiB")
        return super().call(method, *arguments)

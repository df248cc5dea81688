from dataclasses import dataclass

from diffusers.utils import BaseOutput
from torch import Tensor

@dataclass
class Transformer2DModelOutput(BaseOutput):
    sample: Tensor

from typing import Any

from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

class WanRMS_norm(nn.Module):
    channel_first: bool
    scale: float
    gamma: nn.Parameter
    bias: nn.Parameter | float

class WanCausalConv3d(nn.Conv3d):
    bias: nn.Parameter
    _padding: tuple[int, ...]
    def forward(self, x: Tensor, cache_x: Tensor | None = None) -> Tensor: ...

class AutoencoderKLWan(ModelMixin, ConfigMixin):
    encoder: nn.Module
    decoder: nn.Module
    quant_conv: WanCausalConv3d
    post_quant_conv: WanCausalConv3d
    use_tiling: bool
    _cached_conv_counts: dict[str, int]
    tile_sample_min_height: int
    tile_sample_min_width: int
    tile_sample_stride_height: int
    tile_sample_stride_width: int
    def __init__(self, **config: Any) -> None: ...
    def enable_tiling(
        self,
        tile_sample_min_height: int | None = None,
        tile_sample_min_width: int | None = None,
        tile_sample_stride_height: float | None = None,
        tile_sample_stride_width: float | None = None,
    ) -> None: ...
    # As `return_dict` says: an output with named fields, or a tuple.
    def encode(self, x: Tensor, return_dict: bool = True) -> Any: ...
    def decode(self, z: Tensor, return_dict: bool = True) -> Any: ...

def unpatchify(x: Tensor, patch_size: int | None) -> Tensor: ...

from diffusers.configuration_utils import ConfigMixin
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

class WanRotaryPosEmbed(nn.Module):
    max_seq_len: int
    t_dim: int
    h_dim: int
    w_dim: int
    freqs_cos: Tensor
    freqs_sin: Tensor
    def __init__(
        self, attention_head_dim: int, patch_size: tuple[int, int, int], max_seq_len: int, theta: float = 10000.0
    ) -> None: ...

class TimestepEmbedding(nn.Module):
    linear_1: nn.Linear
    linear_2: nn.Linear

class WanTimeTextImageEmbedding(nn.Module):
    timesteps_proj: nn.Module
    time_embedder: TimestepEmbedding
    act_fn: nn.SiLU
    time_proj: nn.Linear
    text_embedder: nn.Module
    image_embedder: nn.Module | None

# Neither here nor below is `forward` declared: ours takes other arguments.
class WanTransformerBlock(nn.Module):
    norm1: nn.Module
    attn1: nn.Module
    attn2: nn.Module
    norm2: nn.Module
    ffn: nn.Module
    norm3: nn.Module
    scale_shift_table: nn.Parameter
    def __init__(
        self,
        dim: int,
        ffn_dim: int,
        num_heads: int,
        qk_norm: str | None = "rms_norm_across_heads",
        cross_attn_norm: bool = False,
        eps: float = 1e-6,
        added_kv_proj_dim: int | None = None,
    ) -> None: ...

class WanTransformer3DModel(ModelMixin, ConfigMixin):
    _keep_in_fp32_modules: list[str]
    _keys_to_ignore_on_load_unexpected: list[str]
    rope: WanRotaryPosEmbed
    patch_embedding: nn.Conv3d
    condition_embedder: WanTimeTextImageEmbedding
    blocks: nn.ModuleList
    norm_out: nn.Module
    proj_out: nn.Linear
    scale_shift_table: nn.Parameter
    def __init__(
        self,
        patch_size: tuple[int, int, int] = (1, 2, 2),
        num_attention_heads: int = 40,
        attention_head_dim: int = 128,
        in_channels: int = 16,
        out_channels: int = 16,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 13824,
        num_layers: int = 40,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
    ) -> None: ...

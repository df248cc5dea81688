# What this project touches of diffusers, whose own lazy imports look to mypy like empty classes. A module without a stub here is Any.
# tests/omnihuman/test_diffusers_stubs.py holds the names and parameters against the installed version.
from typing import Any

from diffusers.models._modeling_parallel import ContextParallelConfig as ContextParallelConfig
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan as AutoencoderKLWan
from diffusers.models.modeling_utils import ModelMixin as ModelMixin
from diffusers.models.transformers.transformer_wan import WanTransformer3DModel as WanTransformer3DModel
from diffusers.pipelines.pipeline_utils import DiffusionPipeline as DiffusionPipeline
from diffusers.pipelines.wan.pipeline_wan import WanPipeline as WanPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler as FlowMatchEulerDiscreteScheduler,
)
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler as UniPCMultistepScheduler

# Of other bases than Wan: their pipelines say how a prompt is read, their autoencoders are chosen by class.
AutoencoderKL: Any
AutoencoderKLHunyuanVideo15: Any
HunyuanVideo15Pipeline: Any
HunyuanVideoPipeline: Any
StableDiffusion3Pipeline: Any

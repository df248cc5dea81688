"""OmniHuman-1 on the Wan2.1 architecture: the model a user imports."""

import os

from omnihuman.deferred_imports import deferring

# Before oneDNN's first primitive: on Intel's matrix units some of its convolutions in bfloat16 are wrong (docs/decisions/0078-no-matrix-units-of-intels.md).
os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16")

with deferring():
    from omnihuman.pipeline import OmniHumanPipeline
    from omnihuman.transformer import OmniHumanTransformer3DModel

__all__ = ["OmniHumanPipeline", "OmniHumanTransformer3DModel"]

"""OmniHuman-1 on the Wan2.1 architecture: the model a user imports."""

import os
from pathlib import Path

from omnihuman.deferred_imports import deferring


def _leave_matrix_units(processor: Path = Path("/proc/cpuinfo")) -> None:
    """Keep oneDNN from Intel's matrix units, where there are some and the user has not said what it may use: some of its convolutions in
    bfloat16 are wrong there (docs/decisions/0078-no-matrix-units-of-intels.md). It reads this before its first primitive."""
    if "ONEDNN_MAX_CPU_ISA" in os.environ or "DNNL_MAX_CPU_ISA" in os.environ or not processor.exists():
        return
    with processor.open() as lines:
        flags = next((line for line in lines if line.startswith("flags")), "")
    if "amx_bf16" in flags.split():
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_FP16"


_leave_matrix_units()
with deferring():
    from omnihuman.pipeline import OmniHumanPipeline
    from omnihuman.transformer import OmniHumanTransformer3DModel

__all__ = ["OmniHumanPipeline", "OmniHumanTransformer3DModel"]

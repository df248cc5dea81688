"""OmniHuman-1 on the Wan2.1 architecture: the model a user imports.

A name is looked up when it is first asked for: whoever asks a module here for a digest, an error or a device waits for no pipeline.
"""

import os
from collections.abc import MutableMapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnihuman.deferred_imports import defer_within

if TYPE_CHECKING:
    from omnihuman.pipeline import OmniHumanPipeline
    from omnihuman.transformer import OmniHumanTransformer3DModel

_HOMES = {"OmniHumanPipeline": "pipeline", "OmniHumanTransformer3DModel": "transformer"}


def _leave_matrix_units(processor: Path = Path("/proc/cpuinfo")) -> None:
    """Keep oneDNN from Intel's matrix units, where there are some and the user has not said what it may use: some of its convolutions in
    bfloat16 are wrong there (docs/decisions/0078-no-matrix-units-of-intels.md). It reads this before its first primitive."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or not processor.exists():
        return
    with processor.open() as lines:
        flags = next((line for line in lines if line.startswith("flags")), "")
    if "amx_bf16" in flags.split():
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX512_CORE_FP16"


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """Have the threads of a torch operator wait for one another in a busy loop for a tenth of a millisecond at most, unless the user has said how
    long: beside other work one waits for a thread that has no core, and burns the core that it could have
    (docs/decisions/0080-threads-wait-briefly.md). libgomp reads this when torch is imported."""
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", "10000")


_leave_matrix_units()
wait_briefly(os.environ)
defer_within(__name__)

__all__ = ["OmniHumanPipeline", "OmniHumanTransformer3DModel", "wait_briefly"]


def __getattr__(name: str) -> Any:
    if name in _HOMES.values():
        return import_module(f"omnihuman.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'omnihuman' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"omnihuman.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})

"""What training costs."""

import os

from training.run.launch import has_gpu

if not has_gpu():  # before torch is imported, as a training's launcher says it: else processors with bfloat16 compile Muon, for minutes
    os.environ.setdefault("TORCH_COMPILE_DISABLE", "1")

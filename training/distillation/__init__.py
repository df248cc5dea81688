"""One step: discrete consistency distillation, then adversarial post-training (Seaweed-APT, arXiv 2501.08316; APT2, 2506.09350)."""

from training.distillation.objectives import approximated_r1
from training.flow_matching import shift_timestep

__all__ = ["approximated_r1", "shift_timestep"]

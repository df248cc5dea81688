"""Components for other people's code locations: `type: orchestration.components.NAME` in a component.yaml or defs.yaml."""

from orchestration.components.registry_promotion import RegistryPromotion
from orchestration.components.training_assets import TrainingAssets

__all__ = ["RegistryPromotion", "TrainingAssets"]

"""OmniHuman-1 on the Wan2.1 architecture: the model a user imports."""

from omnihuman.deferred_imports import deferring

with deferring():
    from omnihuman.pipeline import OmniHumanPipeline
    from omnihuman.transformer import OmniHumanTransformer3DModel

__all__ = ["OmniHumanPipeline", "OmniHumanTransformer3DModel"]

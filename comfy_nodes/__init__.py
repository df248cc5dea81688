"""Nodes for ComfyUI: a registered student makes a video from image, sound, pose and prompt (docs/guide/comfyui.md).

ComfyUI imports this folder by its path under `custom_nodes/`. It is not called `comfy`: that is ComfyUI's own package, and the installed project must not
stand in its way, nor it in the project's.
"""

from comfy_nodes.nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from diffusers.utils import logging as logging

_Forward = TypeVar("_Forward", bound=Callable[..., Any])

class BaseOutput(OrderedDict[str, Any]): ...

def apply_lora_scale(kwargs_name: str = "joint_attention_kwargs") -> Callable[[_Forward], _Forward]: ...

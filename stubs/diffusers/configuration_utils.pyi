from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

_Init = TypeVar("_Init", bound=Callable[..., None])

class FrozenDict(OrderedDict[str, Any]):
    # Values are attributes too, of any type: whatever the class was configured with.
    def __getattr__(self, name: str) -> Any: ...

class ConfigMixin:
    config: FrozenDict
    def register_to_config(self, **kwargs: Any) -> None: ...
    def save_config(self, save_directory: str | Path) -> None: ...
    @classmethod
    def from_config(cls, config: Mapping[str, Any], **kwargs: Any) -> Self: ...

def register_to_config(init: _Init) -> _Init: ...

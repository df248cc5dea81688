"""Where a build keeps what the sides need: modules moved between e0e4a73 and today."""

import importlib
from types import ModuleType
from typing import Any

# By name, the modules to look in. Those of e0e4a73 come first, because its processes find today's benchmarks too.
PLACES: dict[str, tuple[str, ...]] = {
    "TrainingJob": ("training.jobs", "training.run.jobs"),
    "training_process": ("training.launch", "training.run.launch"),
    "start_process": ("training.run.warm",),
    "warm_trainings": ("training.run.warm",),
    "write_snapshot": ("benchmarks.snapshot", "benchmarks.training.snapshot"),
    "training_step": ("benchmarks.training_step", "benchmarks.training.training_step"),
    "adversarial_update": ("benchmarks.adversarial", "benchmarks.training.adversarial"),
    "time_scores": ("benchmarks.scores", "benchmarks.curation.scores"),
    "walking_texture": ("benchmarks.scores", "benchmarks.curation.scores"),
    "open_workspace": ("assets.workspace", "assets.core.workspace"),
    "ensure_repository": ("assets.dvc_stages", "assets.core.dvc_stages"),
    "PuppetFile": ("assets.demo_corpus", "assets.kinds.demo_corpus"),
    "render_puppet": ("assets.demo_corpus", "assets.kinds.demo_corpus"),
}


def module_of(name: str) -> ModuleType:
    """The module of this process's build that holds `name`.

    Raises:
        ImportError: none does; the message names those that were looked in.
    """
    for place in PLACES[name]:
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
                raise  # the module is there, and something that it imports is not
            continue
        if hasattr(module, name):
            return module
    raise ImportError(f"this build has no {name} in {', '.join(PLACES[name])}")


def place(name: str) -> Any:
    """What this process's build calls `name`."""
    return getattr(module_of(name), name)

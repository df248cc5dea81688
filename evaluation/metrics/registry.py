"""Every metric by its name: each class of this package and its folders that has one. Another metric is another module, and no line here."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping

import evaluation.metrics
from evaluation.metrics.facts import Gate, MetricFacts
from evaluation.metrics.puppet_truth import PuppetMetric


def _named_classes() -> Iterator[type[MetricFacts]]:
    for module in pkgutil.walk_packages(evaluation.metrics.__path__, f"{evaluation.metrics.__name__}."):
        if module.name == __name__:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            own = isinstance(value, type) and value.__module__ == module.name
            if own and issubclass(value, MetricFacts) and "name" in vars(value):
                yield value


def _by_name() -> dict[str, type[MetricFacts]]:
    classes: dict[str, type[MetricFacts]] = {}
    for kind in sorted(_named_classes(), key=lambda kind: (kind.place, kind.name)):
        if kind.name in classes:
            raise TypeError(f"{kind.__name__} and {classes[kind.name].__name__} are both named {kind.name}; rename one")
        classes[kind.name] = kind
    return classes


METRICS: Mapping[str, type[MetricFacts]] = _by_name()
# In the order of their rows in the score table.
PUPPET_METRICS: tuple[type[PuppetMetric], ...] = tuple(
    kind for kind in METRICS.values() if issubclass(kind, PuppetMetric)
)
_GATES = [(kind, kind.gate) for kind in PUPPET_METRICS if kind.gate is not None]
# Those that may gate and how, in the order of the gate's checks.
GATE_METRICS: Mapping[type[PuppetMetric], Gate] = dict(sorted(_GATES, key=lambda pair: (pair[1].place, pair[0].name)))

"""Every metric by its name: each class of this package and its folders that has one. Another metric is another module, and no line here."""

import importlib
import inspect
import pkgutil
from collections.abc import Mapping

import evaluation.metrics
from evaluation.metrics.facts import LAST, MetricFacts, Reading
from evaluation.metrics.puppet_truth import PuppetMetric
from evaluation.metrics.streamed.puppets import StreamedPuppetMetric
from evaluation.metrics.streaming import Streamed, StreamingMetric
from networks.weights import Network


def _classes() -> list[type[MetricFacts]]:
    found = []
    for module in pkgutil.walk_packages(evaluation.metrics.__path__, f"{evaluation.metrics.__name__}."):
        if module.name == __name__:
            continue
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and value.__module__ == module.name and issubclass(value, MetricFacts):
                found.append(value)
    return found


def _by_name(classes: list[type[MetricFacts]]) -> dict[str, type[MetricFacts]]:
    by_name: dict[str, type[MetricFacts]] = {}
    named = [kind for kind in classes if "name" in vars(kind)]
    for kind in sorted(named, key=lambda kind: (kind.place, kind.name)):
        if kind.name in by_name:
            raise TypeError(f"{kind.__name__} and {by_name[kind.name].__name__} are both named {kind.name}; rename one")
        by_name[kind.name] = kind
    return by_name


_CLASSES = _classes()
METRICS: Mapping[str, type[MetricFacts]] = _by_name(_CLASSES)
# In the order of their rows in the score table.
PUPPET_METRICS: tuple[type[PuppetMetric], ...] = tuple(
    kind for kind in METRICS.values() if issubclass(kind, PuppetMetric)
)
# Those that tables open with, in their order.
READINGS: Mapping[type[MetricFacts], Reading] = {
    kind: kind.reading
    for kind in sorted(METRICS.values(), key=lambda kind: (kind.reading.place if kind.reading else LAST, kind.name))
    if kind.reading is not None
}
PUPPET_READINGS: Mapping[type[PuppetMetric], Reading] = {
    kind: reading for kind, reading in READINGS.items() if issubclass(kind, PuppetMetric)
}
# Metrics over arrays keep their facts; beside each stands the form that is fed clip by clip.
_STREAMED = {kind.of.name: kind for kind in _CLASSES if issubclass(kind, Streamed) and not inspect.isabstract(kind)}


def streaming_metric(name: str, network: Network | None = None) -> StreamingMetric:
    """Make an empty metric of this name, to be fed clip by clip.

    Args:
        name: a key of `METRICS`.
        network: of the first network among its needs; None where it needs none.

    Raises:
        TypeError: its class cannot be fed so; give it `observe`, or a `Streamed` class beside it.
    """
    kind = METRICS[name]
    if issubclass(kind, PuppetMetric):
        return StreamedPuppetMetric(kind)
    streamed = kind if issubclass(kind, StreamingMetric) else _STREAMED.get(name)
    if streamed is None:
        raise TypeError(
            f"{kind.__name__} cannot be fed clip by clip; give it `observe`, or a `Streamed` class beside it"
        )
    return streamed() if network is None else streamed(network)

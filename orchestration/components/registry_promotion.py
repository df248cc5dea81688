"""Component: promotion in an MLflow registry, any model's, by a gate over the metrics that its runs logged."""

import re
from collections.abc import Iterator, Sequence
from typing import Self

import dagster as dg
from dagster.components import Component, ComponentLoadContext, Model, Resolvable
from pydantic import model_validator

from orchestration.components.training_assets import ComponentError
from tracking.model_address import CHALLENGER, CHAMPION, PREVIOUS
from tracking.registry import Registry, Version
from tracking.tracker import Tracker

GATE_TAG = "gate.promotion"  # of the version: what the gate said last


class Criterion(Model, Resolvable):
    """What one metric must reach, and by how much it may be worse than the champion's; null is not compared."""

    min: float | None = None
    max: float | None = None
    margin: float | None = 0.0

    @model_validator(mode="after")
    def _has_one_side(self) -> Self:
        if (self.min is None) == (self.max is None):
            raise ValueError("a criterion has min (higher is better) or max (lower is better), one of them")
        if self.margin is not None and self.margin < 0:
            raise ValueError(f"margin is {self.margin:g}; a new version may be worse by 0 or more, or give null")
        return self

    def checks(self, name: str, value: float | None, champion: float | None) -> Iterator[tuple[bool, str]]:
        """Each condition: whether it holds, in words. A metric that was not logged holds none."""
        bound, side = (self.min, ">=") if self.min is not None else (self.max, "<=")
        assert bound is not None
        sign = 1 if self.min is not None else -1
        if value is None:
            yield False, f"{name} was not logged, needed {side} {bound:g}"
            return
        yield sign * (value - bound) >= 0, f"{name} is {value:g}, needed {side} {bound:g}"
        if champion is not None and self.margin is not None:
            least = champion - sign * self.margin
            yield (
                sign * (value - least) >= 0,
                f"{name} is {value:g}, the champion's {champion:g}, needed {side} {least:g}",
            )


class RegistryPromotion(Component, Model, Resolvable):
    """One asset: the version at `candidate` becomes the one at `champion` when its run's metrics pass; an asset check says why not.

    Attributes:
        registered_model: its name.
        tracking_uri: of MLflow; `"{{ env.MLFLOW_TRACKING_URI }}"` takes it from the environment.
        criteria: by the name of a metric of the version's run.
        champion, candidate, previous: aliases; the old champion gets the last.
        asset: key of the asset.
        deps: keys of assets that it comes after.
        group: of the asset.
        cron: when it runs by itself; without, when you start it.
    """

    registered_model: str
    tracking_uri: str
    criteria: dict[str, Criterion]
    champion: str = CHAMPION
    candidate: str = CHALLENGER
    previous: str = PREVIOUS
    asset: str | None = None
    deps: Sequence[str] = ()
    group: str = "promotion"
    cron: str | None = None

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        """The asset, its check, and its schedule where `cron` asks for one.

        Raises:
            ComponentError: no criterion, or aliases that are not three.
        """
        if not self.criteria:
            raise ComponentError(
                f"criteria of {self.registered_model} are empty, and everything would be promoted; name one metric or more"
            )
        if len({self.champion, self.candidate, self.previous}) < 3:
            raise ComponentError(
                f"champion {self.champion}, candidate {self.candidate}, previous {self.previous}: take three different aliases"
            )
        name = self.asset or re.sub(r"\W+", "_", f"promoted_{self.registered_model}")

        @dg.asset(
            name=name,
            description=f"The version of {self.registered_model} at alias {self.champion}: that at {self.candidate} takes its place when the gate lets it.",
            deps=[dg.AssetKey.from_user_string(key) for key in self.deps],
            group_name=self.group,
            kinds={"mlflow"},
            check_specs=[dg.AssetCheckSpec("gate", asset=name, description="every criterion of the component holds")],
        )
        def promoted() -> dg.MaterializeResult:
            return self._result()

        job = dg.define_asset_job(f"{name}_job", dg.AssetSelection.assets(name))
        schedules = [dg.ScheduleDefinition(job=job, cron_schedule=self.cron)] if self.cron else []
        return dg.Definitions(assets=[promoted], jobs=[job], schedules=schedules)

    def _result(self) -> dg.MaterializeResult:
        registry = Registry(Tracker(self.tracking_uri))
        candidate, champion = (
            registry.at_alias(self.registered_model, alias) for alias in (self.candidate, self.champion)
        )
        if candidate is None:
            return _told(True, False, f"no version of {self.registered_model} is at alias {self.candidate}", champion)
        if champion is not None and champion.version == candidate.version:
            return _told(True, False, f"version {candidate.version} is {self.champion} already", champion)
        own, theirs = _metrics(registry, candidate), {} if champion is None else _metrics(registry, champion)
        checks = [
            check
            for name, criterion in self.criteria.items()
            for check in criterion.checks(name, own.get(name), theirs.get(name))
        ]
        passed, words = all(holds for holds, _ in checks), "; ".join(text for _, text in checks)
        registry.set_tags(
            self.registered_model, candidate.version, {GATE_TAG: f"{'promoted' if passed else 'refused'}: {words}"}
        )
        if not passed:
            return _told(False, False, "; ".join(text for holds, text in checks if not holds), champion, candidate)
        if champion is not None:
            registry.set_alias(self.registered_model, self.previous, champion.version)
        registry.set_alias(self.registered_model, self.champion, candidate.version)
        return _told(True, True, words, candidate, candidate)


def _metrics(registry: Registry, version: Version) -> dict[str, float]:
    """What the version's run logged; nothing without a run."""
    if version.run_id is None:
        return {}
    return dict(registry.tracker.client.get_run(version.run_id).data.metrics)


def _told(
    passed: bool, promoted: bool, words: str, champion: Version | None, candidate: Version | None = None
) -> dg.MaterializeResult:
    metadata = {
        "promoted": dg.MetadataValue.bool(promoted),
        "checks": dg.MetadataValue.text(words),
        "champion": dg.MetadataValue.text("none" if champion is None else str(champion.version)),
        "candidate": dg.MetadataValue.text("none" if candidate is None else str(candidate.version)),
    }
    severity = dg.AssetCheckSeverity.WARN
    check = dg.AssetCheckResult(passed=passed, check_name="gate", severity=severity, metadata={"checks": words})
    return dg.MaterializeResult(metadata=metadata, check_results=[check])

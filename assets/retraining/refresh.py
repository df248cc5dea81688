"""The facts for the refresh decision: today's clips and code beside those that the champion was made from."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import yaml

from assets.core.catalogue import FLOW, STEPS
from assets.core.dvc_lock import LockedStage
from assets.core.dvc_stages import params_text, settings_of
from assets.core.lock_history import locked_stages
from assets.core.names import MODELS, STUDENT
from assets.core.workspace import Workspace
from assets.make.execute import is_current
from assets.past.lineage import Lineage, read_lineage
from assets.past.withdrawals import withdrawn_clips
from assets.questions.subset_questions import scores_of_all_shards
from assets.retraining.column_drift import ColumnDrift, measure_drift
from assets.retraining.refresh_decision import RefreshDecision, RefreshFacts, decide_refresh
from assets.retraining.served_drift import ServedDrift, measure_served_drift
from curation.errors import CurationError
from curation.scores.registry import columns_of
from curation.snapshot.held_out_people import held_out_clips
from curation.subsets.nested_subsets import nest, parse_predicates
from curation.subsets.selection import check_predicates
from profiles.conditions import SUBSETS

SECONDS_PER_HOUR = 3600.0
# Ids are hashes: the smallest ones are a fair draw, and the same one every night.
CLIPS_COMPARED = 100_000


def ask(workspace: Workspace) -> RefreshDecision:
    """Whether the champion should be trained anew, by today's clips and code. Nothing is written.

    Raises:
        CurationError: there is no scored shard, or a predicate is wrong.
        AssetError: what DVC keeps cannot be read.
    """
    return decide_refresh(refresh_facts(workspace), workspace.profile.refresh, workspace.profile.continuation)


def refresh_facts(workspace: Workspace) -> RefreshFacts:
    """See `RefreshFacts`; raises as `ask`."""
    scores = scores_of_all_shards(workspace)
    today = _today(scores, workspace)
    usable = _digest(today)
    champion = workspace.registry.at_alias(STUDENT) if workspace.tracker.exists() else None
    if champion is None:
        return RefreshFacts(None, usable=usable, standing=_stands(workspace))
    lineage, digest = read_lineage(workspace), champion.origin.snapshot_digest
    if digest not in lineage.samples:
        return RefreshFacts(champion.version, usable=usable)
    trained = _trained(lineage.samples[digest])
    new = {
        name: today.index[today[name] & today["finished"]].difference(trained.index[trained[name]])
        for name in trained
        if name != "shard"
    }
    drift = _drift(scores, trained.index, new["text"].difference(trained.index), workspace)
    changed, unsure = _changed(lineage, list(locked_stages(workspace)), champion.origin.weights_digest, workspace)
    served = _served(scores, trained.index, today.index[today["text"] & today["finished"]], workspace)
    unknown = unsure if drift else [*unsure, f"fewer than {workspace.profile.refresh.min_clips} new clips"]
    seconds = today["seconds"]
    return RefreshFacts(
        champion=champion.version,
        snapshot=digest,
        hours={name: _hours(seconds, trained.index[trained[name]]) for name in new},
        new_hours={name: _hours(seconds, clips) for name, clips in new.items()},
        new_clips=len(new["text"].difference(trained.index)),
        lost_clips=_lost(trained, today, workspace),
        drift=tuple(drift),
        served=served,
        changed=tuple(changed),
        unknown=tuple(unknown),
        same_settings=not changed and not unsure,
        teacher_known=champion.origin.teacher_version is not None,
        usable=usable,
    )


def _stands(workspace: Workspace) -> bool:
    """Whether everything from the snapshot to the gate's decision is there and made by what there is today."""
    return all(is_current(workspace, step) for step in FLOW if not step.sharded)


def _digest(today: pd.DataFrame) -> str:
    digest = hashlib.sha256()
    for name in SUBSETS:
        clips = sorted(today.index[today[name] & today["finished"]])
        digest.update("\n".join([name, *clips]).encode())
    return digest.hexdigest()


def _trained(samples: Path) -> pd.DataFrame:
    """By clip id: the shard, and which conditions the champion's snapshot lists it for."""
    table = pd.read_parquet(samples, columns=["clip_id", "shard", *SUBSETS])
    return table.groupby("clip_id").agg({"shard": "first", **dict.fromkeys(SUBSETS, "max")})


def _today(scores: ds.Dataset, workspace: Workspace) -> pd.DataFrame:
    """By clip id: seconds, the nested subsets, whether its shard has features to train on; clips that are withdrawn or show held-out people are in none."""
    if "seconds" not in scores.schema.names:
        raise CurationError(
            "the score tables were written by an older version and have no column 'seconds'; materialise clip_scores again"
        )
    config = workspace.profile.curation
    predicates = parse_predicates(config)
    check_predicates(scores, [predicate.text for predicate in predicates.values()], config)
    columns: dict[str, Any] = {name: ds.field(name) for name in ("clip_id", "shard", "seconds")}
    columns |= {name: predicate.expression for name, predicate in predicates.items()}
    table = scores.to_table(columns=columns).to_pandas().drop_duplicates("clip_id").set_index("clip_id")
    share, shards = workspace.profile.evaluation.held_out_people, workspace.shards("raw_clips")
    left_out = withdrawn_clips(workspace) | held_out_clips(workspace.data("raw_clips"), shards, share)
    kept = ~table.index.isin(left_out)
    meets = {name: table[name].fillna(False).astype(bool).to_numpy() for name in SUBSETS}
    for name, inside in nest(meets, config).items():
        table[name] = inside & kept
    table["finished"] = table["shard"].isin(workspace.shards("condition_features"))
    return table


def _lost(trained: pd.DataFrame, today: pd.DataFrame, workspace: Workspace) -> int:
    gone = ~trained["shard"].isin(workspace.shards("raw_clips")) & ~trained.index.isin(today.index)
    return int((gone | trained.index.isin(withdrawn_clips(workspace))).sum())


def _hours(seconds: pd.Series, clips: pd.Index) -> float:
    return float(seconds.loc[seconds.index.intersection(clips)].sum()) / SECONDS_PER_HOUR


def _drift(scores: ds.Dataset, before: pd.Index, after: pd.Index, workspace: Workspace) -> list[ColumnDrift]:
    """Every column of numbers of a score that is on and that shards have; none where there are too few clips to tell."""
    config = workspace.profile.refresh
    kinds = columns_of(workspace.profile.curation.scores)
    columns = [name for name, kind in kinds.items() if kind != "text" and name in scores.schema.names]
    first, second = (_values(scores, columns, clips) for clips in (before, after))
    if min(len(first), len(second)) < config.min_clips:
        return []
    return [
        measure_drift(name, first[name].to_numpy(), second[name].to_numpy(), config, len(columns)) for name in columns
    ]


def _served(scores: ds.Dataset, before: pd.Index, today: pd.Index, workspace: Workspace) -> tuple[ServedDrift, ...]:
    """Every column that inputs have too."""
    kinds = columns_of(workspace.profile.curation.scores)
    columns = [name for name, kind in kinds.items() if kind == "float" and name in scores.schema.names]
    return measure_served_drift(
        workspace, [*columns, "seconds"], lambda names: (_values(scores, names, before), _values(scores, names, today))
    )


def _values(scores: ds.Dataset, columns: Sequence[str], clips: pd.Index) -> pd.DataFrame:
    drawn = pa.array(sorted(clips)[:CLIPS_COMPARED], scores.schema.field("clip_id").type)
    table = scores.to_table(columns=["clip_id", *columns], filter=ds.field("clip_id").isin(drawn)).to_pandas()
    return table.drop_duplicates("clip_id")[list(columns)].astype(float)


def _changed(
    lineage: Lineage, stages: list[LockedStage], weights: str, workspace: Workspace
) -> tuple[list[str], list[str]]:
    """What dvc.lock says the champion was made with against today's, and what it does not say."""
    asset = MODELS[STUDENT]
    listings = (
        lineage.node(f"checkpoint:{asset}:{weights}").facts["listings"]
        if f"checkpoint:{asset}:{weights}" in lineage.graph
        else []
    )
    made = list(_made_by(stages, [(asset, listing) for listing in listings]))
    if not made:
        return [], [
            "no dvc.lock, today's or in version control, has the champion's weights: its code version and settings"
        ]
    today = yaml.safe_load(params_text(workspace.profile))
    found: dict[str, None] = {}
    for stage in made:
        wanted = {key: _at(today, key) for key in settings_of(STEPS[stage.name])} if stage.name in STEPS else {}
        for key in sorted(wanted.keys() | stage.params.keys()):
            if key in wanted and key in stage.params and wanted[key] == stage.params[key]:
                continue
            found[_difference(key, stage.params.get(key), wanted.get(key))] = None
    return list(found), []


def _made_by(stages: list[LockedStage], folders: list[tuple[str, str]]) -> Iterator[LockedStage]:
    """The stages that made these (asset, listing) folders, and those that made what they read."""
    by_product = {(stage.name, stage.made): stage for stage in reversed(stages)}
    waiting, seen = list(folders), set(folders)
    while waiting:
        stage = by_product.get(waiting.pop())
        if stage is not None:
            yield stage
            above = set(stage.read.items()) - seen
            seen |= above
            waiting += sorted(above)


def _at(values: Any, dotted: str) -> Any:
    for key in dotted.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _difference(key: str, before: Any, now: Any) -> str:
    step = key.removeprefix("code_version.")
    if step != key:
        return f"code version of {step} {before} -> {now}"
    parts = sorted(_leaves(key, before, now))
    return f"{parts[0]}{f' and {len(parts) - 1} more' if len(parts) > 1 else ''}"


def _leaves(key: str, before: Any, now: Any) -> Iterable[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in before.keys() | now.keys():
            if before.get(name) != now.get(name):
                yield from _leaves(f"{key}.{name}", before.get(name), now.get(name))
    else:
        yield f"{key} {before} -> {now}"

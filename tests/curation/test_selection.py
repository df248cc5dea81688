"""All shards at once: counts, sweeps that agree with counting at every threshold, and only changed parts gathered."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from curation.pages.figures import sweep_chart, sweep_rows
from curation.scores.table import scores_schema
from curation.subsets.nested_subsets import assign_subsets
from curation.subsets.predicates import evaluate, parse_predicate, threshold_of
from curation.subsets.selection import (
    RepeatedCaptions,
    caption_sources,
    gather_scores,
    open_scores,
    repeated_captions,
    select,
)
from curation.subsets.threshold_sweep import sweep
from curation.tables.storage import CurationError, write_table
from profiles.conditions import SUBSETS

RULES = {
    "text": "motion >= 0.3 and cut_score < 0.5",
    "audio": "has_audio and mouth_audio_correlation > 0.25 and seconds <= 6",
    "pose": "pose_visibility >= 0.75 or motion > 2",
}


@pytest.fixture
def config(laptop):
    return laptop.curation.model_copy(update=RULES)


def made_scores(rng: np.random.Generator, rows: int, schema: pa.Schema) -> pd.DataFrame:
    """Values on a coarse grid, so that many lie exactly on a threshold, and some are missing."""
    values = {name: np.round(rng.uniform(0, 1, rows) * 4) / 4 for name in schema.names}
    table = pd.DataFrame(values)
    table["keypoints_offset"] = table["keypoints_frames"] = 25
    for name in (field.name for field in schema if field.type == pa.string()):
        table[name] = "a person"
    table["clip_id"] = [f"{value:016x}" for value in rng.integers(0, 2**62, rows)]
    table["has_audio"] = rng.random(rows) < 0.7
    table["mouth_audio_correlation"] = table["mouth_audio_correlation"].where(rng.random(rows) < 0.8)
    table["motion"], table["seconds"] = table["motion"] * 3, rng.integers(2, 9, rows).astype(float)
    return table[schema.names]


@pytest.fixture
def shards(tmp_path, config):
    rng, schema = np.random.default_rng(0), scores_schema(config.scores)
    paths = {}
    for index in range(5):
        paths[f"s-{index}"] = tmp_path / f"{index}.parquet"
        write_table(made_scores(rng, 400 + index, schema), paths[f"s-{index}"], schema)
    return paths


@pytest.mark.parametrize("silent_pose", [False, True])
def test_counts_over_all_shards_are_the_sum_of_each_shards(shards, config, tmp_path, silent_pose):
    config = config.model_copy(update={"silent_pose": silent_pose})
    found = select(open_scores(gather_scores(shards, tmp_path / "gathered")), config)
    tables = [pd.read_parquet(path) for path in shards.values()]
    subsets = [assign_subsets(table, config) for table in tables]
    assert found.clips == sum(map(len, tables))
    assert found.hours == pytest.approx(sum(table["seconds"].sum() for table in tables) / 3600)
    for name in SUBSETS:
        assert found.subset_clips[name] == sum(part[name].sum() for part in subsets) > 0
        hours = sum((table["seconds"] * part[name]).sum() for table, part in zip(tables, subsets, strict=True)) / 3600
        assert found.subset_hours[name] == pytest.approx(hours)


def test_every_point_of_a_sweep_is_what_counting_with_that_threshold_gives(shards, config, tmp_path):
    dataset = open_scores(gather_scores(shards, tmp_path / "gathered"))
    found = sweep(dataset, config)
    clauses = [curve.clause for curve in found.curves]
    assert clauses == ["motion >= 0.3", "cut_score < 0.5", "mouth_audio_correlation > 0.25", "seconds <= 6"]
    for curve in found.curves:
        own = int(np.flatnonzero(curve.values == curve.threshold.number)[0])
        for point in (0, own, len(curve.values) // 2, len(curve.values) - 1):
            number = float(curve.values[point])
            text = RULES[curve.subset].replace(
                curve.clause, f"{curve.threshold.column} {curve.threshold.comparison} {number!r}"
            )
            counted = select(dataset, config.model_copy(update={curve.subset: text}))
            for name in curve.hours:
                assert curve.clips[name][point] == counted.subset_clips[name], (curve.clause, number, name)
                assert curve.hours[name][point] == pytest.approx(counted.subset_hours[name])


def test_a_sweep_is_drawn_and_its_table_marks_the_profiles_own_threshold(shards, config, tmp_path):
    found = sweep(open_scores(gather_scores(shards, tmp_path / "gathered")), config)
    assert sweep_chart(found).startswith(b"\x89PNG")
    own = [row for row in sweep_rows(found) if row["profile"] == "*"]
    assert [row["threshold"] for row in own][:2] == ["motion >= 0.3", "cut_score < 0.5"]
    assert len({row["pose hours"] for row in own}) == 1, "at the profile's own thresholds every curve says the same"


def test_only_the_changed_shards_part_is_gathered_again(shards, config, tmp_path):
    folder = tmp_path / "gathered"
    first = gather_scores(shards, folder)
    assert gather_scores(shards, folder) == first
    times = {path: path.stat().st_mtime_ns for path in first}
    schema = scores_schema(config.scores)
    write_table(made_scores(np.random.default_rng(9), 10, schema), shards["s-3"], schema)
    second = gather_scores(shards, folder)
    assert len(set(first) - set(second)) == 1 and sorted(folder.iterdir()) == second
    assert all(times[path] == path.stat().st_mtime_ns for path in set(first) & set(second))


def test_a_column_that_no_shard_has_is_named(shards, config, tmp_path):
    dataset = open_scores(gather_scores(shards, tmp_path / "gathered"))
    wider = config.model_copy(
        update={"pose": "head_yaw < 30", "scores": config.scores.model_copy(update={"people": {"confident": 0.5}})}
    )
    with pytest.raises(CurationError, match="no shard has the column 'head_yaw'"):
        select(dataset, wider)
    with pytest.raises(CurationError, match="unknown column 'head_yaw'"):
        select(dataset, config.model_copy(update={"pose": "head_yaw < 30"}))
    with pytest.raises(CurationError, match="no shard is scored"):
        gather_scores({}, tmp_path / "none")


def test_captions_are_counted_by_source_and_those_that_repeat_by_their_words(tmp_path):
    def dataset(*shards):
        for index, captions in enumerate(shards):
            sources = ["none" if caption == "" else "sidecar" for caption in captions]
            pd.DataFrame({"caption": captions, "caption_source": sources}).to_parquet(tmp_path / f"{index}.parquet")
        return open_scores(sorted(tmp_path.glob("*.parquet")))

    found = dataset(["a", "b", "", "", ""], ["b", "b", "a", "c", ""])
    assert caption_sources(found) == {"sidecar": 6, "none": 4}
    assert repeated_captions(found) == RepeatedCaptions(2, 3, "b")
    assert repeated_captions(dataset(["a", "", ""], ["b"])) == RepeatedCaptions(0, 0, "")
    assert repeated_captions(dataset([""], [""])) == RepeatedCaptions(0, 0, "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x > 1", [False, True, False]),
        ("not x > 1", [True, False, False]),
        ("x != 2", [True, False, False]),
        ("x < 5 or flag", [True, True, True]),
        ("x < 5 and flag", [False, True, False]),
        ("0.5 < x <= 2", [True, True, False]),
        ("x in (1, 3)", [True, False, False]),
        ("x not in [1, 3]", [False, True, False]),
        ("x / 2 + 1 == 2", [False, True, False]),
        ("-x < -1", [False, True, False]),
        ("word == 'b'", [False, True, False]),
        ("~flag", [True, False, False]),
    ],
)
def test_what_predicates_say_and_that_a_missing_value_never_passes(text, expected):
    table = pd.DataFrame({"x": [1.0, 2.0, np.nan], "flag": [False, True, True], "word": ["a", "b", None]})
    parse_predicate(text, list(table))
    assert evaluate(text, table).tolist() == expected


def test_whole_numbers_are_divided_with_their_fraction():
    assert evaluate("frames / parts > 1.4", pd.DataFrame({"frames": [3], "parts": [2]})).tolist() == [True]


@pytest.mark.parametrize("text", ["word > 1", "word + 1 == 2", "word and flag"])
def test_what_cannot_be_compared_is_an_error_that_names_the_predicate(text):
    with pytest.raises(CurationError, match="cannot be computed"):
        evaluate(text, pd.DataFrame({"flag": [True], "word": ["a"]}))


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        ("x >= -0.5", ("x", ">=", -0.5)),
        ("x < 3", ("x", "<", 3.0)),
        ("flag", None),
        ("x + 1 > 2", None),
        ("1 < x < 2", None),
        ("x == 1", None),
    ],
)
def test_movable_thresholds(clause, expected):
    found = threshold_of(clause)
    assert (None if found is None else (found.column, found.comparison, found.number)) == expected


def test_a_sweep_of_subsets_that_are_not_nested_is_refused(shards, config, tmp_path):
    with pytest.raises(CurationError, match="silent_pose=false"):
        sweep(shards, config.model_copy(update={"silent_pose": True}))

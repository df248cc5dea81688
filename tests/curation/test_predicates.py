"""Predicates: what they may say, and what missing values do."""

import numpy as np
import pandas as pd
import pytest

from curation.errors import CurationError
from curation.subsets.nested_subsets import assign_subsets, explain, funnel_of
from curation.subsets.predicates import parse_predicate

COLUMNS = ("motion", "has_audio", "mouth_audio_correlation")


def test_an_unknown_column_is_named_with_those_that_exist():
    with pytest.raises(CurationError, match=r"curation.text .*unknown column 'motoin'; known columns are has_audio"):
        parse_predicate("motoin > 1", COLUMNS, "curation.text")


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('x')", "motion.__class__", "@motion > 1", "motion[0] > 1", "motion >", "(lambda: 1)()"],
)
def test_calls_attributes_and_local_variables_are_refused(text):
    with pytest.raises(CurationError, match="does not parse|may not"):
        parse_predicate(text, COLUMNS)


def test_clauses_are_the_terms_of_the_outermost_and():
    found = parse_predicate("has_audio and (motion > 1 or motion < 0) and not motion == 3", COLUMNS)
    assert found.clauses == ("has_audio", "motion > 1 or motion < 0", "not motion == 3")
    assert found.columns == ("has_audio", "motion")


def test_a_missing_value_never_passes_and_a_number_is_no_predicate():
    table = pd.DataFrame({"motion": [1.0, np.nan, 3.0], "has_audio": [True, True, False]})
    assert parse_predicate("has_audio and motion >= 1", COLUMNS).passes(table).tolist() == [True, False, False]
    with pytest.raises(CurationError, match="not true or false"):
        parse_predicate("motion + 1", COLUMNS).passes(table)


@pytest.mark.parametrize(
    "text", ["1 / motion > 0.1", "not 1 / motion < 0.1", "0 < 2 / (motion - 0.0)", "1 / motion != 7"]
)
def test_a_division_by_zero_rejects_that_clip_alone(text):
    table = pd.DataFrame({"motion": [1.0, 0.0, 3.0, -0.0]})
    assert parse_predicate(text, COLUMNS).passes(table).tolist() == [True, False, True, False]
    whole = pd.DataFrame({"motion": [1, 0, 3]})
    assert parse_predicate(text, COLUMNS).passes(whole).tolist() == [True, False, True]


def test_a_clip_that_a_division_by_zero_rejects_is_told_the_clause(scored, simple):
    rules = simple.model_copy(update={"text": "has_audio and 1 / motion >= 1"})
    found = assign_subsets(scored, rules).set_index("clip_id")
    assert found["text"].to_dict() == {"aa": True, "ab": False, "b": False, "c": True}
    assert "1 / motion >= 1" in str(found.loc["b"].to_dict()) and "1 / motion" not in str(found.loc["c"].to_dict())


@pytest.fixture
def scored() -> pd.DataFrame:
    rows = {
        "clip_id": ["aa", "ab", "b", "c"],
        "motion": [1.0, 1.0, 0.0, 1.0],
        "has_audio": [True, False, True, True],
        "pose_visibility": [1.0, 1.0, 1.0, 0.0],
    }
    return pd.DataFrame(rows)


@pytest.fixture
def simple(laptop):
    rules = {"text": "motion > 0.5", "audio": "has_audio", "pose": "pose_visibility > 0.5"}
    return laptop.curation.model_copy(update=rules)


def test_subsets_are_nested_and_say_where_a_clip_stopped(scored, simple):
    found = assign_subsets(scored, simple)
    assert found["text"].tolist() == [True, True, False, True]
    assert found["audio"].tolist() == [True, False, False, True]  # b has sound, but is not in text
    assert found["pose"].tolist() == [True, False, False, False]
    expected = ["", "audio: has_audio", "text: motion > 0.5", "pose: pose_visibility > 0.5"]
    assert found["rejected_by"].tolist() == expected


def test_with_silent_pose_a_clip_without_speech_trains_pose(scored, simple):
    found = assign_subsets(scored, simple.model_copy(update={"silent_pose": True}))
    assert found["audio"].tolist() == [True, False, False, True]
    assert found["pose"].tolist() == [True, True, False, False]  # b is not in text
    assert found["rejected_by"].tolist() == [
        "",
        "audio: has_audio",
        "text: motion > 0.5",
        "pose: pose_visibility > 0.5",
    ]


def test_the_funnel_counts_every_clause(scored, simple):
    funnel = funnel_of(assign_subsets(scored, simple), simple)
    assert [funnel[name] for name in ("clips_in", "text", "audio", "pose")] == [4, 3, 2, 1]
    assert funnel["rejections"] == {
        "text": {"motion > 0.5": 1}, "audio": {"has_audio": 1}, "pose": {"pose_visibility > 0.5": 1},
    }  # fmt: skip


def test_explain_gives_each_clause_its_values(scored, simple):
    clips = scored[["clip_id"]].assign(width=64, height=64, fps=16.0, seconds=1.5, frames=25, near_duplicate=False)
    verdicts = explain("ab", clips, scored, simple)
    assert [(v.subset, v.passed) for v in verdicts] == [("text", True), ("audio", False), ("pose", True)]
    assert verdicts[0].values == {"motion": 1.0}
    with pytest.raises(CurationError, match="2 clips"):
        explain("a", clips, scored, simple)

"""The card of a registered version, as text."""

import re

import pandas as pd
import pytest

from assets.core.markdown import markdown_table
from assets.core.workspace import Workspace
from assets.kinds.registration.model_card import model_card
from media.records import ProductRecord, TrainedOnRecord
from profiles import load_profile
from tests.orchestration.rounds import put_snapshot


def cells(line: str) -> list[str]:
    """Of one row, as GitHub's and MLflow's readers divide it: at each bar that no backslash escapes."""
    parts = re.findall(r"((?:\\.|[^|\\])*)\|", line)[1:]
    return [re.sub(r"\\([|\\])", r"\1", part).strip() for part in parts]


@pytest.mark.parametrize("said", ["CC BY 4.0 | no adverts", "|", "a\\|b", "two\nlines", "C:\\papers"])
def test_whatever_is_said_stays_in_its_cell(said):
    table = markdown_table([{"licence": said, "clips": 3}]).splitlines()
    assert len(table) == 3 and cells(table[2]) == [" ".join(said.splitlines()), "3"]


def test_a_bar_in_a_sidecars_words_breaks_no_table(tmp_path):
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    put_snapshot(workspace, "0d" * 32, ["a" * 16])
    consents = [{"consent": "yes | by letter", "licence": "CC0\n| all", "clips": 2}]
    clips = TrainedOnRecord({"snapshot": "0d" * 32, "clips": {"people": 2}, "consents": consents})
    record = ProductRecord({"name": "distilled_student", "parameters": 5, "steps": 1, "weights_digest": "ab"})
    scores = pd.DataFrame(columns=["value", "metric", "benchmark", "mode", "coverage", "sampling"])
    counts = {"text": 2, "audio": 2, "pose": 2, "clips": 1}
    snapshot = workspace.data("training_snapshot") / "snapshot.json"
    snapshot.write_text(snapshot.read_text().replace('"counts": {"clips": 1}', f'"counts": {counts}'.replace("'", '"')))
    card = model_card(workspace, "omnihuman-student", 1, record, scores, "s.png", "s.mp4", clips).splitlines()
    head = card.index("| consent | licence | clips |")
    assert cells(card[head + 2]) == ["yes | by letter", "CC0 | all", "2"]

"""Which columns the table at a demo's end has."""

from assets.core.workspace import Workspace
from evaluation.scoring.comparison_columns import EVERY
from orchestration.demo.summary import ROOM, shown_columns
from profiles import load_profile

TITLES = [column.title for column in EVERY if column.narrow]


def test_of_many_columns_those_that_the_gate_reads_and_the_cost_are_shown_and_of_few_all(tmp_path):
    workspace = Workspace(tmp_path, load_profile("people", []))
    shown = {column.metric for column in EVERY if column.title in shown_columns(workspace, TITLES)}
    assert shown == {"faces_found", "dlib_face_distance", "mouth_opening_r", "missing_keypoints", "seconds_per_clip"}
    assert shown_columns(workspace, TITLES[:ROOM]) == TITLES[:ROOM]

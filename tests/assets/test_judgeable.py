"""What a gate asks for is looked for before anything is trained: its metric, its benchmark, its network."""

import pytest

from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.kinds.judging.judgeable import foreseen, judgeable
from evaluation.scoring.criteria import GateError
from networks.weights import NetworkError
from profiles import load_profile

PEOPLE = ["evaluation.benchmarks=[packaged]", "gate.headline=null"]


def workspace(root, *settings: str) -> Workspace:
    return Workspace(root, load_profile("laptop", [*settings]))


def test_what_judges_is_said(tmp_path):
    said = judgeable(workspace(tmp_path))
    assert said.startswith("64 puppets; gate: mouth_correlation (puppets, audio), missing_joints (puppets, audio)")
    only = "gate.criteria={flicker: {max: 9.0, benchmark: packaged}}"
    assert judgeable(workspace(tmp_path, *PEOPLE, only)) == "packaged clips; gate: flicker (packaged, audio)"


@pytest.mark.parametrize(
    ("criterion", "said"),
    [
        (
            "{fid: {max: 9.0}}",
            r"fid \(packaged, audio\), which cannot be measured: needs .*Inception.*evaluation\.networks\.inception",
        ),
        ("{akd: {max: 9.0}}", r"akd \(packaged, pose\), which cannot be measured: needs keypoints"),
        (
            "{mouth_correlation: {min: 0.5}}",
            r"mouth_correlation \(packaged, audio\), which cannot be measured: the samples are no puppets",
        ),
    ],
)
def test_a_criterion_that_nothing_here_measures_is_refused_with_the_remedy(tmp_path, criterion, said):
    with pytest.raises(GateError, match=said):
        judgeable(workspace(tmp_path, *PEOPLE, f"gate.criteria={criterion}"))


def test_puppets_are_not_judged_by_what_reads_people(tmp_path):
    with pytest.raises(GateError, match=r"hkc \(puppets, pose\): puppets are judged by their exact truth"):
        judgeable(workspace(tmp_path, "gate.criteria.hands={metric: hkc, mode: pose, min: 0.5}"))


def test_a_named_network_and_a_test_set_that_are_not_there_are_named(tmp_path):
    only = "gate.criteria={flicker: {max: 9.0, benchmark: packaged}}"
    with pytest.raises(NetworkError, match="nowhere.pth"):
        judgeable(workspace(tmp_path, *PEOPLE, only, f"evaluation.networks.inception={tmp_path}/nowhere.pth"))
    sets = ["evaluation.benchmarks=['test_set:mine']", "gate.headline=null", "gate.criteria={flicker: {max: 9.0}}"]
    with pytest.raises(AssetError, match=r"test_set:mine.*omnihuman testset build"):
        judgeable(workspace(tmp_path, *sets))
    both = workspace(tmp_path, *sets, f"evaluation.networks={{inception: {tmp_path}/a.pth, i3d: {tmp_path}/b.pt}}")
    test_set, inception, i3d = foreseen(both)
    assert "test_set:mine" in test_set and "a.pth" in inception and "take fvd, kvd out of the gate" in i3d
    assert foreseen(workspace(tmp_path)) == []

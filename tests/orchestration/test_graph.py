"""The code location loads, everything in it is described, and DVC's graph is the same graph."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.core.catalogue import FLOW, STEPS
from assets.core.dvc_stages import stages_text
from evaluation.questions.studies import STUDIES
from orchestration.definitions import defs
from tests import forked

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def graph():
    return defs.resolve_asset_graph()


def test_every_asset_is_described_grouped_owned_and_has_kinds(graph):
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert len(node.description or "") > 30, key
        assert node.group_name in {"curation", "training", "distillation", "evaluation", "promotion", "tools"}, (
            key,
            node.group_name,
        )
        assert node.owners and node.kinds, key
        if key.to_user_string() in STEPS:
            (reference,) = node.metadata["dagster/code_references"].code_references
            assert (ROOT / "assets") in Path(reference.file_path).parents and reference.line_number > 1, key


def test_dvc_stages_and_assets_are_the_same_nodes_and_edges(graph):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    outputs = {}
    for name, stage in stages.items():
        for out in stage["outs"]:
            outputs[out if isinstance(out, str) else next(iter(out))] = name
    # Files under version control, such as the list of withdrawn clips, are made by people and not by a stage.
    files = {name for step in FLOW for name in step.files}
    deps = [(dep, name) for name, stage in stages.items() for dep in stage.get("deps", [])]
    dvc_edges = {(outputs[dep], name) for dep, name in deps if dep not in files}
    assert {(dep, name) for dep, name in deps if dep in files} == {(f, step.name) for step in FLOW for f in step.files}
    keys = {key.to_user_string() for key in graph.get_all_asset_keys()}
    # The inbox is what people drop files into, a decision is the schedule's, the autoencoder's product is kept in git, studies and slim decoders are started by hand.
    assert keys - {
        "inbox",
        "nightly_decision",
        "laptop_autoencoder",
        "slim_decoder",
        "streaming_student",
        "ablation_study",
    } == set(stages)
    dagster_edges = {
        (parent.to_user_string(), key.to_user_string())
        for key in graph.get_all_asset_keys()
        for parent in graph.get(key).parent_keys
    }
    assert {
        edge
        for edge in dagster_edges
        if edge[0] != "inbox" and edge[1] not in ("ablation_study", "slim_decoder", "streaming_student")
    } == dvc_edges


def test_studies_are_partitions_of_one_asset_that_the_main_job_leaves_out(graph):
    key = dg.AssetKey("ablation_study")
    assert graph.get(key).partitions_def.get_partition_keys() == list(STUDIES)
    made = {key.to_user_string() for key in defs.resolve_job_def("train_and_promote").asset_layer.executable_asset_keys}
    assert made == {step.name for step in FLOW if not step.sharded}


def test_dvc_yaml_is_what_the_steps_say():
    assert (ROOT / "dvc.yaml").read_text() == stages_text()


def test_every_stage_command_names_its_own_asset():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert {name: f"python -m assets {name}" for name in stages} == {
        name: stage["cmd"] for name, stage in stages.items()
    }
    assert list(stages) == [step.name for step in FLOW]


def test_loading_the_code_location_imports_no_torch():
    code = "import sys, orchestration.definitions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, check=False).returncode == 0


def test_an_unknown_profile_key_is_one_line_and_exit_code_2(tmp_path):
    environment = os.environ | {"OMNIHUMAN_HOME": str(tmp_path), "OMNIHUMAN_SET": "stage_1.stepz=4"}
    command = [sys.executable, "-m", "orchestration.commands.cli", "demo"]
    done = forked.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "stage_1.stepz" in done.stderr and "Traceback" not in done.stderr


def test_upstream_assets_exist_and_come_first():
    seen = set()
    for step in FLOW:
        assert set(step.upstream) <= seen, step.name
        seen.add(step.name)
    assert set(STEPS) - seen == {"laptop_autoencoder", "slim_decoder", "streaming_student"}

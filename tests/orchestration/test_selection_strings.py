"""Selections typed as text: Dagster's parser and DVC's Hydra live in one environment (docs/decisions/0044)."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from orchestration.definitions import defs

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("raw_clips", {"raw_clips"}),
        ("key:raw_* or key:benchmark_sets", {"raw_clips", "benchmark_sets"}),
        ("group:promotion", {"registered_model", "promoted_champion"}),
        (
            "key:raw_clips+1",
            {"raw_clips", "clip_scores", "condition_features", "filtered_subsets", "training_snapshot"},
        ),
        ("1+key:promoted_champion", {"registered_model", "benchmark_sets", "benchmark_scores", "promoted_champion"}),
        ("+key:clip_scores and not key:inbox", {"raw_clips", "clip_scores"}),
    ],
)
def test_a_selection_string_selects_by_name_by_group_and_by_distance(text, selected):
    keys = dg.AssetSelection.from_string(text).resolve(defs.resolve_asset_graph())
    assert {key.to_user_string() for key in keys} == selected


def test_the_dagster_command_selects_by_name_group_and_plus(tmp_path):
    """The command as installed, in a process of its own: what it imports before its parser counts too."""
    command = [str(Path(sys.executable).with_name("dagster")), "asset", "list", "-m", "orchestration.definitions"]
    done = subprocess.run(
        [*command, "--select", 'key:"clip_scores"+ and group:"curation"'],
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["clip_scores", "condition_features", "filtered_subsets", "training_snapshot"]


def test_dvc_overrides_parameters_by_hydras_grammar(tmp_path):
    """What `dvc exp run --set-param` does to params.yaml, and how it takes a sweep apart."""
    from dvc.utils.hydra import apply_overrides, get_hydra_sweeps

    params = tmp_path / "params.yaml"
    params.write_text("rate: 0.1\nvideo: {frames: 25, note: old}\n")
    apply_overrides(params, ["rate=0.5", "video.frames=49", "+video.sizes=[64,128]", "~video.note"])
    assert yaml.safe_load(params.read_text()) == {"rate": 0.5, "video": {"frames": 49, "sizes": [64, 128]}}
    assert get_hydra_sweeps({"params.yaml": ["rate=choice(1,2)"]}) == [
        {"params.yaml": ["rate=1"]},
        {"params.yaml": ["rate=2"]},
    ]


def test_dvc_composes_a_hydra_configuration(tmp_path):
    """`hydra.enabled`: groups, an override, and an interpolation, which OmegaConf's own parser reads."""
    from dvc.utils.hydra import compose_and_dump

    (tmp_path / "conf" / "video").mkdir(parents=True)
    (tmp_path / "conf" / "config.yaml").write_text("defaults: [{video: small}, _self_]\nedge: ${video.width}\n")
    (tmp_path / "conf" / "video" / "small.yaml").write_text("width: 64\n")
    (tmp_path / "conf" / "video" / "large.yaml").write_text("width: 640\n")
    made = tmp_path / "params.yaml"
    with pytest.warns(UserWarning, match="version_base"):
        compose_and_dump(made, str(tmp_path / "conf"), None, "config", str(tmp_path), ["video=large"])
    assert yaml.safe_load(made.read_text()) == {"video": {"width": 640}, "edge": 640}

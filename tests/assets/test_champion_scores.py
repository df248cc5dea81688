"""What a challenger is compared with: the champion's stored numbers, or, where the gate reads more than was stored, new ones."""

import pandas as pd
import pytest

from assets.core.names import STUDENT
from assets.core.workspace import Workspace
from assets.kinds.registration.promotion import champion_scores
from assets.kinds.registration.version_files import SCORES
from evaluation.benchmark.benchmark_plan import STUDENT as ROWS
from evaluation.benchmark.puppet_benchmark import build_puppets
from evaluation.scoring.criteria import limits
from omnihuman.digests import weights_digest
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from tracking.version_origin import VersionOrigin
from training.stages.model import build_transformer

SIZES = ["transformer.num_layers=1", "evaluation.clips=2", "evaluation.batch_size=2", "evaluation.bootstrap=10"]
NEWER = "missing_hands"


@pytest.mark.parametrize("stored_newer", [False, True])
def test_a_metric_that_came_to_the_gate_later_is_measured_on_the_champion(tmp_path, stored_newer):
    workspace = Workspace(tmp_path, load_profile("laptop", SIZES))
    profile = workspace.profile
    benchmark = build_puppets(workspace.of_benchmark("benchmark_sets"), profile.evaluation, profile.video, [])
    folder = tmp_path / "model"
    build_pipeline(profile, build_transformer(profile, None, 0), 1).save_pretrained(folder, safe_serialization=True)
    metrics = [name for name in limits(profile.gate, "puppets") if stored_newer or name != NEWER]
    pd.DataFrame({"model": ROWS, "mode": "audio", "metric": metrics, "value": 0.125, "ci_low": 0.1}).to_parquet(
        folder / SCORES
    )
    origin = VersionOrigin(weights_digest=weights_digest(folder / "transformer"), benchmark=benchmark.digest)
    workspace.var.mkdir(exist_ok=True)
    version = workspace.registry.register(STUDENT, folder, origin=origin).version
    found = champion_scores(workspace, version, lambda *progress: None)
    assert set(limits(profile.gate, "puppets")) <= set(found["metric"])
    assert (found["value"] == 0.125).all() == stored_newer, (
        "stored numbers are taken where they are all there, and only there"
    )

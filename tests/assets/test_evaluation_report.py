"""The snapshot's clips come with their own features and scores, and what is absent is said."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from assets.core.workspace import Workspace
from assets.kinds.judging.evaluation_report import training_clips
from evaluation.scoring.error_analysis import latent_features
from profiles import load_profile

BUCKET = "64x64x17@16"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two shards; clip b has two samples, clip d lies in another bucket, and no score of c is known."""
    workspace = Workspace(tmp_path, load_profile("laptop", []))
    rows = [
        ("a", "s-1", BUCKET, 1),
        ("b", "s-1", BUCKET, 0),
        ("b", "s-1", BUCKET, 2),
        ("c", "s-2", BUCKET, 0),
        ("d", "s-2", "64x32x17@16", 0),
    ]
    workspace.data("training_snapshot").mkdir(parents=True)
    pd.DataFrame(rows, columns=["clip_id", "shard", "bucket", "row"]).to_parquet(
        workspace.data("training_snapshot") / "samples.parquet"
    )
    for shard, count in (("s-1", 3), ("s-2", 1)):
        folder = workspace.data("condition_features", shard)
        folder.mkdir(parents=True)
        save_file(
            {"latents": torch.randn(count, 16, 5, 8, 8, generator=torch.Generator().manual_seed(count)).half()},
            folder / f"features-{BUCKET}.safetensors",
        )
    workspace.data("clip_scores", "s-1").mkdir(parents=True)
    scores = pd.DataFrame({"clip_id": ["b", "a"], "motion": [0.2, 0.1], "frames": [25, 25], "caption": ["x", "y"]})
    scores.to_parquet(workspace.data("clip_scores", "s-1") / "scores.parquet")
    return workspace


def test_each_clip_has_its_first_samples_features_and_its_own_scores(workspace):
    found, why = training_clips(workspace)
    assert why == "" and found.names == ["a", "b", "c"] and found.of == 3
    latents = torch.randn(3, 16, 5, 8, 8, generator=torch.Generator().manual_seed(3)).half().float().numpy()
    np.testing.assert_allclose(found.features[:2], latent_features(latents)[[1, 0]], rtol=1e-6)
    assert list(found.scores) == ["motion"]
    assert found.scores["motion"].tolist()[:2] == [0.1, 0.2] and np.isnan(found.scores["motion"][2])


def test_what_is_absent_is_named(workspace):
    (workspace.data("condition_features", "s-2") / f"features-{BUCKET}.safetensors").unlink()
    found, why = training_clips(workspace)
    assert found is None and "s-2" in why and "dvc checkout" in why
    (workspace.data("training_snapshot") / "samples.parquet").unlink()
    assert "samples.parquet" in training_clips(workspace)[1]

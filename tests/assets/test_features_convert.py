"""`omnihuman features convert`: the shards that an earlier version laid out, or that keep latents otherwise, and no others."""

import json

import pandas as pd

from assets.core.workspace import Workspace
from assets.kinds.condition_features import laid_out_otherwise
from assets.make import execute
from curation.features.feature_files import SAMPLES_SCHEMA
from curation.tables.storage import write_table
from orchestration.commands.data import features_convert
from profiles import load_profile


def test_shards_of_another_layout_or_dtype_are_made_again_and_others_left(tmp_path, monkeypatch, capsys):
    profile = load_profile("laptop", [])
    workspace = Workspace(tmp_path, profile)
    for shard, made, record in (
        ("s-first", {}, {}),
        ("s-int8", {"layout": "2"}, {"latents": "int8"}),
        ("s-few", {"layout": "2"}, {"audio_states": [0, 2]}),
        ("s-today", {"layout": "2"}, {"dtype": "float16"}),
    ):
        folder = workspace.data("condition_features", shard)
        folder.mkdir(parents=True)
        write_table(pd.DataFrame(columns=SAMPLES_SCHEMA.names), folder / "samples.parquet", SAMPLES_SCHEMA, made)
        (folder / "encoders.json").write_text(json.dumps(record))
    assert laid_out_otherwise(workspace) == ["s-few", "s-first", "s-int8"]
    rounded = profile.encoders.model_copy(update={"latents": "int8"})
    eighth = Workspace(tmp_path, profile.model_copy(update={"encoders": rounded}))
    assert laid_out_otherwise(eighth) == ["s-few", "s-first", "s-today"]
    few = profile.encoders.model_copy(update={"audio_states": (0, 2)})
    assert laid_out_otherwise(Workspace(tmp_path, profile.model_copy(update={"encoders": few}))) == [
        "s-first",
        "s-int8",
        "s-today",
    ]
    monkeypatch.setenv("OMNIHUMAN_HOME", str(tmp_path))
    shown = {"samples": 3, "encoded": 0, "bytes": 12_345}
    asked = []
    monkeypatch.setattr(
        execute, "execute", lambda workspace, step, shard: asked.append((step.name, shard)) or execute.Outcome("", 0.0, shown)
    )  # fmt: skip
    features_convert("laptop", None)
    assert asked == [("condition_features", shard) for shard in ("s-few", "s-first", "s-int8")]
    assert "s-first: 3 samples, 0 encoded, 12,345 bytes (2 of 3)" in capsys.readouterr().out

"""A stage over two buckets and images, by the real launcher."""

import json
from pathlib import Path

import pandas as pd
import pytest
from safetensors.torch import load_file

from tests.training.synthetic import Rows, finish, kill_at, losses, make_job, write_snapshot

pytestmark = pytest.mark.end_to_end

BUCKETS = [
    "video.buckets=[{height: 32, width: 32, frames: 9}, {height: 32, width: 48, frames: 9}]",
    "video.batch_multiple=2",
]


def test_a_killed_run_over_buckets_and_images_goes_on_with_the_same_batches_and_weights(tmp_path):
    write_snapshot(tmp_path, [Rows(), Rows("s-1", 10, 32, 48, 9)])
    overrides = [*BUCKETS, "stage_3.image_share=0.25", "stage_3.ratios={preset: default, motion: 0.5}"]
    whole, broken = (make_job(tmp_path, name, "stage", "stage_3", 60, overrides) for name in ("whole", "broken"))
    finish(whole)
    kill_at(broken, 6)
    assert not Path(broken.output).exists(), "the run ended before it could be killed"
    finish(broken)
    pd.testing.assert_frame_equal(losses(whole), losses(broken), check_exact=True)
    first, second = (
        load_file(Path(job.output) / "transformer" / "diffusion_pytorch_model.safetensors") for job in (whole, broken)
    )
    assert all(first[name].equal(second[name]) for name in first)
    records = [json.loads((Path(job.output) / "record.json").read_text()) for job in (whole, broken)]
    same = {
        name: value
        for name, value in records[0].items()
        if name.startswith(("ratio", "share", "samples_consumed", "epoch"))
    }
    assert same == {name: records[1][name] for name in same}
    # 45 video batches of 4 or 2, 15 image batches of 12 or 8: main and wide, so many as have 96 tokens.
    assert same["ratio/audio"] <= same["ratio_of_eligible/audio"] and 0.4 < same["share_of_images"] < 0.7
    assert losses(whole)["tokens"].nunique() > 1

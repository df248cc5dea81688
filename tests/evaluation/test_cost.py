"""What is measured is the transformer's and the decoder's own time, and the memory that the call itself took."""

import mmap
import time
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from torch import nn

from evaluation.benchmark.benchmark_plan import AUDIO
from evaluation.benchmark.cost import COSTS, GIB, Cost, CostMeter, cost_of
from evaluation.benchmark.generate import generate_videos


class Slow(nn.Module):
    def forward(self, x):
        time.sleep(0.03)
        return x


class SlowDecoder:
    def decode(self, x):
        time.sleep(0.08)
        return x


def test_time_is_told_apart_and_nothing_stays_hooked():
    pipeline = SimpleNamespace(transformer=Slow(), vae=SlowDecoder())
    decode = pipeline.vae.decode
    with CostMeter(pipeline) as meter:
        for _ in range(3):
            pipeline.transformer(torch.zeros(1))
        pipeline.vae.decode(torch.zeros(1))
        time.sleep(0.05)
    cost = meter.cost
    assert cost.passes == 3
    assert cost.transformer_seconds >= 0.09 and cost.decode_seconds >= 0.08
    assert cost.seconds >= cost.transformer_seconds + cost.decode_seconds + 0.05
    assert (
        pipeline.vae.decode == decode
        and not pipeline.transformer._forward_hooks
        and not pipeline.transformer._forward_pre_hooks
    )


def test_memory_that_is_freed_again_within_the_call_is_in_the_peak():
    pipeline = SimpleNamespace(transformer=nn.Identity(), vae=SlowDecoder())
    # Mapped, as a tensor may get memory that was freed before and still is the process's.
    with CostMeter(pipeline) as meter, mmap.mmap(-1, 64 * 2**20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
        block.write(b"1" * len(block))
        time.sleep(0.1)
    assert meter.cost.peak_memory_gib - meter.cost.memory_gib > 60 * 2**20 / GIB


def test_a_failing_call_leaves_the_pipeline_as_it_was():
    pipeline = SimpleNamespace(transformer=nn.Identity(), vae=SlowDecoder())
    decode = pipeline.vae.decode
    with pytest.raises(RuntimeError, match="no"), CostMeter(pipeline):
        raise RuntimeError("no")
    assert pipeline.vae.decode == decode and not pipeline.transformer._forward_hooks


def test_cost_is_per_second_of_video():
    calls = [Cost(8.0, 4.0, 2.0, 40, 1.0, 5.0), Cost(4.0, 2.0, 1.0, 40, 1.0, 2.0)]
    found = cost_of(calls, [4.0, 2.0])
    assert found == {
        "generation_seconds": 2.0, "transformer_seconds": 1.0, "decode_seconds": 0.5, "transformer_passes": 40.0, "peak_memory": 5.0,
        "memory_per_second": 1.0,
    }  # fmt: skip
    assert list(found) == list(COSTS)


def test_every_model_and_mode_of_the_score_table_has_its_cost(benchmark, obedient, config, tmp_path):
    from evaluation.benchmark.benchmark_plan import ModelPlan
    from evaluation.scoring.score import score_benchmark

    generate_videos(obedient(benchmark), benchmark, tmp_path / "m" / AUDIO, AUDIO, 5, config, weights="w")
    generate_videos(
        obedient(benchmark), benchmark, tmp_path / "reconstruction" / "pixels", AUDIO, 1, config, weights="w"
    )
    scores = score_benchmark(tmp_path, benchmark, tmp_path / "scores", config, plan=[ModelPlan("m", "m", (AUDIO,), 5)])
    rows = scores[scores["model"] == "m"].set_index("metric")["value"]
    assert rows["transformer_passes"] == 5 and set(COSTS) <= set(rows.index)
    assert rows["generation_seconds"] >= rows["transformer_seconds"] + rows["decode_seconds"]
    assert pd.notna(rows[list(COSTS)]).all()

"""Training in bfloat16 against float32, from the same weights and draws: losses, gradients, the penalty, and the pairs of consistency.

A cut-down Wan with the published profile's grids, shifts, sigmas and optimisers; `python -m benchmarks.training.precision` makes the
whole table (docs/results/2026-11-29-precision.md).
"""

import pytest
import torch

from benchmarks.training.precision import (
    AUTOCAST,
    FLOAT32,
    KINDS,
    ROUNDED,
    Watched,
    compare,
    cut_down,
    make_batch,
    network,
    train,
)
from training.stages.flow_matching_step import optimizer_step

PROFILE = cut_down()
# Where every weight is rounded, ways and R1 are as far off after eight steps as after twenty; the decoder's gradients swing until then.
STEPS = dict.fromkeys(KINDS, 8) | {"slim_decoder": 20}


@pytest.fixture(scope="module", autouse=True)
def group(tmp_path_factory):
    """A process group of one, which adding losses up over ranks needs."""
    store = torch.distributed.FileStore(str(tmp_path_factory.mktemp("group") / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("kind", KINDS)
def test_some_steps_in_bfloat16_learn_what_float32_learns(kind):
    """RMSProp divides by a gradient's own size, so a weight whose gradient is next to nothing may go either way: the images' generator's way differs most."""
    ours, exact = (train(PROFILE, kind, way, steps=STEPS[kind], samples=2) for way in (AUTOCAST, FLOAT32))
    for row in compare(kind, AUTOCAST, ours, exact):
        if "way of" in row.quantity:
            assert row.value > (0.95 if kind == "adversarial_images" else 0.99), row
        elif "at step" in row.quantity:
            assert row.value > 0.998, row
        elif "cosine" in row.quantity:
            assert row.value > 0.999, row
        elif row.quantity == "pairs with loss 0":
            assert row.value == 0, row
        elif "ratio" in row.quantity:
            assert row.value == pytest.approx(1, abs=0.05), row
        else:
            assert row.value < (0.05 if row.quantity.startswith("r1") else 0.02), row


def test_the_penalty_is_lost_where_everything_is_rounded():
    """So the test above can fail: of the images' perturbation of 0.01 rounding makes a penalty a hundred times as large."""
    ours, exact = (train(PROFILE, "adversarial_images", way, samples=2) for way in (ROUNDED, FLOAT32))
    (penalty,) = (
        row.value for row in compare("adversarial_images", ROUNDED, ours, exact) if row.quantity.startswith("r1")
    )
    assert penalty > 1


def test_under_autocast_wans_float32_parts_compute_in_float32_and_queries_and_keys_in_bfloat16():
    seen = {}

    def note(name):
        return lambda module, given, made: seen.update({name: made.dtype})

    model = network(PROFILE, 0)
    parts = {
        "time": model.condition_embedder.time_embedder,
        "modulation": model.condition_embedder.time_proj,
        "read-out": model.proj_out,
    }
    parts |= {
        "norm": model.blocks[0].norm1,
        "query": model.blocks[0].attn1.norm_q,
        "value": model.blocks[0].attn1.to_v,
        "block": model.blocks[0],
    }
    for name, module in parts.items():
        module.register_forward_hook(note(name))
    optimizer_step(Watched(model, PROFILE.stage_3.optimizer, AUTOCAST), make_batch(PROFILE, 1, 0), PROFILE.stage_3)
    exact = {name for name, dtype in seen.items() if dtype == torch.float32}
    assert exact == {"time", "modulation", "read-out", "norm"} and set(seen) == set(parts)
    assert {dtype for name, dtype in seen.items() if name not in exact} == {torch.bfloat16}
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())

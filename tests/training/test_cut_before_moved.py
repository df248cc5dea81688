"""Under ZeRO-3 no network is brought to a device whole: what trains and what only answers is cut, weight by weight, before it is moved."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
from torch import nn

from tests.forked import run

ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = 40 * 40 * 8


def moved_whole(cut_first: bool) -> list[int]:
    """By engine, how many weights a module held uncut when it was sent to a device; in a process of its own, for DeepSpeed's group ends with it."""
    import deepspeed  # noqa: F401 - before anything of it is replaced

    from benchmarks.training.process_group import start_alone
    from profiles.schema import EngineConfig, OptimizerConfig
    from training.engine import deepspeed_engine

    start_alone()
    whole: list[int] = []
    send = nn.Module.to

    def sent(module: nn.Module, *to: object, **named: object) -> nn.Module:
        whole[-1] = max(whole[-1], sum(p.numel() for p in module.parameters() if not hasattr(p, "ds_tensor")))
        return send(module, *to, **named)

    engine = EngineConfig(zero_stage=3)
    made = {
        "trains": lambda net: deepspeed_engine.build_engine(net, OptimizerConfig(name="adamw"), engine, 1),
        "answers": lambda net: deepspeed_engine.answering(net, engine, deepspeed_engine.device_of_rank()),
    }
    as_is = nullcontext() if cut_first else patch.object(deepspeed_engine, "_cut")
    with patch.object(nn.Module, "to", sent), as_is:
        for make in made.values():
            whole.append(0)
            make(nn.Sequential(*(nn.Linear(40, 40, bias=False) for _ in range(8))).requires_grad_(True))
    return whole


def in_a_process(cut_first: bool) -> list[int]:
    code = f"import json; from {__name__} import moved_whole; print('MOVED', json.dumps(moved_whole({cut_first})))"
    done = run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=300)
    (said,) = (line for line in done.stdout.splitlines() if line.startswith("MOVED "))
    return json.loads(said.removeprefix("MOVED "))


@pytest.mark.parametrize(("cut_first", "most"), [(True, 0), (False, WEIGHTS)], ids=["as it is", "left to DeepSpeed"])
def test_weights_that_are_sent_whole(cut_first, most):
    """The second row shows that the first can fail."""
    assert in_a_process(cut_first) == [most, most]

"""The last k checkpoints and the best one are kept; a kill between files leaves the previous one valid."""

import json
from pathlib import Path

import pytest
import torch

from training.engine.checkpoint import Checkpoints, ResumeError


class Engine:
    """Writes a file as DeepSpeed's engine would; the format is DeepSpeed's business."""

    def __init__(self):
        self.value = 0

    def zero_optimization_stage(self):
        return 0

    def save_checkpoint(self, folder, tag, save_latest):
        path = Path(folder) / tag
        path.mkdir(parents=True)
        (path / "state.json").write_text(json.dumps(self.value))

    def load_checkpoint(self, folder, tag):
        self.value = json.loads((Path(folder) / tag / "state.json").read_text())


@pytest.fixture(autouse=True)
def alone(tmp_path):
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def tags(checkpoints):
    return sorted(p.name for p in checkpoints.root.iterdir() if p.is_dir())


def test_the_last_k_and_the_best_are_kept(tmp_path):
    checkpoints, engine = Checkpoints(tmp_path, "f", keep=2), Engine()
    for step, score in ((1, 0.9), (2, 0.3), (3, 0.5), (4, None), (5, 0.4)):
        engine.value = step
        checkpoints.save(step, {"model": engine}, {}, {}, score)
    assert tags(checkpoints) == ["step-0000002", "step-0000004", "step-0000005"]
    assert json.loads((checkpoints.root / "best.json").read_text())["step"] == 2
    again = Engine()
    assert Checkpoints(tmp_path, "f", keep=2).load({"model": again}, {}) == (5, {}) and again.value == 5


def test_random_generators_go_on_where_they_were(tmp_path):
    checkpoints = Checkpoints(tmp_path, "f", keep=1)
    checkpoints.save(1, {"model": Engine()}, {}, {})
    expected = torch.randn(3)
    torch.randn(100)
    checkpoints.load({"model": Engine()}, {})
    assert torch.equal(torch.randn(3), expected)


def test_another_configuration_is_refused_with_both_names(tmp_path):
    Checkpoints(tmp_path, "first", keep=1).save(1, {"model": Engine()}, {}, {})
    with pytest.raises(ResumeError, match=r"first.*second"):
        Checkpoints(tmp_path, "second", keep=1).load({"model": Engine()}, {})

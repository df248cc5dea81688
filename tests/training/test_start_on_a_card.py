"""A card that is too small, or does not compute in bfloat16, is one error that names both sides and the remedy; no trace."""

import pytest
import torch

from tests.training.synthetic import make_job
from training import train
from training.engine.deepspeed_engine import device_of_rank
from training.plan.gpus import read_cluster


@pytest.fixture
def start(monkeypatch, tmp_path):
    """A training's entry in this process, as a rank of its own on an H100; what the training then meets is the test's."""
    for name in ("stop_with_launcher", "start_process_group"):
        monkeypatch.setattr(train, name, lambda: None)
    monkeypatch.setattr(torch.distributed, "barrier", lambda: None)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 1)
    monkeypatch.setattr("training.plan.warning.here", lambda ranks: read_cluster("1xH100"))

    def end(run, *overrides):
        job = make_job(tmp_path, "stage_3_checkpoint", "stage", "stage_3", 1, list(overrides))
        monkeypatch.setattr(train, "run", run)
        monkeypatch.setattr("sys.argv", ["train", "--job", str(job.write(tmp_path / "job.json"))])
        return train.main()

    return end


def test_out_of_memory_is_answered_by_the_plan(start, capsys):
    def run(job):
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    assert start(run) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: stage_3 found no memory left on H100, of 79.2 GiB: it is planned to take 0.0 GiB")
    assert "`omnihuman plan laptop --gpus 1xH100 --training stage_3` shows the settings" in said


def test_a_torch_for_cuda_on_a_machine_without_a_card_computes_on_the_cpu(monkeypatch):
    named = {False: torch.device("cuda"), True: None}  # as torch 2.13.0+cu130 answers there
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: named[check_available])
    assert device_of_rank() == torch.device("cpu")


def test_bf16_on_a_gpu_without_it_is_refused_before_anything_is_loaded(start, capsys, monkeypatch):
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert start(lambda job: pytest.fail("it began"), "engine.precision=bf16") == 2
    said = capsys.readouterr().err
    assert "engine.precision is bf16, and cuda:0 (Tesla T4, compute capability 7.5) does not compute in it" in said
    assert "set engine.precision to fp32" in said


def test_bf16_needs_no_zero(start):
    """Weights are float32 under autocast whatever ZeRO does; that it learns the same is `test_engine`'s."""
    assert start(lambda job: {}, "engine.precision=bf16", "engine.zero_stage=0") == 0

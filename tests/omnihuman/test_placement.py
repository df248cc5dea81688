"""Models go to the device and dtype that the profile names, and a device that is not there is named with those that are."""

import pytest
import torch
from torch import nn

from curation.scores import clip_media
from curation.scores.clip_media import Bench
from curation.scores.sound.music import MUSIC
from networks.on_device import OnDevice
from omnihuman import placement
from omnihuman.pipeline import build_pipeline
from omnihuman.placement import NoBfloat16, NoSuchDevice, check_bfloat16, choose_device, choose_dtype, place_pipeline
from profiles import load_profile
from profiles.scores import ScoresConfig
from puppets import PuppetKeypoints
from training.stages.model import build_transformer

SIZES = ["transformer.num_layers=1"]
CPU, GPU = torch.device("cpu"), torch.device("cuda:0")


def two_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_auto_is_the_first_gpu_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert choose_device("auto") == choose_device("cpu") == CPU
    two_gpus(monkeypatch)
    assert placement.devices() == ["cpu", "cuda:0", "cuda:1"]
    assert choose_device("auto") == choose_device("cuda") == GPU and choose_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize("asked", ["cuda:2", "mps", "meta"])
def test_a_device_that_is_not_there_is_one_error_that_names_what_is(monkeypatch, asked):
    two_gpus(monkeypatch)
    with pytest.raises(NoSuchDevice, match=f"evaluation.device is {asked}, .* has cpu, cuda:0, cuda:1;"):
        choose_device(asked)


def test_by_default_a_gpu_computes_as_was_trained_and_a_processor_in_float32(monkeypatch):
    laptop, wan = load_profile("laptop"), load_profile("wan2.1-1.3b")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert [choose_dtype(wan, device) for device in (CPU, GPU)] == [torch.float32, torch.bfloat16]
    assert choose_dtype(laptop, GPU) == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert choose_dtype(wan, GPU) == torch.float32
    assert choose_dtype(load_profile("laptop", ["evaluation.dtype=bfloat16"]), CPU) == torch.bfloat16


def test_a_gpu_without_bfloat16_is_one_error_that_names_the_setting_the_gpu_and_what_does_without(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla T4")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    said = r"is bfloat16, and cuda:0 \(Tesla T4, compute capability 7.5\) .* set evaluation.dtype to float32, or take"
    with pytest.raises(NoBfloat16, match=said):
        choose_dtype(load_profile("laptop", ["evaluation.dtype=bfloat16"]), GPU)
    check_bfloat16("engine.precision is bf16", "engine.precision to fp32", CPU)  # a processor imitates it
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert choose_dtype(load_profile("laptop", ["evaluation.dtype=bfloat16"]), GPU) == torch.bfloat16


def test_in_bfloat16_a_processor_makes_nearly_the_same_latents():
    made = {}
    for dtype in ("float32", "bfloat16"):
        profile = load_profile("laptop", [*SIZES, "evaluation.device=cpu", f"evaluation.dtype={dtype}"])
        pipeline = place_pipeline(build_pipeline(profile, build_transformer(profile, None, 0), 1), profile)
        transformer = pipeline.transformer
        assert transformer.patch_embedding.weight.dtype == pipeline.text_encoder.dtype == getattr(torch, dtype)
        assert transformer.scale_shift_table.dtype == pipeline.audio_encoder.dtype == torch.float32
        given = {"height": 64, "width": 64, "num_frames": 5, "output_type": "latents"}
        made[dtype] = pipeline("A person talks.", generator=torch.Generator().manual_seed(1), **given).frames
    assert made["bfloat16"].dtype == torch.float32 and not torch.equal(*made.values())
    torch.testing.assert_close(made["bfloat16"], made["float32"], atol=0.1, rtol=0)


def test_a_pipeline_that_is_still_to_be_saved_keeps_its_dtype():
    profile = load_profile("laptop", [*SIZES, "evaluation.dtype=bfloat16"])
    pipeline = build_pipeline(profile, build_transformer(profile, None, 0), 1)
    assert place_pipeline(pipeline, profile, keep_dtype=True).transformer.patch_embedding.weight.dtype == torch.float32


def test_what_nobody_chose_goes_unsaid_so_that_old_homes_stay_current():
    assert not {"device", "dtype"} & set(load_profile("laptop").evaluation.model_dump())
    chosen = load_profile("laptop", ["evaluation.device=cpu", "evaluation.dtype=float32"]).evaluation.model_dump()
    assert (chosen["device"], chosen["dtype"]) == ("cpu", "float32")


def test_a_judge_answers_on_the_processor_as_its_network_does():
    network, pictures = nn.Conv2d(3, 2, 3), torch.randn(1, 3, 8, 8)
    assert torch.equal(OnDevice(network, CPU)(pictures), network(pictures))


def test_scores_compute_on_the_processor_unless_a_device_is_said_and_it_must_be_there(monkeypatch):
    assert load_profile("laptop").curation.device == "cpu"
    with pytest.raises(NoSuchDevice, match="curation.device is cuda, and this machine has cpu; choose one of them"):
        placement.sharing_devices("cuda", None, "curation.device")
    monkeypatch.setattr(placement.torch.cuda, "device_count", lambda: 2)
    there, video = tuple(placement.sharing_devices("auto", None)), load_profile("laptop").video
    bench = Bench(video, PuppetKeypoints(), (), 4, devices=there)
    monkeypatch.setattr(clip_media.os, "getpid", iter(range(4)).__next__)
    assert [bench.device for _ in range(4)] == ["cuda:0", "cuda:1"] * 2
    elsewhere = Bench(video, PuppetKeypoints(), (), 4)
    assert MUSIC.key(ScoresConfig(), bench) == MUSIC.key(ScoresConfig(), elsewhere), "no value is made anew for it"


def test_a_network_that_judges_answers_on_one_thread_however_many_there_are():
    before, used = torch.get_num_threads(), []
    torch.set_num_threads(3)
    try:
        placed = OnDevice(torch.nn.Linear(2, 2), CPU)
        placed.network.register_forward_hook(lambda *_: used.append(torch.get_num_threads()))
        placed(torch.ones(1, 2))
        with pytest.raises(RuntimeError):
            placed(torch.ones(1, 3))
        assert used == [1] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)

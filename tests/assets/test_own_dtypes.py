"""A registered pipeline takes the bytes that its networks came in, and is read as the numbers that it was."""

from collections import Counter

import pytest
import torch
from safetensors import safe_open
from torch import nn

from assets.kinds.registration.own_dtypes import in_own_dtypes, own_dtype
from omnihuman import OmniHumanPipeline
from omnihuman.pipeline import build_pipeline
from omnihuman.precision import cast_weights
from profiles import load_profile
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=1"])
NETWORKS = ("transformer", "vae", "text_encoder", "audio_encoder")


def rounded(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """As a file of `dtype` is read."""
    for parameter in network.parameters():
        parameter.data = parameter.data.to(dtype).float()
    return network


@pytest.fixture(scope="module")
def pipe() -> OmniHumanPipeline:
    """A student of a training in bfloat16 beside a text encoder that was published in it; all are read as float32, and the encoder of sound was trained in it."""
    student = build_transformer(PROFILE, None, 0)
    cast_weights(student, torch.bfloat16)
    pipe = build_pipeline(PROFILE, student.float(), 1)
    rounded(pipe.text_encoder, torch.bfloat16)
    rounded(pipe.vae.float(), torch.bfloat16)
    return pipe


def kinds(folder) -> set[str]:
    with safe_open(next(folder.glob("*.safetensors")), "np") as file:
        return {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 - no mapping


def numbers(pipe, name: str) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in pipe.components[name].state_dict().items()}


def test_each_network_is_saved_as_it_came_and_read_as_it_was(pipe, tmp_path):
    before = {name: numbers(pipe, name) for name in NETWORKS}
    with in_own_dtypes(pipe):
        pipe.save_pretrained(tmp_path, safe_serialization=True)
    found = {name: kinds(tmp_path / name) for name in NETWORKS}
    assert found == {
        "transformer": {"BF16", "F32"},
        "vae": {"BF16"},
        "text_encoder": {"BF16"},
        "audio_encoder": {"F32"},
    }
    read = OmniHumanPipeline.from_pretrained(tmp_path)
    for name, values in before.items():
        for one in (pipe, read):
            there = numbers(one, name)
            assert all(there[key].dtype == values[key].dtype for key in values), name
            assert all(torch.equal(there[key], values[key]) for key in values), name


def test_what_base_models_keep_in_float32_is_saved_in_it(pipe, tmp_path):
    with in_own_dtypes(pipe):
        dtypes = Counter(parameter.dtype for parameter in pipe.transformer.parameters())
        assert pipe.transformer.scale_shift_table.dtype == torch.float32
        assert pipe.transformer.patch_embedding.weight.dtype == torch.bfloat16
    assert set(dtypes) == {torch.float32, torch.bfloat16}


def test_a_single_weight_that_does_not_fit_keeps_its_network_in_float32():
    network = rounded(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), torch.bfloat16)
    assert own_dtype(network) == torch.bfloat16
    network[1].bias.data[3] = 1 + 2**-10  # a number of float16, as the others are too, but not of bfloat16
    assert own_dtype(network) == torch.float16
    network[1].bias.data[3] = 1 + 2**-20
    assert own_dtype(network) == torch.float32
    assert own_dtype(network.bfloat16()) == torch.bfloat16
    assert own_dtype(network.double()) == torch.float64

"""Several GPUs of one machine share the encoding of a shard: the features of one, whoever of them was given what."""

import gc
import shutil
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from curation.features import on_gpus
from curation.features.encoders import ConditionEncoders
from curation.features.on_gpus import BATCHES_EACH, EncodersOnGpus, encoders_here
from tests.curation.shard_workspace import stored

GPUS = ["cuda:0", "cuda:1", "cuda:2"]


@pytest.fixture
def loaded(loaded_encoders, monkeypatch):
    """Copies of the encoders, a window at a time, on a machine of three GPUs; and for which of them they were loaded."""
    monkeypatch.setattr(on_gpus, "devices", lambda: ["cpu", *GPUS])
    small = loaded_encoders.profile.curation.model_copy(update={"encoding_gib": 1e-6})
    profile, asked = loaded_encoders.profile.model_copy(update={"curation": small}), []

    def load(_, device):
        asked.append(str(device))
        # Wan's autoencoder remembers the frames before in itself while it encodes.
        return replace(loaded_encoders, autoencoder=deepcopy(loaded_encoders.autoencoder), profile=profile)

    monkeypatch.setattr(on_gpus, "load_encoders", load)
    return profile, asked


def test_three_gpus_make_the_features_of_one(workspace, put_puppet, loaded):
    profile, asked = loaded
    for seed in range(3):
        put_puppet(f"{seed}.mp4", seed=seed)
    name = workspace.ingest()
    workspace.encoders = replace(workspace.encoders, profile=profile)
    workspace.features(name)
    one = stored(workspace.root / "features" / name)
    shutil.rmtree(workspace.root / "features")
    workspace.encoders = None
    assert workspace.features(name).encoded == 3 and asked == GPUS
    three = stored(workspace.root / "features" / name)
    for tensor, values in one.items():
        np.testing.assert_allclose(three[tensor].astype(float), values.astype(float), atol=2e-3, err_msg=tensor)


def test_a_batch_goes_to_the_gpu_that_has_the_fewest_and_each_loads_when_it_is_given_its_first(loaded, monkeypatch):
    profile, asked = loaded
    monkeypatch.setattr(ConditionEncoders, "encode", lambda self, part, batch, video: {"of": np.array(batch)})
    encoders = encoders_here(profile)
    assert isinstance(encoders, EncodersOnGpus) and asked == GPUS[:1], "captions alone need no second one"
    assert encoders.at_once == 3 * BATCHES_EACH
    begun = [encoders.begin("latents", [number], None) for number in range(4)]
    assert asked == GPUS and [gpu.under_way for gpu in encoders._gpus] == [2, 1, 1]
    assert [int(wait()["of"][0]) for wait in begun] == [0, 1, 2, 3]
    assert [gpu.under_way for gpu in encoders._gpus] == [0, 0, 0]


def test_of_a_batch_that_was_too_large_nothing_is_held_while_a_smaller_one_is_tried(loaded, monkeypatch):
    held = []

    class Activations:
        def __init__(self):
            held.append(1)

        def __del__(self):
            held.pop()

    def encode(self, part, batch, video):
        here = Activations()
        raise torch.OutOfMemoryError(f"tried to allocate {here}")

    monkeypatch.setattr(ConditionEncoders, "encode", encode)
    wait = encoders_here(loaded[0]).begin("latents", [0], None)
    gc.disable()
    try:
        with pytest.raises(torch.OutOfMemoryError) as caught:
            wait()
        assert held == [1]
        caught.value.__traceback__ = None
        del caught
        assert held == [], "without the garbage collector's help"
    finally:
        gc.enable()


@pytest.mark.parametrize("there", [[], GPUS[:1]])
def test_one_gpu_or_none_is_asked_as_ever(loaded, monkeypatch, there):
    monkeypatch.setattr(on_gpus, "devices", lambda: ["cpu", *there])
    monkeypatch.setattr(on_gpus, "load_encoders", lambda profile: "as ever")
    assert encoders_here(loaded[0]) == "as ever"

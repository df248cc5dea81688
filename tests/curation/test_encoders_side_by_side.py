"""Several GPUs or cores of one machine share the encoding of a shard: the features of one, whoever of them was given what."""

import gc
import shutil
import threading
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from curation.features import side_by_side
from curation.features.encoders import ConditionEncoders, window_bytes
from curation.features.side_by_side import BATCHES_EACH, EncodersSideBySide, encoders_here, on_cores
from networks.on_device import threads
from tests.curation.shard_workspace import stored

GPUS = ["cuda:0", "cuda:1", "cuda:2"]


@pytest.fixture
def loaded(loaded_encoders, monkeypatch):
    """Copies of the encoders, a window at a time, on a machine of three GPUs; and for which of them they were loaded."""
    monkeypatch.setattr(side_by_side, "devices", lambda: ["cpu", *GPUS])
    small = loaded_encoders.profile.curation.model_copy(update={"encoding_gib": 1e-6})
    profile, asked = loaded_encoders.profile.model_copy(update={"curation": small}), []

    def load(_, device):
        asked.append(str(device))
        # Wan's autoencoder remembers the frames before in itself while it encodes.
        return replace(loaded_encoders, autoencoder=deepcopy(loaded_encoders.autoencoder), profile=profile)

    monkeypatch.setattr(side_by_side, "load_encoders", load)
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
    assert isinstance(encoders, EncodersSideBySide) and asked == GPUS[:1], "captions alone need no second one"
    assert encoders.at_once == 3 * BATCHES_EACH
    begun = [encoders.begin("latents", [number], None) for number in range(4)]
    assert asked == GPUS and [place.under_way.total() for place in encoders._places] == [2, 1, 1]
    assert [int(wait()["of"][0]) for wait in begun] == [0, 1, 2, 3]
    assert [place.under_way.total() for place in encoders._places] == [0, 0, 0]


def test_pictures_of_two_batches_go_to_two_gpus_though_their_sound_is_begun_between(loaded, monkeypatch):
    profile, _ = loaded
    monkeypatch.setattr(side_by_side, "devices", lambda: ["cpu", *GPUS[:2]])
    monkeypatch.setattr(ConditionEncoders, "encode", lambda self, part, batch, video: {})
    encoders = encoders_here(profile)
    assert isinstance(encoders, EncodersSideBySide)
    begun = [encoders.begin(part, [number], None) for number in range(4) for part in ("latents", "audio")]
    assert [place.under_way for place in encoders._places] == 2 * [{"latents": 2, "audio": 2}]
    assert [wait() for wait in begun] == 8 * [{}]


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


def test_one_gpu_is_asked_as_ever(loaded, monkeypatch):
    monkeypatch.setattr(side_by_side, "devices", lambda: ["cpu", GPUS[0]])
    monkeypatch.setattr(side_by_side, "load_encoders", lambda profile: "as ever")
    assert encoders_here(loaded[0]) == "as ever"


def test_three_cores_encode_each_batch_to_the_bits_of_one_with_the_same_weights(
    workspace, put_puppet, loaded_encoders, monkeypatch
):
    for seed in range(7):
        put_puppet(f"{seed}.mp4", seed=seed)
    name, threads_seen, see = workspace.ingest(), set(), ConditionEncoders._see

    def watched(self, frames):
        threads_seen.add((threading.current_thread().name, id(self.autoencoder), torch.get_num_threads()))
        return see(self, frames)

    monkeypatch.setattr(ConditionEncoders, "windows_at_once", lambda self, bucket: 1)  # another batch rounds otherwise
    small = loaded_encoders.profile.curation.model_copy(update={"encoding_gib": 0.1})
    alone = replace(loaded_encoders, profile=loaded_encoders.profile.model_copy(update={"curation": small}))
    with threads(1):
        workspace.encoders = alone
        workspace.features(name)
    one = stored(workspace.root / "features" / name)
    shutil.rmtree(workspace.root / "features")
    monkeypatch.setattr(side_by_side, "_cores", lambda: 3)
    monkeypatch.setattr(ConditionEncoders, "_see", watched)
    workspace.encoders = on_cores(alone)
    assert workspace.features(name).encoded == 7
    encoding = {seen for seen in threads_seen if seen[0].startswith("encoders-")}
    assert len({name for name, _, _ in encoding}) == len({network for _, network, _ in encoding}) == 3
    assert {number for _, _, number in encoding} == {1}
    three = stored(workspace.root / "features" / name)
    assert one.keys() == three.keys()
    for tensor, values in one.items():
        np.testing.assert_array_equal(three[tensor], values, err_msg=tensor)
    places = [place.encoders.autoencoder for place in workspace.encoders._places]
    weights = [[weight.data_ptr() for weight in network.parameters()] for network in places]
    assert weights[0] == weights[1] == weights[2], "weights are in memory once"


def test_cores_that_have_no_memory_for_a_window_each_compute_one_after_another(loaded_encoders, monkeypatch):
    monkeypatch.setattr(side_by_side, "_cores", lambda: 2)
    bucket = loaded_encoders.profile.video.main
    window = window_bytes(loaded_encoders.autoencoder, bucket) / 2**30

    def with_gib(gib):
        curation = loaded_encoders.profile.curation.model_copy(update={"encoding_gib": gib})
        return replace(loaded_encoders, profile=loaded_encoders.profile.model_copy(update={"curation": curation}))

    assert isinstance(on_cores(with_gib(1.9 * window)), ConditionEncoders)
    both = on_cores(with_gib(6.5 * window))
    assert isinstance(both, EncodersSideBySide) and both.windows_at_once(bucket) == 3
    monkeypatch.setattr(side_by_side, "_cores", lambda: 1)
    assert isinstance(on_cores(with_gib(8.0)), ConditionEncoders)

"""Batches a micro-batch at a time: the same numbers as a batch that is loaded whole, out of either layout of features, and few of them at once."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest
import torch

from networks.on_device import threads
from profiles import load_profile
from tests.training.synthetic import TINY, Rows, lay_out_anew, write_snapshot
from tests.training.test_data import open_data
from training.data.batch import Batch
from training.data.micro_batches import split_batch
from training.data.prefetch import Prefetch
from training.data.rank_batch import Part
from training.engine.throughput import batch_flops
from training.stages.model import build_transformer


@pytest.fixture(scope="module")
def layouts(tmp_path_factory):
    """The same snapshot in the first and in the second layout."""
    root = tmp_path_factory.mktemp("layouts")
    write_snapshot(root / "first", [Rows("s-0", 20), Rows("s-1", 7)])
    shutil.copytree(root / "first", root / "second")
    lay_out_anew(root / "second")
    assert not list((root / "second").rglob(f"features-{Rows().bucket}.safetensors"))
    return root


def same(one: Batch, other: Batch) -> None:
    assert (one.samples, one.given) == (other.samples, other.given)
    for name, value in vars(one).items():
        if isinstance(value, torch.Tensor):
            assert value.dtype == getattr(other, name).dtype and torch.equal(value, getattr(other, name)), name


def test_both_layouts_give_the_same_batches_bit_for_bit(layouts):
    first, second = (open_data(layouts / layout, image_share=0.3) for layout in ("first", "second"))
    for number in range(6):
        same(first.batch(number), second.batch(number))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_parts_are_those_of_a_batch_that_is_loaded_whole(layouts, prefetch):
    overrides = [f"engine.prefetch={prefetch}", "engine.gradient_accumulation=2", "video.batch_multiple=2"]
    data, plain = (open_data(layouts / "second", overrides, 8, image_share=0.3) for _ in range(2))
    for number in (0, 1, 2, 7, 3):  # a roll-back too
        whole, lazy = plain.batch(number, 1, 2), data.rank_batch(number, 1, 2)
        assert (lazy.labels, lazy.clip_ids, lazy.bucket) == (whole.labels, whole.clip_ids, whole.bucket)
        assert batch_flops(_config(), lazy) == batch_flops(_config(), whole)
        for one, other in zip(split_batch(lazy, 2), split_batch(whole, 2), strict=True):
            same(one, other)


def test_images_are_first_latents_of_videos_with_the_videos_own_noise_and_nothing_else_is_read(layouts, monkeypatch):
    data, plain = open_data(layouts / "second", batch_size=8), open_data(layouts / "second", batch_size=8)
    read, gather = [], data.rows.gather
    monkeypatch.setattr(
        data.rows,
        "gather",
        lambda places, bucket, name, cut=None: read.append((name, cut)) or gather(places, bucket, name, cut),
    )
    lazy, images = data.rank_batch(3, images=True), plain.batch(3).as_images()
    assert batch_flops(_config(), lazy) == batch_flops(_config(), images)
    (batch,) = lazy.split(1)
    for name in (
        "latents",
        "noise",
        "uniform",
        "text",
        "audio",
        "keypoints",
        "reference",
        "motion_mask",
        "reference_mask",
    ):
        assert torch.equal(getattr(batch, name), getattr(images, name)), name
    assert batch.given == images.given and batch.motion.shape == images.motion.shape
    assert ("latents", (2, 1)) in read and "motion_latents" not in {name for name, _ in read}


def _config():
    """Of a transformer, as far as counting asks."""

    return build_transformer(load_profile("laptop", list(TINY)), None, 0).config


def test_what_follows_is_loaded_ahead_and_never_more_than_was_asked_for():
    loaded, ready = [], threading.Semaphore(0)

    def load(key: int) -> int:
        loaded.append(key)
        ready.release()
        return key * key

    ahead = Prefetch(load, lambda key: (key + step for step in count(1)), 2)
    assert ahead.get(0) == 0
    for _ in range(3):
        assert ready.acquire(timeout=20)
    assert loaded == [0, 1, 2]
    assert ahead.get(1) == 1 and ready.acquire(timeout=20)
    assert loaded == [0, 1, 2, 3], "2 was there already"
    assert ahead.get(9) == 81 and len(ahead._ahead) == 2, "a wrong guess is forgotten"
    assert Prefetch(load, lambda key: (key + step for step in count(1)), 0).get(5) == 25


def test_what_is_loaded_ahead_is_computed_on_one_thread_and_the_rest_on_all():
    """Threads of a second thread's operators would send the step's own to sleep after each operator."""
    with threads(2):
        ahead = Prefetch(lambda key: torch.get_num_threads(), lambda key: iter([key + 1]), 1)
        assert [ahead.get(0), ahead.get(1), ahead.get(2)] == [2, 1, 1]
        assert torch.get_num_threads() == 2
        with ThreadPoolExecutor(1) as later:
            assert later.submit(torch.get_num_threads).result() == 2


def test_an_error_of_what_is_loaded_ahead_is_raised_when_it_is_asked_for():
    def load(key: int) -> int:
        if key == 1:
            raise ValueError("row 1")
        return key

    ahead = Prefetch(load, lambda key: iter([key + 1]), 1)
    assert ahead.get(0) == 0
    with pytest.raises(ValueError, match="row 1"):
        ahead.get(1)


def test_parts_follow_one_another_into_the_next_batch():
    part = Part(4, 0, 1, False, 0, 2)
    following = part.following(2)
    assert [(p.number, p.index) for p in (next(following), next(following), next(following))] == [
        (4, 1),
        (6, 0),
        (6, 1),
    ]

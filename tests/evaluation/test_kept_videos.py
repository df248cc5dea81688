"""What is measured of long videos is kept under the name of all that makes them, for one run at a time, and each run takes its own away."""

import copy
import threading

import pytest
import torch

from evaluation.questions import kept_videos
from evaluation.questions.kept_videos import KeptVideosBusy, holding_alone, kept_name, remove_kept
from omnihuman import OmniHumanPipeline
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=3"])
SETTINGS = (4, 17, 60_000_000, None)
STREAMING = {"window": 5}


def build() -> OmniHumanPipeline:
    return build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), 1, STREAMING)


@pytest.fixture(scope="module")
def pipeline():
    return build()


@pytest.fixture(scope="module")
def name(pipeline):
    return kept_name(pipeline, *SETTINGS)


def changed(pipeline: OmniHumanPipeline, **parts: object) -> OmniHumanPipeline:
    settings = {
        key: value for key, value in pipeline.config.items() if key in ("num_inference_steps", "fps", "streaming")
    }
    return OmniHumanPipeline(**pipeline.components | settings | parts)


def test_the_same_pipeline_has_the_same_folder_wherever_it_was_read(pipeline, name, tmp_path):
    assert kept_name(build(), *SETTINGS) == name
    for folder in ("here", "there"):
        pipeline.save_pretrained(tmp_path / folder, safe_serialization=True)
    here, there = (OmniHumanPipeline.from_pretrained(tmp_path / folder) for folder in ("here", "there"))
    assert kept_name(here, *SETTINGS) == kept_name(there, *SETTINGS)


@pytest.mark.parametrize("part", ["transformer", "vae", "audio_encoder", "text_encoder"])
def test_one_other_weight_is_another_folder(pipeline, name, part):
    other = copy.deepcopy(getattr(pipeline, part))
    assert kept_name(changed(pipeline, **{part: other}), *SETTINGS) == kept_name(changed(pipeline), *SETTINGS)
    with torch.no_grad():
        list(other.parameters())[-1].view(-1)[0] += 1.0
    assert kept_name(changed(pipeline, **{part: other}), *SETTINGS) != kept_name(changed(pipeline), *SETTINGS)


def test_another_streaming_or_scheduler_is_another_folder(pipeline):
    scheduler = type(pipeline.scheduler).from_config(pipeline.scheduler.config, shift=7.0)
    others = [changed(pipeline, streaming={"window": 6}), changed(pipeline, scheduler=scheduler), changed(pipeline)]
    assert len({kept_name(other, *SETTINGS) for other in others}) == 3


def test_other_settings_and_another_measuring_are_other_folders(pipeline, name, monkeypatch):
    others = [(5, *SETTINGS[1:]), (4, 21, *SETTINGS[2:]), (4, 17, 1, None), (*SETTINGS[:3], 2)]
    assert len({name, *(kept_name(pipeline, *other) for other in others)}) == 5
    monkeypatch.setattr(kept_videos, "MEASURING", kept_videos.MEASURING + 1)
    assert kept_name(pipeline, *SETTINGS) != name


def test_weights_in_bfloat16_are_hashed_to_the_bit(pipeline, name):
    half = copy.deepcopy(pipeline.transformer).to(torch.bfloat16)
    assert kept_name(changed(pipeline, transformer=half), *SETTINGS) != kept_name(changed(pipeline), *SETTINGS)


def test_a_second_run_is_refused_while_the_first_measures(tmp_path):
    kept, refused = tmp_path / "drift" / "one", []

    def second() -> None:
        try:
            with holding_alone(kept):
                pass
        except KeptVideosBusy as error:
            refused.append(str(error))

    with holding_alone(kept):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        with holding_alone(tmp_path / "drift" / "another"):
            pass
    assert len(refused) == 1 and str(kept) in refused[0] and "\n" not in refused[0]
    second()
    assert len(refused) == 1, "the first ended"


def test_a_run_takes_away_what_it_read_and_nothing_else(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    own, others = kept / "seed-0-clip-0.npz", kept / "seed-2-clip-7.npz"
    for file in (own, others):
        file.write_bytes(b"measured")
    remove_kept(kept, [own])
    assert list(kept.iterdir()) == [others]
    remove_kept(kept, [others])
    assert not kept.exists()
    remove_kept(kept, [others])

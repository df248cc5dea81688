"""Out of Python: the same file as the command line's, or one sentence."""

from pathlib import Path

import pytest
import torch

from media import probe_clip, read_audio
from omnihuman import OmniHumanPipeline
from omnihuman.errors import InputError
from omnihuman.exports import read_provenance
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from provenance.outcomes import UNTOUCHED
from provenance.verify import verify_files
from puppets import render
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=1"])
PERSON = render(90_000_001, frames=17)


@pytest.fixture(scope="module")
def pipe(tmp_path_factory) -> OmniHumanPipeline:
    folder = tmp_path_factory.mktemp("model")
    build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), 1).save_pretrained(folder, safe_serialization=True)
    return OmniHumanPipeline.from_pretrained(folder)


def test_a_video_of_one_window_is_saved_with_its_sound_signed_and_marked(pipe, tmp_path):
    generator = torch.Generator().manual_seed(5)
    made = pipe("A person talks.", image=PERSON.frames[0], audio=PERSON.audio, generator=generator)
    path = made.save(tmp_path / "new" / "talking.mp4")
    assert probe_clip(path).frames == 17 and len(read_audio(path, 16_000)) == 17_000
    signature, watermark = verify_files([path])[0].layers
    assert signature.outcome == watermark.outcome == UNTOUCHED
    said = read_provenance(path)
    assert (said["seed"], said["prompt"], said["conditions"]["on"]) == (
        5,
        "A person talks.",
        ["text", "reference", "audio"],
    )
    assert said["model"] == f"OmniHumanPipeline, weights {said['weights'][:12]}" and len(said["weights"]) == 64
    assert [p.name for p in path.parent.iterdir()] == ["talking.mp4"]


def test_a_long_video_and_frames_are_saved_too(pipe, tmp_path):
    made = pipe.talk(PERSON.frames[0], PERSON.audio, seconds=1.5)
    assert probe_clip(made.save(tmp_path / "long.mp4")).frames == 24
    folder = made.save(tmp_path / "frames")
    assert len(list(folder.iterdir())) == 24
    assert verify_files([folder / "frame-000020.png"])[0].outcome == UNTOUCHED


@pytest.mark.parametrize(
    ("asked", "name", "words"),
    [
        ({"output_type": "pil"}, "a.mp4", "output_type"),
        ({"prompt": ["One.", "Two."]}, "a.mp4", "there are 2"),
        ({}, "a.avi", "FILE.mp4"),
    ],
)
def test_what_is_no_one_video_is_refused(pipe, tmp_path, asked, name, words):
    made = pipe(**({"prompt": "A person talks.", "image": PERSON.frames[0]} | asked))
    with pytest.raises(InputError, match=words):
        made.save(tmp_path / name)
    assert not Path(tmp_path / name).exists()

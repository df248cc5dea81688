"""Pictures and sounds as people have them, sizes and lengths: made as asked, or refused by one sentence; and the examples of docstrings."""

import doctest
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image
from scipy.signal import resample_poly

import omnihuman.guidance
import omnihuman.pipeline
from media import MediaError
from media.framing import crop_to
from omnihuman import OmniHumanPipeline
from omnihuman.conditions.pictures import fit_reference
from omnihuman.conditions.sounds import to_sounds
from omnihuman.guidance import OmniHumanGuidance
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from puppets import render
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=2"])
PERSON = render(90_000_001, frames=25)
WINDOW = 17 * 1000  # samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """model/, face.png and a stereo voice.wav at 48 kHz, 25 frames long."""
    place = tmp_path_factory.mktemp("talking")
    build_pipeline(PROFILE, build_transformer(PROFILE, None, 0), 1).save_pretrained(
        place / "model", safe_serialization=True
    )
    Image.fromarray(PERSON.frames[0]).save(place / "face.png")
    loud = resample_poly(PERSON.audio, 3, 1)
    soundfile.write(place / "voice.wav", np.stack([loud, loud], 1), 48_000)
    return place


@pytest.fixture(scope="module")
def pipe(folder) -> OmniHumanPipeline:
    return OmniHumanPipeline.from_pretrained(folder / "model")


def test_every_form_of_a_sound_is_the_same_sound(folder):
    mono = torch.from_numpy(PERSON.audio)
    stereo = np.stack([PERSON.audio, PERSON.audio], 1)
    words = (PERSON.audio * 32_768).astype(np.int16)
    for form in (
        PERSON.audio,
        mono,
        mono[None],
        stereo,
        stereo.T,
        [PERSON.audio],
        [stereo],
        (words / 32_768).astype(np.float64),
    ):
        assert torch.equal(to_sounds(form)[0], mono) or torch.allclose(to_sounds(form)[0], mono, atol=2**-15)
    assert torch.allclose(to_sounds(words)[0], mono, atol=2**-15)
    whole, rate = soundfile.read(folder / "voice.wav")
    again, file = to_sounds(whole, sample_rate=rate)[0], to_sounds(folder / "voice.wav")[0]
    assert len(again) == len(mono) and abs(len(file) - len(mono)) <= 1
    for heard in (again, file[: len(mono)]):
        assert np.corrcoef(heard[: len(mono) - 1], mono[: len(heard)][: len(mono) - 1])[0, 1] > 0.98
    assert to_sounds(stereo.T, clips=2).shape == (2, len(mono)), "beside two pictures it is a sound for each"


@pytest.mark.parametrize(
    ("audio", "change", "message"),
    [
        (np.zeros((16_000, 16_000), np.float32)[:, :100], {}, "could be"),
        (np.zeros((4, 6), np.float32), {}, "could be"),
        (np.zeros((2, 2, 9), np.float32), {}, r"\(S, channels\)"),
        (np.zeros(16_000, np.int64), {}, "int16 or int32"),
        (np.full(16_000, np.nan, np.float32), {}, "not finite"),
        (list(np.zeros((200, 2), np.float32)), {"shortest": 1000}, "shorter than one frame"),
        (list(np.zeros((16_000, 2), np.float32)), {}, "16000 clips"),
        (np.zeros(9, np.float32), {"sample_rate": 16}, "in Hz"),
        (np.zeros(9, np.float32), {"sample_rate": "16000"}, "in Hz"),
        (0.5, {}, "path, an array, a tensor, or a list of these; got float"),
        ((np.zeros(16_000, np.float32), 16_000), {}, "the rate as sample_rate="),
        (np.full(16_000, 20_000.0, np.float32), {}, "divide them by 32768"),
    ],
)
def test_a_sound_that_could_be_two_things_or_is_none_is_refused_before_any_work(audio, change, message):
    with pytest.raises(ValueError, match=message):
        to_sounds(audio, **change)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(MediaError, match=r"nowhere.wav: the file cannot be opened .*check its path"):
        to_sounds("nowhere.wav")


def test_a_picture_goes_to_the_nearest_bucket_or_to_the_size_that_is_asked_for():
    wide = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 100, 300, 3), dtype=np.uint8))
    fitted, size = fit_reference(wide, None, None, [(64, 64), (64, 128), (128, 64)])
    assert size == (64, 128) and np.array_equal(fitted[0], crop_to(wide[0].numpy(), 64, 128))
    assert fit_reference(wide, 32, 48, [(64, 64)])[0].shape == (1, 32, 48, 3)
    assert torch.equal(fit_reference(fitted, None, None, [])[0], fitted)
    for height, width, message in (
        (64, None, "neither"),
        (60, 60, "multiples of 16"),
        (None, None, "multiples of 16"),
        (0, 0, "multiples of 16"),
        (96_000, 96_000, "ask for less"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_reference(wide, height, width, [])


def test_sound_is_never_cut_in_silence(pipe, folder):
    with pytest.raises(ValueError, match=r"1.56 s and one window 1.06 s: pipe.talk"):
        pipe("A person talks.", image=folder / "face.png", audio=PERSON.audio)
    assert pipe("", image=folder / "face.png", audio=PERSON.audio[:WINDOW]).frames.shape == (1, 17, 64, 64, 3)
    made = pipe.talk(folder / "face.png", folder / "voice.wav", seed=3)
    assert made.frames.shape == (1, 25, 64, 64, 3) and made.conditions["on"] == ["text", "reference", "audio"]
    assert torch.equal(made.frames, pipe.talk(PERSON.frames[0], folder / "voice.wav", seed=3).frames)
    assert pipe.talk(None, PERSON.audio, seconds=0.5, height=64, width=64).frames.shape == (1, 8, 64, 64, 3)
    with pytest.raises(ValueError, match="only with seconds="):
        pipe.talk(folder / "face.png", np.zeros(601 * 16_000, np.float32))
    with pytest.raises(ValueError, match="one picture and one sound"):
        pipe.talk(folder / "face.png", [PERSON.audio, PERSON.audio])
    with pytest.raises(ValueError, match="holds all frames in memory, here 183 GiB"):
        pipe.talk(folder / "face.png", PERSON.audio, seconds=1e6)


def test_a_pose_gives_the_length_where_there_is_no_sound_and_must_not_end_first(pipe):
    pose = torch.zeros(1, 20, 133, 3)
    made = pipe.talk(PERSON.frames[0], pose=pose)
    assert made.frames.shape[1] == 20 and made.conditions["on"] == ["text", "reference", "pose"]
    assert made.making is not None and made.making.sound is None
    assert pipe.talk(PERSON.frames[0], PERSON.audio[:20_900], pose=pose).frames.shape[1] == 20, "a sound's last frame"
    with pytest.raises(ValueError, match="pose has 20 frames at 16 fps and 25 are to be made; .* seconds=1.25"):
        pipe.talk(PERSON.frames[0], PERSON.audio, pose=pose)
    with pytest.raises(ValueError, match="give a sound, a pose, or seconds="):
        pipe.talk(PERSON.frames[0])
    with pytest.raises(ValueError, match="no length"):
        pipe.talk(PERSON.frames[0], seconds=float("nan"))


def test_inference_mode_changes_nothing(pipe):
    bare = pipe.talk(PERSON.frames[0], PERSON.audio, seconds=0.5, seed=3).frames
    with torch.inference_mode():
        assert torch.equal(pipe.talk(PERSON.frames[0], PERSON.audio, seconds=0.5, seed=3).frames, bare)


@pytest.mark.parametrize("module", [omnihuman.pipeline, omnihuman.guidance])
def test_examples_of_docstrings_run(module, pipe, folder, monkeypatch):
    monkeypatch.chdir(folder)
    pipe.transformer.config  # noqa: B018 - loaded once for both
    names = {
        "pipe": pipe, "OmniHumanPipeline": OmniHumanPipeline, "OmniHumanGuidance": OmniHumanGuidance, "prompt": "A person talks.",
        "image": "face.png", "sound": PERSON.audio[:WINDOW],
    }  # fmt: skip
    ran = [test for test in doctest.DocTestFinder().find(module, extraglobs=names) if test.examples]
    assert ran and not sum(doctest.DocTestRunner().run(test).failed for test in ran)

"""Files out: exact lengths, sound that begins with the pictures, provenance, the mark, and going on after a kill."""

import dataclasses
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from media import probe_clip, read_audio
from media.decode import decode_clip
from media.mark import mark_frames
from media.photographs import read_photograph
from omnihuman.exports import LatentsExport, Mp4Export, PngExport, Provenance, Target, export_segments, read_provenance
from omnihuman.long_video import Handover, Segment
from provenance.outcomes import UNTOUCHED
from provenance.settings import ProvenanceError
from provenance.signature import read_signature
from provenance.verify import verify_files, whom_we_trust

FPS, RATE, FRAMES, LENGTH = 16.0, 16_000, 45, 17
PROVENANCE = Provenance(
    "omnihuman-student version 3",
    "ab12",
    "cd34",
    7,
    1,
    {},
    "A person talks.",
    {"on": ["text"]},
    {"audio": "ef56"},
    False,
)


@pytest.fixture(autouse=True)
def pictures_as_they_are(monkeypatch) -> None:
    """Without the invisible mark, so that greys can be told to the level; its own test puts it back."""
    monkeypatch.setenv("OMNIHUMAN_WATERMARK", "off")


def pictures() -> np.ndarray:
    """`(45, 64, 64, 3)`: frame t has its own grey, so that each can be told from its neighbours."""
    return np.broadcast_to((20 + 4 * np.arange(FRAMES))[:, None, None, None], (FRAMES, 64, 64, 3)).astype(np.uint8)


def segments(first=0, before=None, stop=None):
    for index in range(first, 3):
        if index == stop:
            raise KeyboardInterrupt
        start = index * LENGTH
        frames = torch.from_numpy(pictures()[None, start : start + LENGTH].copy())
        handover = Handover(
            torch.full((1, 16, 2, 8, 8), float(index)), torch.full((1, 3, 5, 64, 64), index / 4, dtype=torch.bfloat16)
        )
        yield Segment(index, start, frames, torch.full((1, 16, 5, 8, 8), float(index)), handover)


def export_one(make, count, export, output, settings):
    return export_segments(make, count, [Target(export, output, FRAMES)], settings)[0]


def sound() -> np.ndarray:
    """Noise, which correlates with itself at one lag only."""
    length = round(FRAMES / FPS * RATE)
    return (np.random.default_rng(0).standard_normal(length) * 0.1).astype(np.float32)


def test_an_mp4_has_every_frame_and_sound_to_the_sample(tmp_path):
    path = export_one(
        segments, 3, Mp4Export(tmp_path / "out.mp4", PROVENANCE, FPS, sound(), RATE), tmp_path / "out.mp4", {}
    )
    found = probe_clip(path)
    assert (found.frames, found.fps, found.video_codec, found.sound.codec) == (FRAMES, FPS, "h264", "aac")
    greys = decode_clip(path, FPS).frames.mean(axis=(1, 2, 3))
    assert np.abs(greys - pictures().mean(axis=(1, 2, 3))).max() < 2
    heard = read_audio(path, RATE)
    assert len(heard) == len(sound())
    lags = range(-40, 41)
    products = [float((np.roll(heard, lag)[100:-100] * sound()[100:-100]).sum()) for lag in lags]
    assert lags[int(np.argmax(products))] == 0
    assert not list(tmp_path.glob("*partial*")) and not list(tmp_path.glob(".*"))


def test_a_video_without_sound_has_no_audio_stream(tmp_path):
    path = export_one(segments, 3, Mp4Export(tmp_path / "out.mp4", PROVENANCE, FPS, None), tmp_path / "out.mp4", {})
    found = probe_clip(path)
    assert found.frames == FRAMES and not found.has_audio


def playable(path: Path) -> tuple[np.ndarray, float]:
    """The greys of the pictures that a player gets out of the file as it lies there, and the seconds of sound."""
    with av.open(str(path)) as file:
        greys = [float(picture.to_ndarray(format="rgb24").mean()) for picture in file.decode(video=0)]
    with av.open(str(path)) as file:
        return np.array(greys), sum(heard.samples for heard in file.decode(audio=0)) / RATE


def test_each_segment_can_be_played_as_soon_as_it_is_made(tmp_path):
    """All of it but the fragments that are not full yet, with sound; fragments cut at key frames would hold the whole segment back."""
    played = []

    def make(first, before):
        for segment in segments(first, before):
            yield segment
            played.append(playable(tmp_path / "out.partial.mp4"))
            with av.open(str(tmp_path / "out.partial.mp4")) as container:
                assert container.metadata["title"].endswith("(preview, not signed)")
            assert read_signature(tmp_path / "out.partial.mp4", whom_we_trust()).reason == "none"

    export_one(make, 3, mp4(tmp_path / "out.mp4"), tmp_path / "out.mp4", {})
    assert verify_files([tmp_path / "out.mp4"])[0].outcome == UNTOUCHED, "the finished file is signed"
    for number, (greys, seconds) in enumerate(played, start=1):
        made = min(number * LENGTH, FRAMES)
        assert made - 5 <= len(greys) <= made and made / FPS - 0.35 <= seconds <= made / FPS, number
        # The last of them may be later ones, that those before them are predicted from.
        assert np.abs(greys - pictures()[: len(greys)].mean(axis=(1, 2, 3)))[:-4].max() < 2


def test_a_killed_export_goes_on_after_the_last_finished_segment(tmp_path):
    whole = export_one(segments, 3, mp4(tmp_path / "whole.mp4"), tmp_path / "whole.mp4", {})
    asked = []

    def make(first, before):
        asked.append(
            (
                first,
                None
                if before is None
                else (float(before.motion.mean()), float(before.overlap.mean()), before.overlap.dtype),
            )
        )
        return segments(first, before, stop=2 if len(asked) == 1 else None)

    with pytest.raises(KeyboardInterrupt):
        export_one(make, 3, mp4(tmp_path / "out.mp4"), tmp_path / "out.mp4", {"seed": 1})
    assert not (tmp_path / "out.mp4").exists()
    growing = decode_clip(tmp_path / "out.partial.mp4", FPS)
    assert len(growing.frames) >= LENGTH
    export_one(make, 3, mp4(tmp_path / "out.mp4"), tmp_path / "out.mp4", {"seed": 1})
    assert asked == [(0, None), (2, (1.0, 0.25, torch.bfloat16))]
    # A manifest has a name of its own each time.
    for name in ("out.mp4", "whole.mp4"):
        assert verify_files([tmp_path / name])[0].layers[0].outcome == UNTOUCHED
    assert (decode_clip(tmp_path / "out.mp4", FPS).frames == decode_clip(whole, FPS).frames).all()
    assert (read_audio(tmp_path / "out.mp4", RATE) == read_audio(whole, RATE)).all()


def test_unfinished_work_of_other_settings_is_not_used(tmp_path):
    asked = []

    def make(first, before):
        asked.append(first)
        return segments(first, before, stop=2 if len(asked) == 1 else None)

    with pytest.raises(KeyboardInterrupt):
        export_one(make, 3, mp4(tmp_path / "out.mp4"), tmp_path / "out.mp4", {"seed": 1})
    export_one(make, 3, mp4(tmp_path / "out.mp4"), tmp_path / "out.mp4", {"seed": 2})
    assert asked == [0, 0]


def pairs(first=0, before=None, stop=None):
    """Two videos at a time, the second one darker."""
    for segment in segments(first, before, stop):
        yield dataclasses.replace(
            segment,
            frames=torch.cat([segment.frames, segment.frames // 2]),
            latents=segment.latents.repeat(2, 1, 1, 1, 1),
        )


def test_a_batch_writes_each_video_at_its_own_length_and_goes_on_after_a_kill(tmp_path):
    asked = []

    def make(first, before):
        asked.append(first)
        return pairs(first, before, stop=2 if len(asked) == 1 else None)

    def targets():
        return [
            Target(mp4(tmp_path / "long.mp4"), tmp_path / "long.mp4", FRAMES),
            Target(PngExport(PROVENANCE, FPS), tmp_path / "short", 20),
        ]

    with pytest.raises(KeyboardInterrupt):
        export_segments(make, 3, targets(), {})
    long, short = export_segments(make, 3, targets(), {})
    assert asked == [0, 2] and probe_clip(long).frames == FRAMES
    assert (
        len(list(short.iterdir())) == 20
        and (read_photograph(short / "frame-000019.png") == pictures()[19, 0, 0] // 2).all()
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.mp4", "short"]


def mp4(path):
    return Mp4Export(path, PROVENANCE, FPS, sound(), RATE)


def test_png_frames_are_the_pictures_four_times_enlarged(tmp_path):
    folder = export_one(segments, 3, PngExport(PROVENANCE, FPS), tmp_path / "frames", {})
    files = sorted(folder.iterdir())
    assert [f.name for f in files] == [f"frame-{i:06d}.png" for i in range(FRAMES)]
    assert (read_photograph(files[30]) == pictures()[30, 0, 0]).all() and read_photograph(files[0]).shape == (
        256,
        256,
        3,
    )
    assert read_provenance(files[30])["seed"] == 7


def test_latents_are_written_segment_by_segment(tmp_path):
    path = export_one(segments, 3, LatentsExport(PROVENANCE, 5), tmp_path / "out.safetensors", {})
    latents = load_file(path)["latents"]
    assert latents.shape == (3, 16, 5, 8, 8) and latents.mean(dim=(1, 2, 3, 4)).tolist() == [0, 1, 2]
    assert read_provenance(path)["model"] == "omnihuman-student version 3"
    with safe_open(path, "pt") as file:
        assert file.metadata()["overlap"] == "5"


def test_an_mp4_says_what_made_it(tmp_path):
    path = export_one(segments, 3, mp4(tmp_path / "out.mp4"), tmp_path / "out.mp4", {})
    found = read_provenance(path)
    assert found["ai_generated"] is True and found["digital_source_type"].endswith("trainedAlgorithmicMedia")
    assert {k: found[k] for k in vars(PROVENANCE)} == vars(PROVENANCE)
    with av.open(str(path)) as container:
        assert "AI-generated by omnihuman-student version 3" in container.metadata["title"]


def test_a_file_of_another_origin_has_no_provenance(tmp_path):
    from media import encode_clip

    (tmp_path / "other.mp4").write_bytes(encode_clip(pictures(), FPS))
    with pytest.raises(ValueError, match="carries no provenance"):
        read_provenance(tmp_path / "other.mp4")


@pytest.mark.parametrize("size", [(256, 256), (480, 832), (832, 480)])
@pytest.mark.parametrize("grey", [0, 128, 255])
def test_the_mark_can_be_read_on_any_picture_and_leaves_the_rest_alone(size, grey):
    frames = np.full((2, *size, 3), grey, np.uint8)
    marked = mark_frames(frames)
    assert (frames == grey).all()
    changed = (marked != frames).any(axis=-1)
    letters = marked.min(axis=-1) > 200
    strip = changed | letters & (np.arange(size[0])[:, None] > 0.85 * size[0])
    assert not changed[:, : int(0.85 * size[0])].any()
    background = marked[:, -1, 0].max()
    assert background <= 85 and (letters & strip)[:, int(0.85 * size[0]) :].sum() > 0.001 * size[0] * size[1]


def test_exports_are_marked_unless_switched_off(tmp_path):
    plain = export_one(segments, 3, PngExport(PROVENANCE, FPS), tmp_path / "plain", {})
    marked = export_one(
        segments, 3, PngExport(dataclasses.replace(PROVENANCE, marked=True), FPS), tmp_path / "marked", {}
    )
    for number in (0, 44):
        name = f"frame-{number:06d}.png"
        difference = (read_photograph(plain / name) != read_photograph(marked / name)).any(axis=-1)
        assert difference.any() and not difference[:210].any()


def test_the_icon_is_shown_at_the_start_and_again_after_as_many_seconds_as_are_set(tmp_path, monkeypatch):
    monkeypatch.setattr("omnihuman.exporting.marking.ICON_SECONDS", 0.25)
    plain = export_one(segments, 3, PngExport(PROVENANCE, FPS), tmp_path / "plain", {})
    monkeypatch.setenv("OMNIHUMAN_ICON", "2")
    folder = export_one(segments, 3, PngExport(PROVENANCE, FPS), tmp_path / "frames", {})
    shown = []
    for number in range(FRAMES):
        name = f"frame-{number:06d}.png"
        changed = (read_photograph(plain / name) != read_photograph(folder / name)).any(axis=-1)
        assert not changed[60:].any() and not changed[:, 60:].any(), "the upper left corner alone"
        shown += [number] * bool(changed.any())
    assert shown == [0, 1, 2, 3, 32, 33, 34, 35], "two seconds of 16 frames, over the borders of segments"
    said = read_signature(folder / "frame-000000.png", whom_we_trust()).says
    assert said["icon"] == {"every": 2.0, "seconds": 0.25}
    monkeypatch.setenv("OMNIHUMAN_ICON", "often")
    with pytest.raises(ProvenanceError, match="OMNIHUMAN_ICON is 'often'"):
        export_one(segments, 3, PngExport(PROVENANCE, FPS), tmp_path / "more", {})


def test_every_frame_of_a_folder_is_signed(tmp_path):
    folder = export_one(segments, 3, PngExport(PROVENANCE, FPS), tmp_path / "frames", {})
    trust = whom_we_trust()
    found = [read_signature(path, trust) for path in sorted(folder.iterdir())]
    assert len(found) == FRAMES and {one.outcome for one in found} == {UNTOUCHED}
    assert found[30].says["snapshot"] == "cd34"


def test_what_cannot_be_signed_is_refused_before_the_first_segment_is_made(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_CERTIFICATE", str(tmp_path / "nowhere.pem"))
    monkeypatch.setenv("OMNIHUMAN_KEY", str(tmp_path / "nowhere.key"))

    def make(first, before):
        raise AssertionError("made in vain")

    with pytest.raises(ProvenanceError, match="no certificate can be read"):
        export_one(make, 3, mp4(tmp_path / "out.mp4"), tmp_path / "out.mp4", {})
    assert not list(tmp_path.glob("*.mp4"))


def test_signing_is_switched_off_by_a_setting(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_SIGNING", "off")
    path = export_one(segments, 3, mp4(tmp_path / "out.mp4"), tmp_path / "out.mp4", {})
    assert verify_files([path])[0].layers[0].reason == "none" and read_provenance(path)["seed"] == 7


@pytest.mark.parametrize("kind", ["mp4", "png"])
def test_pictures_carry_the_invisible_mark_and_the_statement_says_so(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_WATERMARK", "on")
    ours = dataclasses.replace(PROVENANCE, version=3, marked=True)
    if kind == "mp4":
        path = export_one(
            segments, 3, Mp4Export(tmp_path / "out.mp4", ours, FPS, sound(), RATE), tmp_path / "out.mp4", {}
        )
    else:
        path = export_one(segments, 3, PngExport(ours, FPS), tmp_path / "frames", {}) / "frame-000040.png"
    signature, watermark = verify_files([path])[0].layers
    assert signature.outcome == watermark.outcome == UNTOUCHED
    assert watermark.says["version"] == 3 and signature.says["watermark"] == dict(watermark.says)

"""Ingest: good clips in, each bad file listed with its reason, the same bytes each time."""

import hashlib
import json
import os
import stat
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest

import puppets
from curation.errors import CurationError
from curation.intake.archive import read_clip
from curation.intake.inbox import fingerprint
from curation.intake.ingest import find_new_clips, ingest_folder, ingest_shard, plan_shards, shard_name
from media import decode_clip, encode_clip


def audio_only(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=16_000, layout="mono")
        for start in range(0, 32_000, 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, start, Fraction(1, 16_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def variable_rate(path: Path, frames: np.ndarray) -> None:
    """The first half at 8 frames per second, the second at 16."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv444p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 16)
        clock = 0
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = clock, Fraction(1, 16)
            clock += 2 if index < len(frames) // 2 else 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def quarantine(report) -> dict[str, str]:
    table = pd.read_parquet(report.path / "quarantine.parquet")
    return dict(zip(table["source_name"], table["reason"], strict=True))


def test_every_bad_file_is_quarantined_with_its_reason_and_the_rest_goes_on(inbox, put_puppet, puppet_bytes, laptop):
    put_puppet("good.mp4")
    data = puppet_bytes(1)
    (inbox / "copy.mp4").write_bytes(puppet_bytes(0))
    (inbox / "truncated.mp4").write_bytes(data[: len(data) // 2])
    (inbox / "text.mp4").write_text("I am not a video")
    (inbox / "zero.mp4").write_bytes(b"")
    audio_only(inbox / "sound.mp4")
    put_puppet("short.mp4", seed=2, frames=13)
    (inbox / "gone.mp4").symlink_to(inbox / "nothing")
    report = ingest_shard(find_new_clips(inbox, inbox.parent / "raw"), inbox.parent / "raw", laptop, inbox=inbox)
    found = quarantine(report)
    # A tail cut off takes the index of an mp4 with it, so FFmpeg cannot tell that it was one.
    assert found.pop("truncated.mp4") in ("truncated", "not_video")
    assert found == {
        "good.mp4": "duplicate", "text.mp4": "not_video", "zero.mp4": "empty", "sound.mp4": "no_video",
        "short.mp4": "too_short", "gone.mp4": "unreadable",
    }  # fmt: skip
    assert report.clips == 1 and report.quarantined["duplicate"] == 1
    messages = pd.read_parquet(report.path / "quarantine.parquet")["message"]
    assert messages.str.len().min() > 20 and not messages.str.contains(str(inbox)).any()
    assert find_new_clips(inbox, inbox.parent / "raw") == []


def test_a_shard_of_nothing_but_bad_files_is_a_shard(inbox, laptop):
    (inbox / "text.mp4").write_text("no")
    report = ingest_shard(find_new_clips(inbox, inbox.parent / "raw"), inbox.parent / "raw", laptop)
    assert report.clips == 0 and report.quarantined == {"not_video": 1}
    assert str(pd.read_parquet(report.path / "clips.parquet")["has_audio"].dtype) == "bool"


def test_a_file_that_may_not_be_read_is_recorded_once_and_new_when_it_can_be(laptop, puppet_bytes):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        inbox, raw = Path(folder, "inbox"), Path(folder, "raw")
        inbox.mkdir()
        raw.mkdir()
        os.chmod(raw, 0o777)
        path = inbox / "locked.mp4"
        path.write_bytes(puppet_bytes(0))
        os.chmod(path, 0)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65_534)  # the superuser may read everything
        try:
            report = ingest_shard([path], raw, laptop)
            assert report.quarantined == {"unreadable": 1}
            assert find_new_clips(inbox, raw) == []
        finally:
            if root:
                os.seteuid(0)
        os.chmod(path, stat.S_IRUSR)
        assert find_new_clips(inbox, raw) == [path]


@pytest.mark.parametrize("name", ["a b.mp4", 'it\'s "q".mp4', "x;rm -rf.mp4", "-rf.mp4", "ü%20:.MP4", "no suffix"])
def test_odd_names_are_simply_handled(name, inbox, put_puppet, laptop):
    put_puppet(name)
    report = ingest_shard(find_new_clips(inbox, inbox.parent / "raw"), inbox.parent / "raw", laptop, inbox=inbox)
    clips = pd.read_parquet(report.path / "clips.parquet")
    assert clips["source_name"].tolist() == [name]
    assert clips["caption"].iloc[0].startswith("A person with")
    assert read_clip(report.path, clips["clip_id"].iloc[0]) == (inbox / name).read_bytes()


def test_odd_sizes_and_variable_rates_are_simply_handled(inbox, laptop):
    frames = puppets.render(0).frames
    odd = np.pad(frames, ((0, 0), (0, 1), (0, 0), (0, 0)), mode="edge")[:, :, :63]
    (inbox / "odd.mp4").write_bytes(encode_clip(odd, 16))
    variable_rate(inbox / "vfr.mp4", frames)
    report = ingest_shard(find_new_clips(inbox, inbox.parent / "raw"), inbox.parent / "raw", laptop)
    clips = pd.read_parquet(report.path / "clips.parquet").set_index("source_name")
    assert report.clips == 2
    assert tuple(clips.loc["odd.mp4", ["width", "height"]]) == (63, 65)
    decoded = decode_clip(inbox / "vfr.mp4", 16.0).frames
    # 12 frames of two ticks, 13 of one: the slow half shows each picture twice.
    assert len(decoded) == pytest.approx(37, abs=1)
    assert np.abs(decoded[0].astype(int) - decoded[1]).max() == 0


def test_a_bad_sidecar_costs_the_caption_only(inbox, put_puppet, laptop):
    for name, text in {"a.mp4": b"{", "b.mp4": b'{"caption": 3}', "c.mp4": b"\xff\xfe[]"}.items():
        put_puppet(name, seed=ord(name[0]), sidecar=False)
        (inbox / f"{name}.json").write_bytes(text)
    put_puppet("d.mp4", seed=7, sidecar=False)
    report = ingest_shard(find_new_clips(inbox, inbox.parent / "raw"), inbox.parent / "raw", laptop)
    clips = pd.read_parquet(report.path / "clips.parquet").set_index("source_name")
    assert report.clips == 4 and (clips["caption"] == "").all()
    assert clips["caption_note"].str.startswith("sidecar").tolist().count(True) == 3
    assert clips.loc["d.mp4", "caption_note"] == "no sidecar"


def test_the_same_clips_give_the_same_bytes_and_name_in_any_order(tmp_path, inbox, put_puppet, laptop):
    files = [put_puppet(f"{seed}.mp4", seed=seed) for seed in range(3)]
    first = ingest_shard(files, tmp_path / "one", laptop)
    for path in files:
        os.utime(path, (1, 1))
    second = ingest_shard(files[::-1], tmp_path / "two", laptop)
    assert first.name == second.name == shard_name(files)
    for name in ("clips.tar", "clips.parquet", "shard.json"):
        digests = [hashlib.sha256((report.path / name).read_bytes()).hexdigest() for report in (first, second)]
        assert digests[0] == digests[1], name
    assert ingest_shard(files, tmp_path / "one", laptop).reused


def test_content_of_another_shard_is_not_new_under_another_name(tmp_path, inbox, put_puppet, laptop):
    ingest_shard([put_puppet("a.mp4")], tmp_path / "raw", laptop)
    put_puppet("again/a.mp4")
    fresh = put_puppet("b.mp4", seed=1)
    assert find_new_clips(inbox, tmp_path / "raw") == [fresh]


def test_sidecars_hidden_and_temporary_files_and_links_that_leave_are_passed_over(tmp_path, inbox, put_puppet):
    good = put_puppet("sub/folder/a.mp4")
    outside = tmp_path / "secret.mp4"
    outside.write_bytes(b"x")
    (inbox / "link.mp4").symlink_to(outside)
    (inbox / "inner.mp4").symlink_to(good)
    for name in (".hidden.mp4", "a.mp4.part", "b.tmp", "c.mp4.json"):
        (inbox / name).write_bytes(b"x")
    (inbox / ".git").mkdir()
    (inbox / ".git" / "d.mp4").write_bytes(b"x")
    assert find_new_clips(inbox, tmp_path / "raw") == [inbox / "inner.mp4", good]


def test_shards_hold_at_most_so_many_clips(inbox, put_puppet, laptop, tmp_path):
    files = [put_puppet(f"{seed}.mp4", seed=seed) for seed in range(3)]
    plans = plan_shards(files, 2)
    assert [len(plan.files) for plan in plans] == [2, 1]
    small = laptop.model_copy(update={"curation": laptop.curation.model_copy(update={"shard_clips": 2})})
    with pytest.raises(CurationError, match="plan_shards"):
        ingest_shard(files, tmp_path / "raw", small)


def test_a_users_folder_is_copied_in_without_overwriting(tmp_path, inbox, puppet_bytes):
    folder = tmp_path / "mine"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.mp4").write_bytes(puppet_bytes(0))
    (folder / "deep" / "a.mp4.json").write_text(json.dumps({"caption": "hello"}))
    first = ingest_folder(folder, inbox)
    assert first == ingest_folder(folder, inbox) == [inbox / "mine" / "deep" / "a.mp4"]
    (folder / "deep" / "a.mp4").write_bytes(puppet_bytes(1))
    (second,) = ingest_folder(folder, inbox)
    assert second != first[0] and first[0].read_bytes() == puppet_bytes(0) and second.read_bytes() == puppet_bytes(1)
    assert json.loads(second.with_name(second.name + ".json").read_text()) == {"caption": "hello"}
    with pytest.raises(CurationError, match="no folder"):
        ingest_folder(tmp_path / "none", inbox)
    assert not list(inbox.rglob(".tmp-*"))


def test_a_file_that_changes_meanwhile_stops_the_shard_and_leaves_nothing(tmp_path, put_puppet, puppet_bytes, laptop):
    path = put_puppet("a.mp4")

    def meddle(done: int, total: int, note: str) -> None:
        path.write_bytes(puppet_bytes(1) + b"more")

    with pytest.raises(CurationError, match="changed while"):
        ingest_shard([path], tmp_path / "raw", laptop, meddle)
    assert not list((tmp_path / "raw").glob("*"))
    assert fingerprint(path) == hashlib.sha256(path.read_bytes()).hexdigest()

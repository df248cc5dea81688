"""A corpus of malformed and odd files: none stops a shard, each has its verdict and its reason, none leaks."""

import os
import resource
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import puppets
from curation.bucket import load_bucket_clip
from curation.intake.archive import read_clip
from curation.intake.clip_table import printable
from curation.intake.inbox import candidate_files, find_new_clips
from curation.intake.ingest import ingest_shard
from curation.intake.inspect_file import examine, limits_of
from curation.scores.table import score_shard
from media import decode_clip
from orchestration.commands.data import ingest
from tests.curation.foreign_clips import FRAMES, ForeignClip, foreign_clips, white_around
from tests.curation.odd_clips import FPS, USABLE, OddClip, frames_of, odd_clips, pipe_behind_a_link
from tests.media.sound_files import errors_ms

CLIPS = [*odd_clips(), *foreign_clips()]
ELSEWHERE = "from elsewhere"  # the user's folder, and so the inbox's


def source_name(odd: OddClip) -> str:
    return printable(Path(ELSEWHERE if USABLE in odd.verdict else "") / odd.name)


@dataclass(frozen=True)
class Corpus:
    """The whole corpus in one shard, and its scores; `clips` and `quarantine` by `source_name`, `scores` by `clip_id`."""

    inbox: Path
    raw: Path
    clips: pd.DataFrame
    quarantine: pd.DataFrame
    scores: pd.DataFrame
    unscored: pd.DataFrame


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, laptop) -> Iterator[Corpus]:
    """What may be usable is brought by `omnihuman ingest`; what cannot even be copied lies in the inbox already."""
    home = tmp_path_factory.mktemp("odd")
    inbox, folder = home / "inbox", home / ELSEWHERE
    inbox.mkdir()
    folder.mkdir()
    for odd in CLIPS:
        odd.put((folder if USABLE in odd.verdict else inbox) / odd.name)
    pipe_behind_a_link(inbox / "pipe.mp4")  # would be waited for without end
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMNIHUMAN_HOME", str(home))
        ingest(str(folder))
    raw = home / "raw"
    report = ingest_shard(find_new_clips(inbox, raw), raw, laptop, inbox=inbox)
    score_shard(report.path, home / "scores", puppets.PuppetKeypoints(), laptop)
    tables = [
        pd.read_parquet(report.path / name).set_index("source_name") for name in ("clips.parquet", "quarantine.parquet")
    ]
    scores = [pd.read_parquet(home / "scores" / name) for name in ("scores.parquet", "quarantine.parquet")]
    yield Corpus(inbox, report.path, *tables, scores[0].set_index("clip_id"), scores[1])  # type: ignore[call-arg]


def test_the_corpus_is_large_and_every_file_of_it_has_a_row(corpus):
    names = {printable(path.relative_to(corpus.inbox)) for path in candidate_files(corpus.inbox)}
    assert len(corpus.clips) >= 100 and "pipe.mp4" not in names
    assert names == set(corpus.clips.index) | {name.partition("#t=")[0] for name in corpus.quarantine.index}
    messages = corpus.quarantine["message"]
    assert (messages.str.len() > 20).all() and not messages.str.contains(str(corpus.inbox)).any()


def test_every_usable_one_is_scored(corpus):
    assert corpus.unscored.empty and set(corpus.scores.index) == set(corpus.clips["clip_id"])
    assert corpus.scores["motion"].notna().all()
    with_sound = corpus.clips.set_index("clip_id").loc[corpus.scores.index, "has_audio"]
    assert (corpus.scores["audio_rms_db"].notna() == with_sound).all()


@pytest.mark.parametrize("odd", CLIPS, ids=lambda odd: printable(Path(odd.name[:40])))
def test_each_has_its_verdict(odd, corpus):
    name = source_name(odd)
    found = corpus.quarantine.loc[name, "reason"] if name in corpus.quarantine.index else USABLE
    assert found in odd.verdict, corpus.quarantine.loc[name, "message"] if found else "it was taken for usable"
    if found == USABLE:
        row = corpus.clips.loc[name]
        wanted = odd.columns or {}
        assert {key: row[key] for key in wanted} == wanted


def test_what_is_usable_decodes_to_the_bucket(corpus, laptop):
    for row in corpus.clips.itertuples():
        clip = load_bucket_clip(read_clip(corpus.raw, row.clip_id), row.width, row.height, laptop.video)
        assert clip.frames.shape[1:] == (64, 64, 3) and len(clip.frames) >= 17, row.Index
        assert (clip.audio is not None) == row.has_audio, row.Index


FOREIGN = [clip for clip in CLIPS if isinstance(clip, ForeignClip) and USABLE in clip.verdict]


@pytest.mark.parametrize("foreign", [clip for clip in FOREIGN if clip.seed is not None], ids=lambda clip: clip.name)
def test_a_foreign_clip_is_seen_and_heard_as_it_was_made(foreign, corpus):
    """Each picture is the puppet's, each burst of sound stands within a millisecond of its time."""
    clip = decode_clip((corpus.inbox / ELSEWHERE / foreign.name).read_bytes(), FPS)
    truth = frames_of(foreign.seed, FRAMES if foreign.sound else 25)
    truth = white_around(truth) if "alpha" in foreign.name else truth
    count = min(len(truth), len(clip.frames))
    assert count >= len(truth) - 1
    assert np.abs(clip.frames[:count].astype(int) - truth[:count]).mean() <= foreign.levels
    if foreign.sound is not None:
        errors = errors_ms(clip.audio, foreign.sound(), foreign.late, foreign.gap)
        assert len(errors) >= 2 and np.abs(errors).max() <= 1.0, errors


@pytest.mark.end_to_end
def test_ingesting_it_again_and_again_leaks_neither_handles_nor_memory(corpus, laptop):
    inbox, limits = corpus.inbox, limits_of(laptop)
    # What is large is looked at once more below; here it would only take time.
    files = [path for path in candidate_files(inbox) if "8K" not in path.name]

    def round_trip() -> tuple[int, int]:
        for path in files:
            examine(limits, path)
        return len(os.listdir("/proc/self/fd")), int(Path("/proc/self/statm").read_text().split()[1]) * 4

    round_trip()
    first, _, last = [round_trip() for _ in range(3)]
    assert last[0] == first[0], "open files"
    assert last[1] - first[1] < 8_000, "KiB of memory"


def test_a_huge_picture_takes_memory_for_a_few_pictures_and_no_more(corpus, laptop):
    path = corpus.inbox / ELSEWHERE / "8K of nothing.mp4"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = examine(limits_of(laptop), path).probe
    load_bucket_clip(path.read_bytes(), row.width, row.height, laptop.video)
    # A picture is 50 MB as decoded and 100 MB as RGB; all 24 at the bucket's rate would be 2.4 GB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 900_000


def test_a_file_and_a_folder_that_may_not_be_read_stop_nothing(laptop, puppet_bytes, caplog):
    with tempfile.TemporaryDirectory() as root:
        inbox, raw = Path(root, "inbox"), Path(root, "raw")
        (inbox / "locked").mkdir(parents=True)
        raw.mkdir()
        for seed, name in enumerate(["good.mp4", "locked/inside.mp4", "locked.mp4"]):
            (inbox / name).write_bytes(puppet_bytes(seed))
        os.chmod(root, 0o755)
        os.chmod(raw, 0o777)
        os.chmod(inbox / "locked.mp4", 0)
        os.chmod(inbox / "locked", 0)
        superuser = os.geteuid() == 0
        if superuser:
            os.seteuid(65_534)  # the superuser may read everything
        try:
            report = ingest_shard(find_new_clips(inbox, raw), raw, laptop, inbox=inbox)
        finally:
            if superuser:
                os.seteuid(0)
            os.chmod(inbox / "locked", stat.S_IRWXU)
        assert report.clips == 1 and report.quarantined == {"unreadable": 1} and "cannot be listed" in caplog.text

"""A corpus of malformed and odd files: none stops a shard, each has its verdict and its reason, none leaks."""

import os
import resource
import stat
import tempfile
from pathlib import Path

import pandas as pd
import pytest

from curation.bucket import load_bucket_clip
from curation.intake.archive import read_clip
from curation.intake.clip_table import printable
from curation.intake.inbox import candidate_files, find_new_clips
from curation.intake.ingest import ingest_shard
from curation.intake.inspect_file import examine, limits_of
from tests.curation.odd_clips import USABLE, odd_clips, pipe_behind_a_link


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, laptop):
    """The whole corpus in one shard."""
    inbox = tmp_path_factory.mktemp("odd") / "inbox"
    inbox.mkdir()
    for odd in odd_clips():
        odd.put(inbox / odd.name)
    pipe_behind_a_link(inbox / "pipe.mp4")  # would be waited for without end
    raw = inbox.parent / "raw"
    report = ingest_shard(find_new_clips(inbox, raw), raw, laptop, inbox=inbox)
    clips = pd.read_parquet(report.path / "clips.parquet").set_index("source_name")
    quarantine = pd.read_parquet(report.path / "quarantine.parquet").set_index("source_name")
    return inbox, report, clips, quarantine


def test_the_corpus_is_large_and_every_file_of_it_has_a_row(corpus):
    inbox, report, clips, quarantine = corpus
    names = {printable(path.relative_to(inbox)) for path in candidate_files(inbox)}
    assert len(names) >= 40 and "pipe.mp4" not in names
    assert names == set(clips.index) | set(quarantine.index)
    assert (quarantine["message"].str.len() > 20).all() and not quarantine["message"].str.contains(str(inbox)).any()


@pytest.mark.parametrize("odd", odd_clips(), ids=lambda odd: printable(Path(odd.name[:40])))
def test_each_has_its_verdict(odd, corpus):
    _, _, clips, quarantine = corpus
    name = printable(Path(odd.name))
    found = quarantine.loc[name, "reason"] if name in quarantine.index else USABLE
    assert found in odd.verdict, quarantine.loc[name, "message"] if found else "it was taken for usable"
    if found == USABLE:
        row = clips.loc[name]
        assert {key: row[key] for key in odd.columns or {}} == (odd.columns or {})


def test_what_is_usable_decodes_to_the_bucket(corpus, laptop):
    _, report, clips, _ = corpus
    for row in clips.itertuples():
        clip = load_bucket_clip(read_clip(report.path, row.clip_id), row.width, row.height, row.fps, laptop.video)
        assert clip.frames.shape[1:] == (64, 64, 3) and len(clip.frames) >= 17, row.Index
        assert (clip.audio is not None) == row.has_audio, row.Index


@pytest.mark.end_to_end
def test_ingesting_it_again_and_again_leaks_neither_handles_nor_memory(corpus, laptop):
    inbox, _, _, _ = corpus
    limits = limits_of(laptop)
    # What is large is looked at once more below; here it would only take time.
    files = [path for path in candidate_files(inbox) if "8K" not in path.name]

    def round_trip() -> tuple[int, int]:
        for path in files:
            examine(limits, path)
        return len(os.listdir("/proc/self/fd")), int(Path("/proc/self/statm").read_text().split()[1]) * 4

    round_trip()
    first, *_, last = [round_trip() for _ in range(4)]
    assert last[0] == first[0], "open files"
    assert last[1] - first[1] < 12_000, "KiB of memory"


def test_a_huge_picture_takes_memory_for_a_few_pictures_and_no_more(corpus, laptop):
    inbox, _, _, _ = corpus
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = examine(limits_of(laptop), inbox / "8K of nothing.mp4")
    row = found.probe
    load_bucket_clip((inbox / "8K of nothing.mp4").read_bytes(), row.width, row.height, row.fps, laptop.video)
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

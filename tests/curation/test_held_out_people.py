"""People who are held out: none of their clips is in the snapshot, the frozen set of them meets nothing that is trained on."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import puppets
from curation.errors import CurationError
from curation.intake.held_out import held_out
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.intake.inspect_file import examine, limits_of
from curation.snapshot.held_out_people import build_held_out_set, find_held_out, identities_of, is_held_out
from curation.snapshot.overlap import Training, find_overlap, overlap_with_snapshots
from curation.snapshot.training_snapshot import freeze_snapshot
from curation.snapshot.withdrawals import Tombstone, held_by_sets
from media import encode_clip
from tests.curation.shard_workspace import Workspace as ShardWorkspace

SHARE = 0.05
NAMES = [f"person {number}" for number in range(200)]
HELD, TRAINED = ([name for name in NAMES if is_held_out(name, SHARE) is held] for held in (True, False))
ANN, EVE = HELD[:2]
BEN, CID, UNKNOWN = TRAINED[:3]


def test_who_is_held_out_depends_on_the_name_alone_and_stays():
    # sha256("ann") begins with 4991..., that of "person 0" with 8a81...: 0.287 and 0.541 of all that there are.
    assert is_held_out("ann", 0.288) and not is_held_out("ann", 0.287) and not is_held_out("person 0", 0.541)
    names = [f"somebody {number}" for number in range(20_000)]
    for share in (0.0, 0.02, 0.3, 1.0):
        assert np.mean([is_held_out(name, share) for name in names]) == pytest.approx(share, abs=0.01)
    assert all(is_held_out(name, 0.3) for name in names if is_held_out(name, 0.02))


def test_of_whom_nobody_says_anything_is_a_person_of_his_own():
    assert identities_of("a.mp4", "", "ab" * 32) == {"file:abababababababab"}
    assert identities_of("a.mp4", "ann", "ab" * 32) == {"ann"}
    assert identities_of("x/M2Ohb0FAaJU_1.mp4", "", "ab" * 32) == {"celebv-hq:M2Ohb0FAaJU"}


@pytest.fixture(scope="module")
def made_once(tmp_path_factory, tiny_encoders, loaded_encoders, puppet_bytes) -> ShardWorkspace:
    """Two shards. Ann has two clips in the first and one in the second, where a copy of her first comes under no name; Eve has one."""
    root = tmp_path_factory.mktemp("people")
    workspace = ShardWorkspace(root, root / "inbox", tiny_encoders, loaded_encoders)
    workspace.inbox.mkdir()

    def put(name: str, seed: int, identity: str, data: bytes | None = None) -> None:
        sidecar = {"caption": puppets.render(seed).caption, "identity": identity}
        (workspace.inbox / f"{name}.json").write_text(json.dumps(sidecar))
        (workspace.inbox / name).write_bytes(data or puppet_bytes(seed))

    for name, seed, who in (("a1.mp4", 1, ANN), ("a2.mp4", 2, ANN), ("b1.mp4", 3, BEN), ("c1.mp4", 4, CID)):
        put(name, seed, who)
    workspace.ingest()
    put("a3.mp4", 5, ANN)
    put("e1.mp4", 6, EVE)
    put("b2.mp4", 7, BEN)
    puppet = puppets.render(1)
    put("copy.mp4", 1, UNKNOWN, encode_clip(puppet.frames, 16.0, puppet.audio, crf=20, pixel_format="yuv420p"))
    workspace.ingest()
    for name in workspace.shards:
        workspace.features(name)
    return workspace


@pytest.fixture
def shards(made_once, tmp_path) -> ShardWorkspace:
    """A copy of it that a test may change."""
    shutil.copytree(made_once.root, tmp_path, dirs_exist_ok=True)
    copy = ShardWorkspace(tmp_path, tmp_path / "inbox", made_once.profile, made_once.encoders)
    copy.shards = list(made_once.shards)
    return copy


def freeze(workspace, share: float, tombstones=()) -> pd.DataFrame:
    roots = [workspace.root / part for part in ("raw", "subsets", "features")]
    freeze_snapshot(workspace.shards, *roots, workspace.root / "snapshot", workspace.profile, tombstones, share)  # type: ignore[call-arg]
    return pd.read_parquet(workspace.root / "snapshot" / "samples.parquet")


def build(workspace, limit=None, share=SHARE, **more):
    roots = [workspace.root / part for part in ("raw", "subsets", "set")]
    return build_held_out_set(*roots, workspace.profile.video, share, puppets.PuppetKeypoints(), limit, **more)  # type: ignore[call-arg]


def all_clips(workspace) -> pd.DataFrame:
    return pd.concat(pd.read_parquet(workspace.root / "raw" / name / "clips.parquet") for name in workspace.shards)


def test_set_and_snapshot_share_neither_file_nor_film_nor_person(shards):
    samples, made, clips = freeze(shards, SHARE), build(shards), all_clips(shards)
    listed = clips[clips["clip_id"].isin(samples["clip_id"])]
    assert set(listed["source_name"]) == {"b1.mp4", "b2.mp4", "c1.mp4"}
    assert {sample.name: sample.identity for sample in made.samples} == {
        "a1.mp4": ANN, "a2.mp4": ANN, "a3.mp4": ANN, "e1.mp4": EVE,
    }  # fmt: skip
    assert find_overlap(made.manifest, Training(listed, "snapshot")) == {}
    files = [shards.root / "snapshot" / "samples.parquet"]
    assert overlap_with_snapshots(made.manifest, files, shards.root / "raw") == {}
    assert all(sample.pose and sample.audio for sample in made.samples)
    assert made.samples[0].caption and made.record.kind == "held_out"


def test_how_many_are_held_out_is_said(shards):
    freeze(shards, SHARE)
    said = shards.snapshot()["held_out"]
    assert said == {"share": SHARE, "people": 2, "clips": 5, "samples": 5} and shards.snapshot()["counts"]["clips"] == 3
    card = (shards.root / "snapshot" / "card.md").read_text()
    assert "5 clips of 2 people are held out as a benchmark (0.05 of all people)" in card


def test_without_a_share_the_snapshot_is_what_it_was(shards):
    assert len(freeze(shards, 0.0)) == 8 and "held_out" not in shards.snapshot()
    assert "held out" not in (shards.root / "snapshot" / "card.md").read_text()
    assert shards.snapshot()["digest"] == shards.freeze()


def test_a_withdrawn_clip_is_in_neither_and_counted_once(shards):
    clips = all_clips(shards).set_index("source_name")
    gone = Tombstone("a1", "clip_id", (clips.loc["a1.mp4", "clip_id"],), (), "asked for", "2026-11-29")
    freeze(shards, SHARE, [gone])
    assert shards.snapshot()["held_out"]["clips"] == 4 and shards.snapshot()["counts"]["clips"] == 3
    assert {sample.name for sample in build(shards, tombstones=[gone]).samples} == {"a2.mp4", "a3.mp4", "e1.mp4"}


def test_a_limit_takes_as_many_people_as_possible(shards):
    assert {sample.identity for sample in build(shards, limit=2).samples} == {ANN, EVE}


def test_a_clip_that_somebody_else_s_film_resembles_is_left_out_with_the_reason(shards):
    """An older version's index missed the copy: it stands in the second shard as a film of its own."""
    path = shards.root / "raw" / shards.shards[1] / "clips.parquet"
    clips = pd.read_parquet(path)
    assert (clips["near_duplicate_of"] != "").sum() == 1
    clips.assign(near_duplicate_of="", near_duplicate=False).to_parquet(path)
    made = build(shards)
    assert {sample.name for sample in made.samples} == {"a2.mp4", "a3.mp4", "e1.mp4"}
    assert "nearly the same film as clip" in made.skipped["a1.mp4"]


def test_a_shard_without_subsets_is_left_out_and_too_few_people_say_what_to_do(shards):
    shutil.rmtree(shards.root / "subsets" / shards.shards[1])
    made = build(shards)
    assert {sample.name for sample in made.samples} == {"a1.mp4", "a2.mp4"} and "no table" in made.skipped[
        shards.shards[1]
    ]
    with pytest.raises(
        CurationError, match=r"0 samples are left of the people who are held out.*evaluation.held_out_people"
    ):
        build(shards, share=1e-6)


def test_a_shard_that_is_ingested_anew_has_them_again_and_a_copy_stays_out(shards, tmp_path, laptop):
    build(shards)
    inbox = shards.inbox
    (tmp_path / "sets").mkdir()
    shutil.copytree(tmp_path / "set", tmp_path / "sets" / "held_out")
    for folder in (
        {"test_sets": tmp_path / "sets", "benchmarks": tmp_path},
        {"test_sets": tmp_path / "x", "benchmarks": tmp_path / "sets"},
    ):
        known = held_out(**folder)
        assert known.why(examine(limits_of(laptop), inbox / "a1.mp4")) == ""
        assert "nearly the same film as one of test set held_out" in known.why(
            examine(limits_of(laptop), inbox / "copy.mp4")
        )
    files = find_new_clips(inbox, tmp_path / "other")
    report = ingest_shard(files, tmp_path / "other", laptop, inbox=inbox, held_out=known)
    assert report.quarantined == {"held_out": 1} and report.clips == 7


def test_a_shot_of_a_film_is_cut_and_heard_where_it_lies(tmp_path, inbox, laptop):
    """Two scenes of a film, each with its own sound."""
    first, second = puppets.render(11), puppets.render(12)
    frames = np.concatenate([first.frames, 255 - second.frames])
    sound = np.concatenate([first.audio, second.audio])
    (inbox / "film.mp4").write_bytes(encode_clip(frames, 16.0, sound, audio_bitrate=192_000))
    shard = tmp_path / "raw" / ingest_shard([inbox / "film.mp4"], tmp_path / "raw", laptop, inbox=inbox).name
    clips = pd.read_parquet(shard / "clips.parquet").sort_values("start_seconds")
    starts = (clips["start_seconds"] * 16).tolist()
    assert len(starts) == 2 and starts[0] == 0 and starts[1] in (25, 26)
    (tmp_path / "subsets" / shard.name).mkdir(parents=True)
    listed = clips[["clip_id"]].assign(text=True)
    listed.to_parquet(tmp_path / "subsets" / shard.name / "subsets.parquet")
    roots = [tmp_path / part for part in ("raw", "subsets", "set")]
    made = build_held_out_set(*roots, laptop.video, 1.0, None, None)  # type: ignore[call-arg]
    samples = {sample.sample_id: sample for sample in made.samples}
    for clip_id, start in zip(clips["clip_id"], map(int, starts), strict=True):
        sample = samples[clip_id]
        assert (sample.name, sample.identity) == ("film.mp4", f"file:{sample.sha256[:16]}")
        assert np.abs(made.frames(sample).astype(int) - frames[start : start + 17]).mean() < 3
        assert np.abs(made.reference(sample).astype(int) - frames[start + 20]).mean() < 3
        truth = sound[start * 1000 : start * 1000 + 17_000]
        assert np.corrcoef(made.audio(sample), truth)[0, 1] > 0.99


def test_a_withdrawal_names_the_frozen_sets_that_hold_the_clips(shards):
    build(shards)
    clips = all_clips(shards)
    folders = [shards.root / "set", shards.root / "raw", shards.root / "nothing"]
    ann, ben = (clips[clips["identity"] == who] for who in (ANN, BEN))
    assert held_by_sets(ann, folders) == {shards.root / "set": (3, 4)} and held_by_sets(ben, folders) == {}


def table(*rows: tuple[str, str, str]) -> pd.DataFrame:
    """Clips by id, identity and what they are near duplicates of."""
    clips = pd.DataFrame(rows, columns=["clip_id", "identity", "near_duplicate_of"])
    return clips.assign(source_name=clips["clip_id"] + ".mp4", source_sha256=[f"{n:064x}" for n in range(len(clips))])


def test_an_earlier_clip_of_which_a_held_out_person_s_is_a_copy_goes_with_it_and_so_do_its_other_copies():
    first, second = table(("a", UNKNOWN, ""), ("b", BEN, "")), table(("c", ANN, "a"), ("d", CID, "a"), ("e", CID, "b"))
    people = find_held_out([("s-1", first), ("s-2", second)], SHARE)
    assert people.among(first).tolist() == [ANN, ""] and people.among(second).tolist() == [ANN, ANN, ""]
    assert people.seen_in(first).tolist() == ["", ""] and people.seen_in(second).tolist() == [ANN, "", ""]
    assert find_held_out([("s-1", first), ("s-2", second)], 0.0).among(second).tolist() == ["", "", ""]


def test_shards_of_an_early_version_know_neither_people_nor_copies():
    early = pd.DataFrame({"clip_id": ["a", "b"], "sha256": ["0" * 64, "f" * 64]})
    held = find_held_out([("s-1", early)], 1.0).among(early)
    assert held.tolist() == ["file:0000000000000000", "file:ffffffffffffffff"]

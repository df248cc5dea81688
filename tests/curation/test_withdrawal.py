"""A withdrawn clip leaves later snapshots, and everything that saw it is named, replaced snapshots included."""

import json

import pandas as pd
import pytest

import puppets
from assets.core.catalogue import STEPS
from assets.core.dvc_stages import ensure_repository, record_in_dvc
from assets.core.workspace import Workspace
from assets.past.who_saw import who_saw
from curation.features.shard_features import build_features
from curation.intake.ingest import ingest_shard
from curation.scores.table import score_shard
from curation.snapshot.training_snapshot import freeze_snapshot
from curation.snapshot.withdrawals import find_clips, read_tombstones, withdraw, withdrawn
from curation.subsets.nested_subsets import select_subsets
from curation.tables.contracts import SNAPSHOT
from curation.tables.storage import CurationError, read_table, write_table
from profiles import load_profile

A, B, C = "aaaaaaaa00000001", "aaaaaaaa00000002", "cccccccc00000003"
SHARD = "s-000000000001"


def clips() -> pd.DataFrame:
    rows = [
        (A, "f" * 64, "talk.mp4", "site/1", "anna"),
        (B, "f" * 64, "talk.mp4", "site/1", "anna"),
        (C, "e" * 64, "other.mp4", "site/2", "ben"),
    ]
    return pd.DataFrame(rows, columns=["clip_id", "source_sha256", "source_name", "source", "identity"])


def test_an_id_means_one_clip_and_a_name_source_or_person_all_of_theirs(tmp_path):
    path = tmp_path / "tombstones.jsonl"
    assert find_clips(clips(), "cccccccc")[0] == "clip_id"
    assert withdrawn(clips(), [withdraw(path, clips(), A, "asked for")]).tolist() == [True, False, False]
    assert withdraw(path, clips(), "talk.mp4", "licence ended").clip_ids == (A, B)
    assert withdraw(path, clips(), "ben", "asked for").selector == "identity"
    listed = read_tombstones(path)
    assert [t.target for t in listed] == [A, "talk.mp4", "ben"] and listed[1].reason == "licence ended"
    assert withdrawn(clips(), listed).all()


def test_what_comes_later_of_a_withdrawn_file_source_or_person_is_withdrawn_too(tmp_path):
    listed = [withdraw(tmp_path / "t", clips(), target, "gone") for target in ("talk.mp4", "ben", "site/2")]
    later = pd.DataFrame(
        [
            ("1" * 16, "f" * 64, "renamed.mp4", "", ""),  # another range of the file
            ("2" * 16, "0" * 64, "new.mp4", "", "ben"),
            ("3" * 16, "0" * 64, "new.mp4", "site/2", ""),
            ("4" * 16, "0" * 64, "talk.mp4", "", ""),  # another file that happens to have the name
        ],
        columns=clips().columns,
    )
    assert withdrawn(later, listed).tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("target", "reason", "message"),
    [
        ("aaaaaaaa", "why", "2 clips have an id"),
        ("nobody", "why", "no clip has"),
        (A, "  ", "needs a reason"),
        ("", "why", "no clip has"),
    ],
)
def test_a_withdrawal_is_never_guessed_at(tmp_path, target, reason, message):
    with pytest.raises(CurationError, match=message):
        withdraw(tmp_path / "t", clips(), target, reason)
    assert not (tmp_path / "t").exists()


def test_a_damaged_list_is_an_error(tmp_path):
    (tmp_path / "t").write_text('{"target": "x"}\n')
    with pytest.raises(CurationError, match="line 1 of .* is no withdrawal"):
        read_tombstones(tmp_path / "t")
    assert read_tombstones(tmp_path / "none") == []


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    found = Workspace(tmp_path, load_profile("laptop", []))
    ensure_repository(found)
    return found


def put_snapshot(workspace: Workspace, digest: str, *clip_ids: str) -> None:
    folder = workspace.data("training_snapshot")
    folder.mkdir(parents=True, exist_ok=True)
    flags = {"text": True, "audio": False, "pose": False}
    table = pd.DataFrame(
        [{"sample_id": f"{c}-00000", "clip_id": c, "shard": SHARD, "row": n, **flags} for n, c in enumerate(clip_ids)]
    )
    write_table(table, folder / "samples.parquet", contract=SNAPSHOT)
    (folder / "snapshot.json").write_text(json.dumps({"digest": digest, "shards": [{"name": SHARD}]}))
    (folder / "card.md").write_text("# card\n")


def put_checkpoint(workspace: Workspace, name: str, snapshot: str, weights: str, parent: str | None = None) -> None:
    folder = workspace.data(name)
    folder.mkdir(parents=True, exist_ok=True)
    record = {"name": name, "snapshot_digest": snapshot, "weights_digest": weights, "parent": parent}
    (folder / "record.json").write_text(json.dumps(record))


def commit(workspace: Workspace, asset: str) -> None:
    """As the pipeline does after each execution; DVC wants something to stand where the stage reads."""
    for name in STEPS[asset].upstream:
        workspace.data(name).mkdir(parents=True, exist_ok=True)
    record_in_dvc(workspace, STEPS[asset])


def test_everything_that_saw_a_clip_is_named(workspace):
    from tracking.model_address import CHAMPION
    from tracking.runs import open_run
    from tracking.version_origin import VersionOrigin

    old, new, lost = "0d" * 32, "1e" * 32, "2f" * 32
    runs = {}
    for digest, name in ((old, "stage_1_checkpoint"), (new, "stage_1_checkpoint"), (lost, "stage_1_checkpoint")):
        with open_run(workspace.tracker, "training", name, tags={"snapshot_digest": digest}) as run:
            runs[digest] = run.run_id
    # A first round on A and C, committed, then replaced by one on C alone.
    put_snapshot(workspace, old, A, C)
    put_checkpoint(workspace, "stage_1_checkpoint", old, "old weights")
    for asset in ("training_snapshot", "stage_1_checkpoint"):
        commit(workspace, asset)
    put_snapshot(workspace, new, C)
    put_checkpoint(workspace, "stage_1_checkpoint", new, "new weights")
    put_checkpoint(workspace, "distilled_student", new, "student weights", "stage_1_checkpoint")
    model = workspace.var / "model"
    model.mkdir()
    (model / "weights.txt").write_text("w")
    for digest, weights in ((old, "other"), (new, "student weights"), (lost, "third")):
        origin = VersionOrigin(snapshot_digest=digest, weights_digest=weights)
        version = workspace.registry.register("omnihuman-student", model, runs[digest], origin)
        workspace.registry.set_alias("omnihuman-student", CHAMPION, version.version)
    scores = workspace.data("benchmark_scores")
    scores.mkdir(parents=True)
    pd.DataFrame({"model": ["distilled_student"] * 3 + ["ground_truth"]}).to_parquet(scores / "scores.parquet")

    def kinds(clip_id: str) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for exposure in who_saw(workspace, {clip_id}):
            found.setdefault(exposure.kind, []).append(exposure.name)
        return found

    saw_a = kinds(A)
    assert saw_a["snapshot"] == [old[:12]]
    # The student in `data` goes on from a stage_1_checkpoint; which weights, its record does not say.
    assert saw_a["checkpoint"] == ["distilled_student", "stage_1_checkpoint"]
    assert saw_a["run"] == [f"stage_1_checkpoint {runs[old]}"] and "omnihuman-student 1" in saw_a["version"]
    assert saw_a["unknown run"] == [f"stage_1_checkpoint {runs[lost]}"]
    assert saw_a["unknown version"] == ["omnihuman-student 3"]
    saw_c = kinds(C)
    assert set(saw_c["snapshot"]) == {old[:12], new[:12]} and len(saw_c["checkpoint"]) == 3
    assert saw_c["score"] == ["benchmark_scores distilled_student"]
    assert saw_c["version"] == ["omnihuman-student 1", "omnihuman-student 2"]
    assert set(kinds(B)) == {"unknown run", "unknown version"}


def test_nothing_has_seen_a_clip_of_a_fresh_workspace(workspace):
    assert who_saw(workspace, {A}) == [] and not (workspace.var / "mlflow.db").exists()


def test_a_withdrawn_clip_leaves_the_next_snapshot(inbox, put_puppet, tmp_path, tiny_encoders, loaded_encoders):
    """The real chain, from files to snapshot."""
    raw, scores, subsets, features = (tmp_path / name for name in ("raw", "scores", "subsets", "features"))
    files = [put_puppet(f"{seed}.mp4", seed=seed) for seed in range(3)]
    shard = ingest_shard(files, raw, tiny_encoders, inbox=inbox).name
    score_shard(raw / shard, scores / shard, puppets.PuppetKeypoints(), tiny_encoders)
    tables = raw / shard / "clips.parquet", scores / shard / "scores.parquet"
    select_subsets(*tables, subsets / shard, tiny_encoders.curation)
    build_features(raw / shard, scores / shard, features / shard, tiny_encoders, encoders=loaded_encoders)

    def snapshot() -> tuple[str, set[str], dict]:
        listed = read_tombstones(tmp_path / "tombstones.jsonl")
        digest = freeze_snapshot([shard], raw, subsets, features, tmp_path / "snapshot", tiny_encoders, listed)
        record = json.loads((tmp_path / "snapshot" / "snapshot.json").read_text())
        return digest, set(read_table(tmp_path / "snapshot" / "samples.parquet")["clip_id"]), record

    before, everyone, _ = snapshot()
    gone = withdraw(tmp_path / "tombstones.jsonl", read_table(tables[0]), "1.mp4", "asked for by the person seen")
    after, rest, record = snapshot()
    assert len(everyone) == 3 and everyone - rest == set(gone.clip_ids)
    assert after != before and record["counts"]["clips"] == 2

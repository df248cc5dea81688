"""A row that breaks its table's contract costs itself alone: listed with the rule, counted, and held up above the rate. So does a
clip on which a step fails, and that holds up nothing."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import puppets
from assets.core.catalogue import STEPS
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.kinds.contract_checks import contract_checks
from assets.make.execute import execute
from curation.features import bucket_features as features_module
from curation.features.shard_features import build_features
from curation.features.windows import Window
from curation.intake.ingest import find_new_clips, ingest_shard
from curation.scores import registry
from curation.scores.table import score_shard
from curation.snapshot.training_snapshot import freeze_snapshot
from curation.subsets import nested_subsets as subsets_module
from curation.subsets.nested_subsets import explain, select_subsets
from curation.tables.failures import Failure, refuse_if_all_fail_alike
from curation.tables.quarantine import quarantined_clips, violations_in
from curation.tables.storage import CurationError, read_table
from curation.workers import map_over_clips
from profiles import load_profile

CLIPS = 4


@pytest.fixture
def workspace(tmp_path, inbox, put_puppet, tiny_encoders) -> Workspace:
    for seed in range(CLIPS):
        put_puppet(f"{seed}.mp4", seed=seed)
    found = Workspace(tmp_path, tiny_encoders)
    ingest_shard(find_new_clips(inbox, found.data("raw_clips")), found.data("raw_clips"), found.profile, inbox=inbox)
    return found


@pytest.fixture
def shard(workspace) -> str:
    return workspace.shards("raw_clips")[0]


@pytest.fixture
def victim(workspace, shard) -> dict:
    """The clip that the code below is wrong about."""
    return read_table(workspace.data("raw_clips", shard) / "clips.parquet").iloc[1].to_dict()


@pytest.fixture
def infinite(monkeypatch, victim) -> None:
    """A score that is infinite for one clip."""
    right = registry.CUTS

    def wrong(material, config):
        found = right.compute(material, config)
        return {"cut_score": float("inf")} if material.record["clip_id"] == victim["clip_id"] else found

    broken = dataclasses.replace(right, compute=wrong)
    monkeypatch.setattr(
        registry, "SCORES", tuple(broken if score.name == "cuts" else score for score in registry.SCORES)
    )


def folders(workspace: Workspace, shard: str) -> tuple[Path, Path, Path, Path]:
    return tuple(
        workspace.data(name, shard) for name in ("raw_clips", "clip_scores", "filtered_subsets", "condition_features")
    )


def score_and_select(workspace: Workspace, shard: str, over_clips=map_over_clips) -> None:
    raw, scores, subsets, _ = folders(workspace, shard)
    score_shard(raw, scores, puppets.PuppetKeypoints(), workspace.profile, over_clips=over_clips)
    select_subsets(raw / "clips.parquet", scores / "scores.parquet", subsets, workspace.profile.curation)


def freeze(workspace: Workspace, shard: str, violations_max: float) -> pd.DataFrame:
    curation = workspace.profile.curation.model_copy(update={"violations_max": violations_max})
    profile = workspace.profile.model_copy(update={"curation": curation})
    roots = [folder.parent for folder in folders(workspace, shard)]
    freeze_snapshot([shard], roots[0], roots[2], roots[3], workspace.data("training_snapshot"), profile)
    return read_table(workspace.data("training_snapshot") / "samples.parquet")


def test_an_infinite_score_costs_its_own_clip_alone_all_the_way_to_the_snapshot(
    workspace, shard, victim, infinite, loaded_encoders
):
    raw, scores, subsets, features = folders(workspace, shard)
    score_and_select(workspace, shard)
    assert len(read_table(scores / "scores.parquet")) == CLIPS - 1
    listed = pd.read_parquet(scores / "quarantine.parquet").iloc[0]
    assert (listed["source_name"], listed["sha256"]) == (victim["source_name"], victim["sha256"])
    assert listed["reason"] == "contract:no_infinite_score" and "(infinite: cut_score)" in listed["message"]
    verdicts = read_table(subsets / "subsets.parquet").set_index("clip_id")
    assert (
        len(verdicts) == CLIPS and verdicts.loc[victim["clip_id"], "rejected_by"] == "text: contract:no_infinite_score"
    )
    assert verdicts["text"].sum() == CLIPS - 1
    with pytest.raises(CurationError, match=r"quarantine.parquet: contract:no_infinite_score"):
        explain(victim["clip_id"], raw / "clips.parquet", scores / "scores.parquet", workspace.profile.curation)
    report = build_features(raw, scores, features, workspace.profile, encoders=loaded_encoders)
    trained = freeze(workspace, shard, 0.5)
    assert report.samples == len(trained) == CLIPS - 1 and victim["clip_id"] not in set(trained["clip_id"])


def test_the_others_keypoints_are_theirs_although_the_broken_rows_stand_between(workspace, shard, victim, infinite):
    from safetensors.numpy import load_file

    score_and_select(workspace, shard)
    _, scores, _, _ = folders(workspace, shard)
    every = load_file(scores / "keypoints.safetensors")["keypoints"]
    table = read_table(scores / "scores.parquet")
    seeds = read_table(workspace.data("raw_clips", shard) / "clips.parquet").set_index("clip_id")["source_name"]
    for row in table.itertuples():
        truth = puppets.render(int(seeds[row.clip_id].removesuffix(".mp4")))
        found = every[row.keypoints_offset : row.keypoints_offset + row.keypoints_frames, [7, 9, 8, 10], :2]
        assert np.nanmedian(np.abs(found - truth.joints)) < 0.5, "pixels"


def test_above_the_rate_what_reads_the_scores_is_held_up_and_below_it_is_not(workspace, shard, infinite):
    score_and_select(workspace, shard)
    check = contract_checks(workspace, STEPS["clip_scores"], shard)[0]
    assert (
        not check.passed
        and "1 of 4 rows of scores.parquet" in check.message
        and "no_infinite_score (1)" in check.message
    )
    for name in ("filtered_subsets", "condition_features"):
        with pytest.raises(AssetError, match=f"{name} is held up: check contract of clip_scores.*no_infinite_score"):
            execute(workspace, STEPS[name], shard)
    lenient = Workspace(workspace.root, load_profile("laptop", ["curation.violations_max=0.3"]))
    assert contract_checks(lenient, STEPS["clip_scores"], shard)[0].passed


def test_a_subset_row_that_is_not_nested_is_quarantined_and_its_clip_not_trained_on(
    workspace, shard, victim, monkeypatch, loaded_encoders
):
    right = subsets_module.assign_subsets

    def wrong(table, config):
        found = right(table, config)
        return found.assign(text=found["text"] & (found["clip_id"] != victim["clip_id"]), audio=True)

    monkeypatch.setattr(subsets_module, "assign_subsets", wrong)
    raw, scores, subsets, features = folders(workspace, shard)
    score_and_select(workspace, shard)
    assert quarantined_clips(subsets) == {victim["clip_id"]: "contract:subsets_are_nested"}
    assert not contract_checks(workspace, STEPS["filtered_subsets"], shard)[0].passed
    build_features(raw, scores, features, workspace.profile, encoders=loaded_encoders)
    with pytest.raises(CurationError, match=r"1 of 4 rows of subsets.parquet.*subsets_are_nested"):
        freeze(workspace, shard, 0.01)
    assert victim["clip_id"] not in set(freeze(workspace, shard, 0.5)["clip_id"])


def test_a_sample_with_an_impossible_window_is_quarantined_before_it_is_encoded(
    workspace, shard, victim, monkeypatch, loaded_encoders
):
    from curation.features import training_samples as samples_module

    right = samples_module.choose_windows

    def wrong(sha256, frames, video):
        found = right(sha256, frames, video)
        return [Window(w.start, -1, True) for w in found] if sha256 == victim["sha256"] else found

    monkeypatch.setattr(samples_module, "choose_windows", wrong)
    decoded = []
    right_cut = features_module.cut_samples
    monkeypatch.setattr(
        features_module,
        "cut_samples",
        lambda work, request: decoded.append(request.clip_id) or right_cut(work, request),
    )
    score_and_select(workspace, shard)
    raw, scores, _, features = folders(workspace, shard)
    report = build_features(raw, scores, features, workspace.profile, encoders=loaded_encoders)
    assert report.encoded == CLIPS - 1 and victim["clip_id"] not in decoded
    found = violations_in(features, "samples.parquet")
    assert (found.kept, found.rules) == (CLIPS - 1, {"window_in_range": 1})
    assert not contract_checks(workspace, STEPS["condition_features"], shard)[0].passed
    with pytest.raises(CurationError, match=r"1 of 4 rows of samples.parquet.*window_in_range"):
        freeze(workspace, shard, 0.01)
    assert len(freeze(workspace, shard, 0.5)) == CLIPS - 1


def test_nothing_wrong_is_said_too_and_a_table_without_a_list_counts_as_whole(workspace, shard):
    score_and_select(workspace, shard)
    _, scores, subsets, _ = folders(workspace, shard)
    for folder, table in ((scores, "scores.parquet"), (subsets, "subsets.parquet")):
        assert len(read_table(folder / "quarantine.parquet")) == 0
        assert violations_in(folder, table).share == 0.0
        (folder / "quarantine.parquet").unlink()
        assert violations_in(folder, table).kept == CLIPS and quarantined_clips(folder) == {}


@pytest.fixture
def divides_by_zero(monkeypatch, victim) -> None:
    """A score that has no answer for one clip."""
    right = registry.CUTS

    def wrong(material, config):
        return {"cut_score": 1 / (material.record["clip_id"] != victim["clip_id"])} | right.compute(material, config)

    broken = dataclasses.replace(right, compute=wrong)
    monkeypatch.setattr(
        registry, "SCORES", tuple(broken if score.name == "cuts" else score for score in registry.SCORES)
    )


def test_a_score_that_raises_costs_its_own_clip_alone_all_the_way_to_the_snapshot(
    workspace, shard, victim, divides_by_zero, loaded_encoders, caplog
):
    """Two kinds of errors were told apart from all others, which ended the shard and named no clip."""
    raw, scores, subsets, features = folders(workspace, shard)
    score_and_select(workspace, shard)
    listed = pd.read_parquet(scores / "quarantine.parquet").iloc[0]
    assert (listed["source_name"], listed["sha256"]) == (victim["source_name"], victim["sha256"])
    assert listed["reason"] == "failed:zerodivisionerror"
    assert f"the score cuts of clip {victim['clip_id']} fails with ZeroDivisionError" in listed["message"]
    assert "in wrong" in caplog.text and "1 / (material.record" in caplog.text, "the traceback is in the log"
    assert len(read_table(scores / "scores.parquet")) == CLIPS - 1
    verdicts = read_table(subsets / "subsets.parquet").set_index("clip_id")
    assert verdicts.loc[victim["clip_id"], "rejected_by"] == "text: failed:zerodivisionerror"
    assert contract_checks(workspace, STEPS["clip_scores"], shard)[0].passed, "no rule is broken: the shard goes on"
    report = build_features(raw, scores, features, workspace.profile, encoders=loaded_encoders)
    assert report.samples == len(freeze(workspace, shard, 0.0)) == CLIPS - 1


def test_a_clip_on_which_an_encoder_raises_costs_itself_alone(workspace, shard, victim, monkeypatch, loaded_encoders):
    """Samples are encoded sixteen at a time: the others of its batch are encoded without it."""
    score_and_select(workspace, shard)
    raw, scores, _, features = folders(workspace, shard)
    right = type(loaded_encoders).encode

    def wrong(self, part, batch, video):
        if part == "audio" and any(cut.sample.clip_id == victim["clip_id"] for cut in batch):
            raise ValueError("no spectrum")
        return right(self, part, batch, video)

    monkeypatch.setattr(type(loaded_encoders), "encode", wrong)
    report = build_features(raw, scores, features, workspace.profile, encoders=loaded_encoders)
    assert [(f.clip_id, f.reason) for f in report.failed] == [(victim["clip_id"], "failed:valueerror")]
    listed = pd.read_parquet(features / "quarantine.parquet").iloc[0]
    assert listed["source_name"] == victim["source_name"] and "encoding audio" in listed["message"]
    trained = freeze(workspace, shard, 0.0)
    assert len(trained) == CLIPS - 1 and victim["clip_id"] not in set(trained["clip_id"])
    monkeypatch.setattr(type(loaded_encoders), "encode", right)
    again = build_features(raw, scores, features, workspace.profile, encoders=loaded_encoders)
    assert (again.samples, again.encoded, again.failed) == (CLIPS, 1, ()), "it alone is tried again"


def test_a_batch_that_the_accelerator_cannot_hold_is_halved(workspace, shard, victim, monkeypatch, loaded_encoders):
    """Down to the clip that does not fit alone."""
    score_and_select(workspace, shard)
    raw, scores, _, features = folders(workspace, shard)
    right, sizes = type(loaded_encoders).encode, []

    def small(self, part, batch, video):
        if part == "latents":
            sizes.append(len(batch))
            if len(batch) > 1 or batch[0].sample.clip_id == victim["clip_id"]:
                raise torch.OutOfMemoryError("tried to allocate 20 GiB")
        return right(self, part, batch, video)

    monkeypatch.setattr(type(loaded_encoders), "encode", small)
    report = build_features(raw, scores, features, workspace.profile, encoders=loaded_encoders)
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    assert [(f.clip_id, f.reason) for f in report.failed] == [(victim["clip_id"], "failed:accelerator_memory")]
    monkeypatch.setattr(type(loaded_encoders), "encode", right)
    again = build_features(raw, scores, features, workspace.profile, encoders=loaded_encoders)
    assert (again.samples, again.encoded, again.failed) == (CLIPS, 1, ()), "it alone is tried again"


def test_a_clip_that_no_longer_decodes_costs_itself_alone(workspace, shard, victim, monkeypatch, loaded_encoders):
    from curation.features import training_samples as samples_module

    score_and_select(workspace, shard)
    raw, scores, _, features = folders(workspace, shard)
    right = samples_module.read_clip
    monkeypatch.setattr(
        samples_module,
        "read_clip",
        lambda folder, clip: b"no film" if clip == victim["clip_id"] else right(folder, clip),
    )
    report = build_features(raw, scores, features, workspace.profile, encoders=loaded_encoders)
    assert [(f.clip_id, f.reason) for f in report.failed] == [(victim["clip_id"], "failed:not_video")]
    assert report.samples == CLIPS - 1


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (CurationError("no weights in networks/; put them there"), "no weights"),
        (OSError(5, "Input/output error"), "Input/output"),
        (MemoryError(), "memory ran out in the score cuts of clip"),
        (KeyboardInterrupt(), None),
        (SystemExit(3), None),
    ],
)
def test_what_is_no_fault_of_a_clip_still_ends_the_step(workspace, shard, monkeypatch, error, seen):
    def wrong(material, config):
        raise error

    broken = dataclasses.replace(registry.CUTS, compute=wrong)
    monkeypatch.setattr(registry, "SCORES", (broken,))
    with pytest.raises((type(error), CurationError), match=seen):
        score_and_select(workspace, shard)


def test_clips_that_all_fail_alike_are_no_fault_of_theirs():
    failures = {str(n): Failure(str(n), "failed:valueerror", f"the score x of clip {n}", "trace") for n in range(8)}
    with pytest.raises(CurationError, match="all 8 clips of s-1 fail alike.*score x of clip 0"):
        refuse_if_all_fail_alike(failures, 8, "s-1")
    refuse_if_all_fail_alike(failures, 9, "s-1")
    refuse_if_all_fail_alike({name: failures[name] for name in "01"}, 2, "s-1")
    other = {"8": Failure("8", "failed:bad_audio", "the score y of clip 8")}
    refuse_if_all_fail_alike(failures | other, 9, "s-1")


def test_a_clip_that_ends_its_process_costs_itself_alone(workspace, shard, victim):
    def on_one_process(function, state, items, *rest, lost):
        ends = [item.record["clip_id"] == victim["clip_id"] for item in items]
        return (lost(item) if end else function(state, item) for item, end in zip(items, ends, strict=True))

    score_and_select(workspace, shard, on_one_process)
    listed = pd.read_parquet(folders(workspace, shard)[1] / "quarantine.parquet").iloc[0]
    assert listed["reason"] == "failed:crashes" and "ended its process twice" in listed["message"]
    assert listed["source_name"] == victim["source_name"]

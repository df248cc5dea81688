"""Variants of the streaming student that have their first updates in common: trained once and gone on from, to the last bit as if each had trained alone."""

import json
from pathlib import Path

import pandas as pd
import pytest

from benchmarks.training import streaming_variants
from benchmarks.training.streaming_variants import Ablation, first_part, go_on_from
from tests.training.synthetic import finish, losses, make_job, weights, with_parent, write_snapshot
from training.run.jobs import TrainingJob

FORCED = 4
RECIPE = {"teacher_forcing": FORCED, "critic_warmup": 2, "rounds": 2}
PROBED = ("diversity/", "following/", "teacher_distance")


def job_of(root: Path, name: str, steps: int, **changed: object) -> TrainingJob:
    """Checkpoints come in another rhythm than the first part's, which has one at its end."""
    given = ["engine.checkpoint_every=3", *(f"streaming.{key}={value}" for key, value in (RECIPE | changed).items())]
    parents = {"parent": str(root / "parent"), "diffusion_parent": str(root / "parent")}
    return make_job(root, name, "streaming", "streaming", steps, given, **parents)


def losses_of(job: TrainingJob) -> pd.DataFrame:
    """Without what the probe says, and in one order: it looks at every checkpoint, so somewhere else."""
    table = losses(job)
    return table[sorted(column for column in table if not column.startswith(PROBED))]


@pytest.mark.end_to_end
def test_what_goes_on_from_the_shared_part_ends_as_what_trains_from_its_beginning(tmp_path):
    root = with_parent(tmp_path)
    first = first_part(job_of(root, "no-later-windows", 3, rounds=0), root / "firsts")
    finish(first)
    for name, steps, changed in (("recipe", 3, {}), ("forcing-alone", 1, {"critic_warmup": 0})):
        alone, shared = (job_of(root, f"{name}-{way}", steps, **changed) for way in ("alone", "shared"))
        assert go_on_from(first, shared)
        assert json.loads((Path(shared.work) / "checkpoints" / "latest.json").read_text())["step"] == FORCED
        finish(alone)
        said = finish(shared)
        assert f"{shared.name} 1/" not in said, "it began at its beginning"
        pd.testing.assert_frame_equal(losses_of(alone), losses_of(shared), check_exact=True)
        one, other = weights(alone), weights(shared)
        assert one.keys() == other.keys() and all(one[key].equal(other[key]) for key in one)


def with_parents_record(root: Path) -> Path:
    """A snapshot, and of the parent no more than what a job's settings say of it."""
    write_snapshot(root)
    (root / "parent").mkdir()
    (root / "parent" / "record.json").write_text(json.dumps({"weights_digest": "0" * 64}))
    return root


def test_what_differs_in_the_first_part_has_another(tmp_path):
    root = with_parents_record(tmp_path)
    recipe = first_part(job_of(root, "recipe", 3), root)
    assert first_part(job_of(root, "other", 5, rounds=0, critic_warmup=0), root).work == recipe.work
    for key, value in (("sink", "false"), ("seed", 1), ("teacher_forcing", 5), ("disturbed", 0.5), ("batch_size", 8)):
        other = job_of(root, key, 3, **{key: value})
        assert first_part(other, root).work != recipe.work, key
        with pytest.raises(ValueError, match="no first part"):
            go_on_from(recipe, other)


def test_a_checkpoint_lies_where_the_first_part_ends(tmp_path):
    root = with_parents_record(tmp_path)
    for forced, every in ((4, 2), (9, 3), (7, 1), (3, 3)):
        first = first_part(job_of(root, "recipe", 3, teacher_forcing=forced), root)
        assert first.profile.engine.checkpoint_every == every
        assert first.profile.streaming is not None and first.profile.streaming.updates == forced + 1


@pytest.mark.parametrize("fault", [{"step": 3}, {"state": {"rollbacks": [{"step": 3}]}}])
def test_what_was_taken_back_or_does_not_reach_the_end_is_no_start(tmp_path, fault):
    root = with_parents_record(tmp_path)
    job = job_of(root, "recipe", 3)
    first = first_part(job, root)
    folder = Path(first.work) / "checkpoints"
    folder.mkdir(parents=True)
    record = {"tag": "step-0000004", "step": FORCED, "state": {"rollbacks": []}, "fingerprint": "of the first"} | fault
    for name in ("latest.json", "sound.json"):
        (folder / name).write_text(json.dumps(record))
    assert not go_on_from(first, job) and not Path(job.work).exists()


def test_a_changed_recipe_has_students_of_its_own(tmp_path):
    whole = Ablation(tmp_path, "laptop")
    half = Ablation(tmp_path, "laptop", ("streaming.steps=50", "streaming.teacher_forcing=150"))
    assert half.root == Ablation(tmp_path, "laptop", half.changed).root
    twice = ("streaming.steps=50", "streaming.steps=60")  # the last wins
    others = [Ablation(tmp_path, "laptop", twice), Ablation(tmp_path, "laptop", twice[::-1]), Ablation(tmp_path, "gpu")]
    assert len({one.root for one in (whole, half, *others)}) == 5
    sections = {name: half.workspace(name, 1).profile.streaming for name in streaming_variants.VARIANTS}
    assert {section.teacher_forcing for section in sections.values()} == {150}
    # What a variant is wins over what all have.
    assert sections["teacher forcing alone"].steps == 1 and sections[streaming_variants.RECIPE].steps == 50

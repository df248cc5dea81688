"""Metrics on trial: the damage is of the stated strength, and one that follows the truth is told from one that does not."""

import numpy as np
import pandas as pd
import pytest

from evaluation.metrics.registry import METRICS
from evaluation.panel import Instruments, Panel
from evaluation.trial import record
from evaluation.trial.aspects import ASPECTS
from evaluation.trial.ladder import (
    ARMS,
    BLUR,
    DROPS,
    FLICKER,
    HEAD,
    LADDER,
    LATE,
    LOW,
    MOUTH,
    NOISE,
    NONE,
    PERSON,
    SHOWN,
    SMEAR,
    SOUND_LATE,
    STILL_MOUTH,
    Step,
    damage_pixels,
)
from evaluation.trial.pages import trial_picture, trial_table
from evaluation.trial.record import DOES_NOT, FOLLOWS, PARTLY, TOO_FEW
from evaluation.trial.run import Trial, try_metrics
from evaluation.trial.scenes import FilmedScene, RenderedScene, rendered_scenes
from evaluation.trial.verdict import find, rank_correlation, verdict

CLIPS = [f"c{n}" for n in range(6)]


@pytest.fixture(scope="module")
def scene():
    return RenderedScene(60_000_001, "half", 64, 17)


def errors(scene, family, strength=1.0):
    return scene.video(Step(family, strength)).errors


def test_an_undamaged_clip_has_no_error_and_a_late_one_just_that(scene):
    none, late = errors(scene, NONE, 0), scene.video(Step(LATE, 2))
    for aspect in set(ASPECTS) - {"detail", "motion", "hand motion"}:
        assert none[aspect] == pytest.approx(0.0, abs=1e-6), aspect
    assert late.errors["sync"] == 2 and late.errors["mouth"] > 0.3
    assert (late.frames[2:] == scene.real[:-2]).all() and late.errors["detail"] == 1.0
    sound = scene.video(Step(SOUND_LATE, 2))
    assert (sound.frames == scene.real).all() and sound.errors["mouth"] == pytest.approx(0.0, abs=1e-6)
    assert sound.errors["speech"] > 0.3 and (sound.sound[2000:] == scene.video(Step(NONE, 0)).sound[:-2000]).all()
    assert sound.heard.opening[2:] == pytest.approx(late.heard.opening[:-2])


def test_what_is_changed_in_the_scene_is_wrong_by_as_much_and_nothing_else_is(scene):
    mouth = errors(scene, STILL_MOUTH)
    assert mouth["mouth"] == 1.0 and mouth["joints"] < 0.01 and mouth["hands"] == pytest.approx(0.0, abs=1e-6)
    arms = errors(scene, ARMS, 1.5)
    assert arms["hands"] > 0.3 and arms["mouth"] == pytest.approx(0.0, abs=1e-6) and arms["head"] < 0.01
    head = errors(scene, HEAD, 20)
    assert 10 < head["head"] < 30 and head["mouth"] == pytest.approx(0.0, abs=1e-4)
    held = errors(scene, DROPS, 99)
    assert held["motion"] == 0.0 > errors(scene, NONE, 0)["motion"] and held["mouth"] == 1.0


@pytest.mark.parametrize("family", [BLUR, LOW, NOISE, FLICKER])
def test_a_stronger_step_changes_more_pixels(family, scene):
    strengths = [step.strength for step in LADDER if step.family == family]
    changed = [np.abs(damage_pixels(Step(family, s), scene.real).astype(int) - scene.real).mean() for s in strengths]
    assert changed == sorted(changed) and changed[0] > 0.3


def test_smearing_keeps_to_the_hands(scene):
    hands = np.full((17, 2, 21, 2), np.nan)
    hands[:, 0] = np.random.default_rng(0).uniform(20, 30, (17, 21, 2))
    smeared = damage_pixels(Step(SMEAR, 0.3), scene.real, hands) != scene.real
    assert smeared.any() and not smeared[:, :10].any() and not smeared[:, :, 40:].any()
    assert (damage_pixels(Step(SMEAR, 0.3), scene.real, np.full_like(hands, np.nan)) == scene.real).all()


def test_each_aspect_has_steps_of_unequal_error_and_each_metric_an_aspect_that_there_is():
    families = {step.family for step in LADDER}
    for aspect in ASPECTS.values():
        assert set(aspect.families) <= families and len(aspect.families) > 1
    assert {kind.aspect for kind in METRICS.values()} - {""} <= set(ASPECTS)
    untried = {name for name, kind in METRICS.items() if not kind.aspect and kind.needs != ("puppet_truth",)}
    assert untried == {
        "dnsmos_of_given_sound", "joint_diversity", "latent_frechet", "latent_frechet_arms", "mouth_correlation_with_given_audio",
        "pixel_diversity", "sync_offset",
    }  # fmt: skip


def planted(follows: bool, missing: int = 0) -> Trial:
    """AKD in pixels of damage of known size: the true error and a little noise, or noise alone."""
    rng, steps = np.random.default_rng(1), [step for step in LADDER if step.family in (*SHOWN, NOISE)]
    rows, wrong = [], []
    for place, step in enumerate(steps):
        for clip in CLIPS:
            error = 0.0 if step.family in (NONE, NOISE) else float(place)
            value = (error if follows else 0.0) + rng.normal(0, 0.3) + 8.0 * (step.name == "noise 24")
            rows.append({"step": step.name, "metric": "akd", "clip": clip, "value": value})
            wrong.append({"step": step.name, "aspect": "keypoints", "clip": clip, "error": error})
    for row in rows[: 6 * missing]:
        row["value"] = float("nan")
    return Trial(pd.DataFrame(rows), pd.DataFrame(wrong), {})


def test_one_that_follows_is_told_from_one_that_does_not():
    good, bad = find(planted(True))["akd"], find(planted(False))["akd"]
    assert good.verdict == FOLLOWS and good.rank > 0.9 and good.order == 1.0 and good.coverage == 1.0 and good.clear
    assert bad.verdict == DOES_NOT and abs(bad.rank) < 0.3
    assert good.disturber == "noise 24" and good.disturbance == pytest.approx(8 / 17, abs=0.05)
    shown = trial_table({"akd": good})
    assert (
        "follows truth" in shown
        and "noise 24" in shown
        and trial_picture(planted(True), {"akd": good})[:4] == b"\x89PNG"
    )


def test_one_that_is_undefined_on_many_videos_follows_at_most_partly():
    trial = planted(True)
    lost = trial.values["step"].isin(["late 1", "late 2", "late 4"])
    trial.values.loc[lost, "value"] = float("nan")
    found = find(trial)["akd"]
    assert found.verdict == PARTLY and found.coverage < 0.9
    assert verdict(0.9, 1.0, False, 1.0) == verdict(float("nan"), 1.0, True, 1.0) == DOES_NOT


def test_rank_correlation_counts_pairs_of_unequal_error():
    truth = np.array([0.0, 0.0, 1.0, 2.0])
    assert rank_correlation(truth, truth) == 1.0 and rank_correlation(truth, -truth) == -1.0
    assert rank_correlation(truth, np.array([1.0, 0.0, 2.0, 3.0])) == 1.0, "equal errors are in no order"
    assert rank_correlation(np.array([0.0, 0.01, 1.0]), np.array([1.0, 0.0, 2.0])) == 1.0, "nor are nearly equal ones"
    assert rank_correlation(truth, np.zeros(4)) == 0.0 and np.isnan(rank_correlation(np.zeros(3), truth[:3]))
    assert rank_correlation(truth, np.array([0.0, 0.0, 5.0, 3.0]), np.array([0, 1, 0, 1])) == 1.0


def test_a_trial_reads_each_step_once_and_goes_on_after_a_kill(tmp_path, scene):
    steps = [Step(NONE, 0), Step(FLICKER, 0.05), Step(FLICKER, 0.2)]
    scenes = [scene, *rendered_scenes([60_000_003], 64, 17)]
    said: list[str] = []
    trial = try_metrics(scenes, steps, Instruments(), tmp_path, lambda done, total, name: said.append(name))
    assert said == ["none", "flicker 0.05", "flicker 0.2"] and "akd" in trial.untried
    found = find(trial)["flicker"]
    assert found.rank == found.order == 1.0 and found.worst == "flicker 0.2" and found.videos == 6
    assert found.verdict == TOO_FEW, "two clips are no trial"
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = try_metrics(scenes, steps, Instruments(), tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    pd.testing.assert_frame_equal(again.values, trial.values)


def test_a_film_is_damaged_without_a_truth(scene):
    frames = np.concatenate([scene.real[:4], scene.real])
    film = FilmedScene("film", frames, 17, np.roll(frames, 20, axis=2))
    assert film.video(Step(LATE, 2)).errors["keypoints"] == 2 < film.video(Step(PERSON)).errors["keypoints"]
    assert (film.video(Step(DROPS, 99)).frames == film.real[0]).all() and film.video(Step(NONE, 0)).heard is None
    assert (film.video(Step(LATE, 2)).frames == frames[2:19]).all()


def test_who_does_not_follow_is_marked_wherever_it_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "FILE", tmp_path / "findings.json")
    record.write_standings({"akd": find(planted(False))["akd"].standing}, "six planted clips")
    try:
        assert record.standing("akd").verdict == DOES_NOT and record.tried_on() == "six planted clips"
        assert record.standing("flicker") == record.Standing(record.UNTRIED) and not record.standing("flicker").doubt
        panel = Panel(Instruments(), {"truth_frames"}, {"flicker"})
        panel.metrics["akd"] = panel.metrics["flicker"]
        record.write_standings({"hkc": record.Standing(TOO_FEW, "smeared hands")}, "hands")
        assert record.standing("akd").verdict == DOES_NOT, "kept"
        assert not record.standing("hkc").doubt and record.tried_on() == "six planted clips"
        assert set(panel.doubts) == {"akd"} and "does not follow the true keypoints" in panel.doubts["akd"]
    finally:
        record._kept.cache_clear()


def test_another_mouth_is_wrong_by_its_share(scene):
    shares = [errors(scene, MOUTH, share)["mouth"] for share in (0.33, 1.0)]
    assert 0 < shares[0] < shares[1]

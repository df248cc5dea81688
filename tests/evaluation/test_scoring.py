"""Perfect frames score the ceiling, shuffled sound the floor; the comparison shows both."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from evaluation.benchmark.benchmark_plan import generation_plan
from evaluation.benchmark.generate import GenerationError
from evaluation.pages.compare import compare, comparison_table
from evaluation.scoring.comparison_columns import columns_of
from evaluation.scoring.score import score_benchmark
from evaluation.scoring.score_table import COLUMNS as SCORE_COLUMNS
from evaluation.scoring.score_table import load_scores, score_of
from media import decode_clip
from provenance.outcomes import UNTOUCHED
from provenance.verify import verify_files


@pytest.fixture(scope="module")
def scored(tmp_path_factory, generated_root, benchmark, config):
    folder = tmp_path_factory.mktemp("scores") / "benchmark_scores"
    return score_benchmark(generated_root, benchmark, folder, config), folder


def test_the_table_is_long_and_complete(scored, config):
    scores, folder = scored
    assert tuple(scores.columns) == SCORE_COLUMNS and not scores.duplicated(["model", "mode", "metric"]).any()
    wanted = {"ground_truth", "reconstruction"} | {model.name for model in generation_plan(config)}
    assert set(scores["model"]) == wanted
    assert scores["value"].notna().all()
    assert load_scores(folder).equals(scores)


def test_perfect_frames_reach_the_ceiling(scored):
    scores, _ = scored
    for model, mode in (("ground_truth", "pixels"), ("teacher", "audio"), ("distilled_student", "pose")):
        assert score_of(scores, model, mode, "mouth_correlation") > 0.97
        assert score_of(scores, model, mode, "missing_joints") == 0.0
        assert score_of(scores, model, mode, "joint_error_median") < 0.2
        assert score_of(scores, model, mode, "colour_error") < 0.005
    assert score_of(scores, "reconstruction", "pixels", "psnr") > 40


def test_shuffled_sound_is_the_floor_against_its_own_truth_and_right_against_what_was_given(scored):
    scores, _ = scored
    assert abs(score_of(scores, "teacher", "shuffled_audio", "mouth_correlation")) < 0.35
    assert score_of(scores, "teacher", "shuffled_audio", "mouth_correlation_with_given_audio") > 0.97


def test_another_persons_reference_is_the_floor_of_colour(scored):
    scores, _ = scored
    assert 0.1 < score_of(scores, "ground_truth", "other_identity", "colour_error") < 0.4


def test_intervals_hold_the_value_and_say_how_many_clips(scored, config):
    scores, _ = scored
    bounded = scores.dropna(subset=["ci_low"])
    assert (bounded["ci_low"] <= bounded["value"] + 1e-9).all() and (
        bounded["ci_high"] >= bounded["value"] - 1e-9
    ).all()
    second_seed = scores[scores["mode"] == "second_seed"]
    assert set(second_seed["clips"]) == {2 * config.batch_size} and set(scores["clips"]) == {8, 6}


def test_diversity_is_that_of_the_noise(scored):
    scores, _ = scored
    # |x1 - x2| of two normal noises of sd 2 grey levels is 2 * 2 / sqrt(pi); clipping at 0 and 255 takes a little.
    expected = 4 / np.sqrt(np.pi) / 255
    assert score_of(scores, "distilled_student", "second_seed", "pixel_diversity") == pytest.approx(expected, rel=0.1)


def test_a_missing_model_is_one_clear_error_before_anything_is_measured(tmp_path, generated_root, benchmark, config):
    root = tmp_path / "generated_videos"
    shutil.copytree(generated_root, root)
    shutil.rmtree(root / "distilled_student" / "pose")
    with pytest.raises(GenerationError, match=r"distilled_student/pose.*python -m assets generated_videos"):
        score_benchmark(root, benchmark, tmp_path / "scores", config)
    assert not (tmp_path / "scores").exists()


def test_missing_scores_name_the_file_and_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"scores\.parquet.*python -m assets benchmark_scores"):
        load_scores(tmp_path)


def test_the_comparison_has_ceilings_models_and_floors(scored, config):
    table = comparison_table(scored[0], generation_plan(config))
    assert list(table.index)[:2] == ["ground truth (measured)", "reconstruction (ceiling)"]
    assert list(table.columns) == [column.title for column in columns_of(scored[0])]
    floor = table.loc["floor: teacher, 20 steps, another clip's sound"]
    assert floor["mouth r, audio"] < 0.35 and np.isnan(floor["joints px (median), pose"])
    assert table.loc["floor: another person's reference", "colour error, audio"] > 0.1
    assert table.loc["distilled student, 1 step", "joint diversity px"] > 0


def test_compare_writes_what_a_person_looks_at(tmp_path, scored, generated_root, benchmark, config):
    result = compare(scored[0], benchmark, generated_root, tmp_path / "out", generation_plan(config))
    written = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert written == result and written["benchmark"] == benchmark.digest
    assert written["student_minus_teacher"]["mouth r, audio"] == pytest.approx(0.0, abs=1e-6)
    assert "latent Fréchet, audio" not in written["student_minus_teacher"], "what was not measured has no column"
    markdown = (tmp_path / "out" / "comparison.md").read_text()
    assert markdown.count("\n| ") == 1 + 1 + len(comparison_table(scored[0], generation_plan(config)))
    for name in ("contact_sheet.png", "scores.png"):
        picture = cv2.imread(str(tmp_path / "out" / name))
        assert picture.shape[1] > 1200 and picture.std() > 20
    clip = decode_clip(tmp_path / "out" / "student.mp4", 16.0)
    assert len(clip.frames) == 4 * 17 and clip.frames.shape[2] == 640
    sound = benchmark.audio[:4].reshape(-1).numpy()
    assert np.corrcoef(clip.audio, sound)[0, 1] > 0.9
    (film,) = verify_files([tmp_path / "out" / "student.mp4"])
    assert [layer.outcome for layer in film.layers] == [UNTOUCHED, UNTOUCHED], "people take it away"


class MeanColourLatents:
    """Stands for the autoencoder's interface: pixels averaged 8x8 in space, every fourth frame, over three channels."""

    dtype = None


def test_latent_frechet_is_zero_for_the_truth_and_grows_with_damage(benchmark, monkeypatch):
    from evaluation.scoring import measured, score_puppets

    def encode(_autoencoder, pixels):
        return pixels[:, :, ::4].unfold(3, 8, 8).unfold(4, 8, 8).mean(dim=(-1, -2))

    monkeypatch.setattr(measured, "encode_video", encode)
    frames, truth = benchmark.frames, measured.PuppetSets(Path(), benchmark, [], MeanColourLatents())
    true = truth.videos("ground_truth", "pixels")

    def distances(damaged):
        other = measured.PuppetSets(Path(), replace(benchmark, frames=damaged), [], MeanColourLatents())
        found = score_puppets._latent_distances(other.videos("ground_truth", "pixels"), true)
        return {score.metric: score.value for score in found}

    same, darker, darkest = (distances(damaged) for damaged in (frames, frames // 2 + 20, frames // 8))
    for name in ("latent_frechet", "latent_frechet_arms"):
        assert same[name] == pytest.approx(0.0, abs=1e-9) and 0.01 < darker[name] < darkest[name]

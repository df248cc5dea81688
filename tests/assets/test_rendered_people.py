"""The benchmark of rendered people: frozen as any set, with the truth beside it, and of nobody who is trained on."""

import json

import numpy as np
import pandas as pd
import pytest

import people
import puppets
from assets.core.steps import AssetError
from assets.core.workspace import Workspace
from assets.kinds.demo_corpus import DemoCorpusError, corpus, corpus_seeds
from assets.kinds.judging.benchmark_sets import check_benchmarks, refuse_overlap, trained_people, training_seeds
from assets.kinds.judging.rendered_people import build_rendered_people, seeds_of_people
from assets.questions.subset_accuracy import belongs, strongest_subsets
from curation.intake.held_out import held_out
from curation.intake.inspect_file import examine, limits_of
from curation.snapshot.overlap import Training, find_overlap
from curation.subsets.nested_subsets import parse_predicates
from evaluation.benchmark.benchmark import BenchmarkError
from evaluation.benchmark.clip_benchmark import ClipBenchmark
from evaluation.benchmark.people_truth import read_truth
from evaluation.scoring.criteria import demands
from media import encode_clip
from media.frozen_set import load_frozen_set
from people.render import OTHER
from people.speech.recordings import recordings
from people.speech.voices import VOICES
from profiles import Profile, load_profile
from profiles.conditions import SUBSETS
from profiles.schema import DemoConfig

SETTINGS = ["evaluation.benchmarks=[rendered_people]", "evaluation.clips=2", "gate.criteria={faces_found: {min: 0.5}}", "gate.headline=null"]  # fmt: skip
SEED = 50_000_000


@pytest.fixture(scope="module")
def profile():
    return load_profile("laptop", SETTINGS)


@pytest.fixture(scope="module")
def frozen(tmp_path_factory, profile):
    folder = tmp_path_factory.mktemp("home") / "data" / "benchmark_sets" / "rendered_people"
    return build_rendered_people(folder, profile.evaluation, profile.video, [range(1, 100)], "no clips")


def demo_of(profile: Profile) -> DemoConfig:
    assert profile.demo is not None
    return profile.demo


def rendered(sample):
    """Clip of a sample, as rendered."""
    return people.render(int(sample.identity.rpartition("-")[2]), frames=21, size=64, split="held_out")


def test_a_sample_is_the_clip_of_its_seed_with_a_reference_from_behind_the_window(frozen):
    assert {sample.identity for sample in frozen.samples} == {f"person-{SEED}", f"person-{SEED + 1}"}
    for sample in frozen.samples:
        clip = rendered(sample)
        assert np.abs(frozen.frames(sample).astype(int) - clip.frames[:17]).mean() < 2.5
        assert (frozen.reference(sample) == clip.frames[20]).all() and sample.reference_frame == 20
        assert frozen.audio(sample) == pytest.approx(clip.audio[:17_000], abs=2e-4)
        assert sample.caption == clip.caption


def test_the_pose_is_as_drawn_and_the_record_says_that_nothing_looked(frozen):
    sample = frozen.samples[0]
    assert frozen.keypoints(sample) == pytest.approx(rendered(sample).keypoints[:17])
    assert frozen.record.pose_detector == "truth" and sample.face_size > 0.1


def test_the_truth_is_of_the_window_and_another_one_is_refused(frozen, tmp_path):
    sample = frozen.samples[1]
    truth, clip = read_truth(frozen, sample), rendered(sample)
    assert truth["mouth_opening"] == pytest.approx(clip.opening[:17], abs=1e-5)
    assert truth["head_degrees"] == pytest.approx(clip.head[:17], abs=0.01)
    assert len(truth["units"]) == 17 and truth["phones"][-1][2] <= 17 / 16
    path = frozen.path / "truth" / f"{sample.sample_id}.json"
    before = path.read_bytes()
    path.write_text(json.dumps(truth | {"seed": 0}))
    with pytest.raises(BenchmarkError, match=r"not the frozen file.*benchmark_sets again"):
        read_truth(frozen, sample)
    path.write_bytes(before)


def test_evaluation_reads_it_as_any_other_set(frozen):
    benchmark = ClipBenchmark(frozen.path, "rendered_people")
    sample = benchmark.sample(0)
    assert len(benchmark) == 2 and sample.frames.shape == (17, 64, 64, 3)
    assert sample.audio is not None and sample.audio.shape == (17_000,)
    for mode in ("audio", "pose", "pose_alone", "shuffled_pose"):
        assert benchmark.driven_by(mode) == (0, 1)


def test_metrics_take_the_truth_as_it_was_drawn(frozen):
    benchmark = ClipBenchmark(frozen.path, "rendered_people")
    truth, clip = benchmark.truth(1), rendered(frozen.samples[1])
    assert benchmark.knows_truth and truth.keypoints == pytest.approx(clip.keypoints[:17])
    assert truth.opening == pytest.approx(clip.opening[:17], abs=1e-5) and len(truth.lids) == 17
    assert truth.phone_at(5, clip.fps) in {phone.symbol for phone in clip.phones}
    np.testing.assert_allclose(truth.lids, clip.units[:17, clip.unit_names.index("eyeBlinkLeft")], atol=1e-3)


def test_its_people_speak_held_out_sentences(frozen):
    held_out, trained = (
        {recording.text for voice in VOICES for recording in recordings(voice.take, split)}
        for split in ("held_out", "train")
    )
    for sample in frozen.samples:
        spoken = read_truth(frozen, sample)["text"]
        assert any(text in spoken for text in held_out) and not any(text in spoken for text in trained), spoken


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("demo.seed=49999990", "change evaluation.seed or demo.seed"),
        (f"demo.seed={SEED - OTHER}", "change evaluation.seed or demo.seed"),  # somebody who stands behind
        ("video.fps=25", "video.fps is 25, and rendered people come at 16"),
        ("video.sample_rate=8000", "video.sample_rate is 8000"),
        ("video.width=96", "square"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(setting, said, tmp_path):
    profile = load_profile("laptop", [*SETTINGS, "demo.world=people", setting])
    with pytest.raises((AssetError, DemoCorpusError), match=said):
        check_benchmarks(profile, tmp_path)


def test_puppets_of_the_same_seeds_are_nobody_of_these(tmp_path):
    puppets = load_profile("laptop", [*SETTINGS, f"demo.seed={SEED}"])
    assert check_benchmarks(puppets, tmp_path) == "2 rendered people" and trained_people(puppets) == []
    shown = load_profile("laptop", [*SETTINGS, "demo.world=people"])
    assert training_seeds(shown) == [] and trained_people(shown) == seeds_of_people(
        demo_of(shown), corpus_seeds(demo_of(shown))
    )


def clip_row(**changed):
    row = {
        "clip_id": "0" * 16,
        "source_sha256": "f" * 64,
        "source_name": "x.mp4",
        "identity": "",
        "phash": "00" * 16,
        "near_duplicate_of": "",
    }
    return pd.DataFrame([{**row, "shard": "s-0", **changed}])


def test_a_person_or_a_film_that_is_trained_on_is_met(frozen, profile):
    manifest = frozen.manifest
    assert find_overlap(manifest, Training(clip_row(identity="person-7"), "t")) == {}
    film = find_overlap(manifest, Training(clip_row(phash=frozen.samples[0].phash), "t"))
    assert film[frozen.samples[0].name].startswith("nearly the same film") and len(film) == 1
    met = find_overlap(manifest, Training(clip_row(identity=f"person-{SEED}"), "t"))
    assert met == {f"person-{SEED}.mp4": f"the same identity (person-{SEED}) as clip {'0' * 16}"}
    workspace = Workspace(frozen.path.parents[2], profile)
    with pytest.raises(AssetError, match=f"benchmark rendered_people meet t .*person-{SEED}"):
        refuse_overlap(workspace, "rendered_people", Training(clip_row(identity=f"person-{SEED}"), "t"))


def test_intake_knows_a_copy_of_its_clips_by_bytes_and_by_looks_and_lets_another_person_in(frozen, tmp_path, profile):
    known, clip = held_out(tmp_path, frozen.path.parent), tmp_path / "clip.mp4"
    ours, same = frozen.samples[0], frozen.frames(frozen.samples[0])
    other = people.render(7, frames=17, size=64).frames
    for data, said in (
        ((frozen.path / ours.clip).read_bytes(), "it is a file of test set rendered_people"),
        (encode_clip(same, 16.0, crf=25), "it is nearly the same film as one of test set rendered_people"),
        (encode_clip(other, 16.0), ""),
    ):
        clip.write_bytes(data)
        why = known.why(examine(limits_of(profile), clip))
        assert why.startswith(said) and bool(why) == bool(said)


def test_the_profile_people_asks_for_what_packages_and_its_benchmarks_can_measure():
    profile = load_profile("people", [])
    needed = {need for demand in demands(profile.gate) for need in demand.kind.needs}
    assert (
        needed <= {"keypoints", "dlib_face", "truth_frames", "reference"} and profile.encoders.keypoints == "mediapipe"
    )
    assert {demand.benchmark for demand in demands(profile.gate)} == {"rendered_people", "packaged"}
    predicates = parse_predicates(profile.curation)
    assert "mouth_speech_lag_frames <= 1" in predicates["audio"].clauses and profile.curation.silent_pose
    assert len(corpus(demo_of(profile), profile.video)) == 240 + 8 * 11


def test_what_a_kind_of_person_belongs_to_follows_from_the_rule_that_it_breaks():
    profile = load_profile("people", [])
    strongest = strongest_subsets(profile)
    assert set(strongest) == {*people.KINDS} and strongest_subsets(load_profile("laptop", [])).keys() == {
        *puppets.KINDS
    }
    placed = {kind: [name for name in SUBSETS if belongs(strongest[kind], name, True)] for kind in people.KINDS}
    assert placed["clean"] == [*SUBSETS] and placed["hard_cut"] == []
    assert placed["late_sound"] == ["text", "pose"] and not belongs(strongest["late_sound"], "pose", False)


def test_a_demo_of_people_holds_every_kind_and_each_clip_has_a_person_of_its_own(tmp_path):
    profile = load_profile("laptop", ["demo.world=people", "demo.clean=3", "demo.broken_per_kind=2", "demo.frames=9"])
    files = corpus(demo_of(profile), profile.video)
    assert [file.kind for file in files[:3]] == ["clean"] * 3 and {file.kind for file in files} == {*people.KINDS}
    assert len(files) == 3 + 2 * (len(people.KINDS) - 1) == len(corpus_seeds(demo_of(profile)))
    assert [file.seed for file in files] == [*corpus_seeds(demo_of(profile))]
    files[-1].write(tmp_path)
    told = json.loads((tmp_path / f"{files[-1].name}.json").read_text())
    assert told["identity"] == f"person-{files[-1].seed}" and told["person"]["kind"] == files[-1].kind
    assert told["person"]["size"] == [64, 64]
    with pytest.raises(DemoCorpusError, match=r"demo.frames is 24"):
        corpus(demo_of(load_profile("laptop", ["demo.world=people", "demo.frames=24"])), profile.video)


def test_the_set_stands_as_it_was_frozen(frozen):
    assert load_frozen_set(frozen.path).digest == frozen.digest

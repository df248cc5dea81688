"""The held-out benchmarks that a profile lists, each frozen in a folder of its own."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from assets.core.markdown import markdown_table
from assets.core.steps import AssetError, Execution, Fixed, Markdown, Metadata, Png
from assets.core.workspace import Workspace
from assets.kinds.demo_corpus import corpus_seeds
from assets.kinds.detectors import face_hider, keypoint_detector
from assets.kinds.judging.rendered_people import build_rendered_people, check_rendered_people, seeds_of_people
from curation.intake.real_clips import BENCHMARK_CLIPS
from curation.pages.figures import contact_sheet
from curation.snapshot.held_out_people import build_held_out_set
from curation.snapshot.overlap import Training, find_overlap, training_content
from curation.snapshot.packaged_set import build_packaged_set
from curation.snapshot.withdrawals import read_tombstones
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.puppet_benchmark import build_puppets, check_benchmark
from evaluation.benchmark.read import load_benchmark
from media import whole_directory, write_atomically
from media.frozen_set import FrozenSet, load_frozen_set
from media.hiding import Hide, as_it_is
from profiles import Profile
from profiles.judging import (
    DRAWN,
    HELD_OUT,
    PACKAGED,
    PUPPETS,
    RENDERED_PEOPLE,
    TEST_SET,
    benchmark_folder,
    benchmark_kind,
)

INDEX = "benchmarks.json"  # what each was made with, beside the folders
SHOWN = 8  # first frames of a benchmark


def make_benchmark_sets(execution: Execution) -> Metadata:
    """Build what is not there yet or was built otherwise; a set that stands is frozen. None may meet what training sees."""
    workspace = execution.workspace
    root, names = workspace.data("benchmark_sets"), workspace.profile.evaluation.benchmarks
    index = _index(root)
    training = training_content(workspace.data("raw_clips"), workspace.data("training_snapshot"))
    for place, name in enumerate(names):
        execution.report(place, len(names), name)
        made_with = _settings(workspace, name)
        folder = root / benchmark_folder(name)
        if index.get(name, {}).get("made_with") != made_with or not folder.is_dir():
            BUILDERS[benchmark_kind(name)](workspace, name, folder, training)
        benchmark = load_benchmark(root, name)
        refuse_overlap(workspace, name, training)
        index[name] = {"made_with": made_with, "digest": benchmark.digest, "clips": len(benchmark)}
        write_atomically(root / INDEX, json.dumps(index, indent=1, sort_keys=True).encode())
    for stale in set(index) - set(names):
        shutil.rmtree(root / benchmark_folder(stale), ignore_errors=True)
        del index[stale]
    write_atomically(root / INDEX, json.dumps(index, indent=1, sort_keys=True).encode())
    benchmarks = load_benchmarks(workspace)
    sheet = contact_sheet(*_first_frames(workspace, benchmarks))
    return {
        "first_frames": Png(sheet),
        "clips": Fixed(sum(map(len, benchmarks))),
        "benchmarks": Markdown(markdown_table([_row(benchmark) for benchmark in benchmarks])),
        "digest": joint_digest(benchmarks),
    }


def load_benchmarks(workspace: Workspace) -> list[Benchmark]:
    """Open all that the profile lists, in its order.

    Raises:
        evaluation.benchmark.benchmark.BenchmarkError: one is not there.
    """
    root = workspace.data("benchmark_sets")
    return [load_benchmark(root, name) for name in workspace.profile.evaluation.benchmarks]


def joint_digest(benchmarks: Sequence[Benchmark]) -> str:
    """What identifies benchmarks together: of one its own digest, of several a sha256 over names and digests."""
    if len(benchmarks) == 1:
        return benchmarks[0].digest
    lines = [f"{benchmark.name} {benchmark.digest}\n" for benchmark in benchmarks]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def benchmarks_digest(workspace: Workspace) -> str:
    """The joint digest of today's benchmarks; raises as `load_benchmarks`."""
    return joint_digest(load_benchmarks(workspace))


def shown_faces(workspace: Workspace, benchmark: Benchmark) -> Hide:
    """What pictures of a benchmark go through: real faces are hidden where `reports.blur_faces` asks for it."""
    return as_it_is if benchmark_kind(benchmark.name) in DRAWN else face_hider(workspace.profile)


def check_benchmarks(profile: Profile, test_sets: Path) -> str:
    """Say what the profile's benchmarks are, before anything is trained that they are to judge.

    Args:
        profile: lists them.
        test_sets: folder of frozen test sets.

    Raises:
        evaluation.benchmark.benchmark.BenchmarkError: puppets that do not fit the profile's video.
        AssetError: a test set that is not there.
        curation.errors.CurationError: one that changed since it was frozen.
    """
    said = []
    for name in profile.evaluation.benchmarks:
        kind = benchmark_kind(name)
        if kind == PUPPETS:
            check_benchmark(profile.evaluation, profile.video, training_seeds(profile))
            said.append(f"{profile.evaluation.clips} puppets")
        elif kind == RENDERED_PEOPLE:
            check_rendered_people(profile.evaluation, profile.video, trained_people(profile))
            said.append(f"{profile.evaluation.clips} rendered people")
        elif kind == TEST_SET:
            said.append(f"{len(_test_set(test_sets, name))} clips of {name}")
        else:
            said.append({PACKAGED: "packaged clips", HELD_OUT: "people of the inbox whom no training sees"}[kind])
    return "; ".join(said)


def training_seeds(profile: Profile) -> list[range]:
    """Seeds of the puppets that the demo renders into the inbox."""
    return [] if profile.demo is None or profile.demo.world != "puppets" else [corpus_seeds(profile.demo)]


def trained_people(profile: Profile) -> list[range]:
    """Seeds of the people who are seen in what the demo renders into the inbox."""
    return [] if profile.demo is None else seeds_of_people(profile.demo, corpus_seeds(profile.demo))


def refuse_overlap(workspace: Workspace, name: str, training: Training) -> None:
    """Nothing of a benchmark of people may be trained on: neither the bytes, nor nearly the same film, nor the person.

    Raises:
        AssetError: something is.
    """
    if benchmark_kind(name) == PUPPETS:
        return
    manifest = pd.read_parquet(workspace.of_benchmark("benchmark_sets", name) / "manifest.parquet")
    if met := find_overlap(manifest, training):
        shown = "; ".join(f"{clip}: {why}" for clip, why in list(met.items())[:3])
        raise AssetError(
            f"{len(met)} samples of benchmark {name} meet {training.name} ({shown}); withdraw those clips with `omnihuman withdraw`, or take "
            "the samples out of the benchmark"
        )


def _build_puppets(workspace: Workspace, name: str, folder: Path, training: Training) -> None:
    profile = workspace.profile
    build_puppets(folder, profile.evaluation, profile.video, training_seeds(profile))


def _build_rendered_people(workspace: Workspace, name: str, folder: Path, training: Training) -> None:
    profile = workspace.profile
    build_rendered_people(folder, profile.evaluation, profile.video, trained_people(profile), training.name)


def _build_packaged(workspace: Workspace, name: str, folder: Path, training: Training) -> None:
    profile = workspace.profile
    build_packaged_set(folder, profile.video, training, keypoint_detector(profile), profile.evaluation.clips)


def _build_held_out(workspace: Workspace, name: str, folder: Path, training: Training) -> None:
    profile = workspace.profile
    build_held_out_set(
        workspace.data("raw_clips"),
        workspace.data("filtered_subsets"),
        folder,
        profile.video,
        profile.evaluation.held_out_people,
        keypoint_detector(profile),
        profile.evaluation.clips,
        tombstones=read_tombstones(workspace.tombstones),
    )


def _copy_test_set(workspace: Workspace, name: str, folder: Path, training: Training) -> None:
    found = _test_set(workspace.data("test_sets"), name)
    with whole_directory(folder) as draft:
        shutil.copytree(found.path, draft, dirs_exist_ok=True)


BUILDERS: dict[str, Callable[[Workspace, str, Path, Training], None]] = {
    PUPPETS: _build_puppets,
    RENDERED_PEOPLE: _build_rendered_people,
    PACKAGED: _build_packaged,
    HELD_OUT: _build_held_out,
    TEST_SET: _copy_test_set,
}


def _test_set(root: Path, name: str) -> FrozenSet:
    folder = root / name.partition(":")[2]
    if not folder.is_dir():
        raise AssetError(
            f"evaluation.benchmarks lists {name} and there is no {folder}; build it with `omnihuman testset build`"
        )
    return load_frozen_set(folder)


def _settings(workspace: Workspace, name: str) -> str:
    """A digest of what decides a benchmark's content. A held-out set has none of the inbox in it: later clips change nothing."""
    profile, kind = workspace.profile, benchmark_kind(name)
    parts: list[Any] = [kind, profile.video.model_dump(mode="json")]
    if kind == TEST_SET:
        parts = [kind, _test_set(workspace.data("test_sets"), name).digest]
    elif kind in DRAWN:
        parts += [profile.evaluation.clips, profile.evaluation.seed]
    else:
        detector = keypoint_detector(profile)
        parts += [profile.evaluation.clips, detector.name, str(detector.version)]
        parts += [profile.evaluation.held_out_people] if kind == HELD_OUT else [clip.sha256 for clip in BENCHMARK_CLIPS]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _index(root: Path) -> dict[str, Any]:
    file = root / INDEX
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    return found


def _first_frames(workspace: Workspace, benchmarks: list[Benchmark]) -> tuple[list[Any], list[str]]:
    """Of each benchmark a few, together `SHOWN`; real faces hidden where the profile asks for it."""
    share = max(1, SHOWN // len(benchmarks))
    pictures, titles = [], []
    for benchmark in benchmarks:
        hide = shown_faces(workspace, benchmark)
        for clip in range(min(share, len(benchmark))):
            pictures.append(hide(benchmark.sample(clip).frames[0].numpy()))
            titles.append(benchmark.names[clip])
    return pictures, titles


def _row(benchmark: Benchmark) -> dict[str, Any]:
    every = range(len(benchmark))
    return {
        "benchmark": benchmark.name,
        "clips": len(benchmark),
        "with sound": sum(map(benchmark.heard, every)),
        "with pose": sum(map(benchmark.posed, every)),
        "digest": benchmark.digest[:12],
    }

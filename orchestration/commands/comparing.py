"""`omnihuman compare --baseline NAME=FOLDER`: gather samples, methods and networks, and compare."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.core.workspace import Workspace
from orchestration.commands.options import CommandError
from profiles.judging import PUPPETS, benchmark_kind

if TYPE_CHECKING:
    from evaluation.baselines import ArrayVideos, Instruments, Samples
    from evaluation.baselines.videos import Videos
    from evaluation.benchmark.clip_benchmark import ClipBenchmark
    from media.hiding import Hide
    from profiles.judging import JudgesConfig


@dataclass(frozen=True)
class NetworkPaths:
    """Weights on this machine; None is a network that is not there, or the profile's where its own benchmark is compared on. `dlib_face` is the
    packaged one, wanted or not; on benchmarks of people it looks where it is installed."""

    inception: Path | None = None
    i3d: Path | None = None
    arcface: Path | None = None
    syncnet: Path | None = None
    qalign: Path | None = None
    dlib_face: bool = False


def compare_folders(
    workspace: Workspace,
    baselines: list[str],
    truth: Path | None,
    networks: NetworkPaths,
    *,
    benchmark: str | None = None,
    fit: bool = False,
    keypoints: bool = True,
    limit: int | None = None,
    resamples: int = 200,
    published_set: str = "celebv-hq",
    output: Path | None = None,
) -> Path:
    """Compare folders of videos with the real clips; returns the folder with the tables.

    Args:
        workspace: for the benchmark, our own models' videos and the keypoint detector.
        baselines: `NAME=FOLDER` each.
        truth: folder of real clips; None is a benchmark, and then our own models stand in the tables too.
        networks: weights by path, and whether to use the packaged ones.
        benchmark: one of the profile's; None is its first.
        fit: take videos of another size, rate and length too, and compare all in the frame that they share.
        keypoints: find keypoints with the profile's detector.
        limit: at most so many samples.
        resamples: of the bootstrap.
        published_set: whose published numbers stand beside Table 1.
        output: default `var/comparisons/<samples>`.

    Raises:
        CommandError: a baseline that is not NAME=FOLDER, a benchmark beside a folder of real clips, or anything that does not fit.
    """
    from evaluation.baselines import FolderVideos, compare_baselines

    if truth is not None and benchmark is not None:
        raise CommandError(f"--truth {truth} takes the place of benchmark {benchmark}; give one of them")
    samples, own, hide = _compared_on(workspace, truth, benchmark, limit)
    named = [FolderVideos(name, folder, samples, fit) for name, folder in map(named_folder, baselines)]
    # What judges the profile's own benchmark is named in the profile.
    judges = workspace.profile.evaluation.networks if truth is None else None
    instruments = gather(workspace, networks, keypoints, puppets=samples.name == PUPPETS, judges=judges)
    destination = output or workspace.var / "comparisons" / samples.name.replace(":", "-")

    def report(done: int, total: int, note: str) -> None:
        print(f"[{done}/{total}] {note}", flush=True)

    compare_baselines([*named, *own], samples, instruments, destination, resamples, 0, published_set, report, hide)
    return destination


def _compared_on(
    workspace: Workspace, truth: Path | None, benchmark: str | None, limit: int | None
) -> "tuple[Samples, list[Videos], Hide]":
    """The real clips, what our own models made of them, and what pictures of them go through."""
    from assets.kinds.detectors import face_hider
    from assets.kinds.judging.benchmark_sets import shown_faces
    from evaluation.baselines import folder_samples, puppet_samples
    from evaluation.benchmark.clip_benchmark import ClipBenchmark
    from media.hiding import as_it_is

    if truth is not None:
        return folder_samples(truth, limit), [], face_hider(workspace.profile)
    name = benchmark or workspace.profile.evaluation.benchmarks[0]
    if benchmark_kind(name) == PUPPETS:
        samples = puppet_samples(workspace.of_benchmark("benchmark_sets", PUPPETS), limit)
        return samples, [*own_videos(workspace, samples)], as_it_is
    people = ClipBenchmark(workspace.of_benchmark("benchmark_sets", name), name)
    return *own_videos_of_people(workspace, people, limit), shown_faces(workspace, people)


def own_videos_of_people(
    workspace: Workspace, benchmark: "ClipBenchmark", limit: int | None
) -> "tuple[Samples, list[Videos]]":
    """A frozen set's samples, and teacher and students on them, as far as they were generated: driven by sound, or by pose where no sample has sound."""
    from assets.kinds.judging.generated_videos import shown_mode
    from evaluation.baselines.own_models import GeneratedVideos, frozen_samples
    from evaluation.benchmark.benchmark_plan import generation_plan
    from evaluation.benchmark.generated import open_generated

    mode, root = shown_mode(benchmark), workspace.of_benchmark("generated_videos", benchmark.name)
    samples = frozen_samples(benchmark, benchmark.driven_by(mode)[:limit])
    plan = [model for model in generation_plan(workspace.profile.evaluation, benchmark) if mode in model.modes]
    made = [model for model in plan if (root / model.name / mode).is_dir()]
    return samples, [
        GeneratedVideos(model.title, open_generated(root / model.name / mode, benchmark)) for model in made
    ]


def named_folder(text: str) -> tuple[str, Path]:
    """`NAME=FOLDER` taken apart.

    Raises:
        CommandError: it has not that form.
    """
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise CommandError(f"--baseline {text!r} is not of the form NAME=FOLDER")
    return name, Path(folder)


def own_videos(workspace: Workspace, samples: "Samples") -> "list[ArrayVideos]":
    """Teacher and students on the puppets, driven by sound, as far as they were generated."""
    from evaluation.baselines import ArrayVideos
    from evaluation.benchmark.benchmark_plan import AUDIO, generation_plan
    from evaluation.benchmark.generate import load_generated
    from evaluation.benchmark.puppet_benchmark import load_puppets

    benchmark = load_puppets(workspace.of_benchmark("benchmark_sets", PUPPETS))
    sounds = {name: sound.numpy() for name, sound in zip(benchmark.names, benchmark.audio, strict=True)}
    found = []
    for model in generation_plan(workspace.profile.evaluation):
        folder = workspace.of_benchmark("generated_videos", PUPPETS) / model.name / AUDIO
        if folder.is_dir():
            frames, _ = load_generated(folder, benchmark)
            found.append(ArrayVideos(model.title, dict(zip(benchmark.names, frames, strict=True)), sounds, samples))
    return found


def gather(
    workspace: Workspace, paths: NetworkPaths, keypoints: bool, puppets: bool, judges: "JudgesConfig | None" = None
) -> "Instruments":
    """Open every network that has a path, is wanted, or comes in a package that is installed.

    Args:
        workspace: its profile's detector finds keypoints.
        paths: of networks.
        keypoints: whether to look for any.
        puppets: the samples are puppets, whose truth is known.
        judges: networks of the profile, for those that have no path here; None is none.

    Raises:
        CommandError: a network that needs keypoints without them.
        networks.weights.NetworkError: a file that is missing or is another network.
    """
    from assets.kinds.detectors import PUPPETS as PUPPET_DETECTOR
    from assets.kinds.detectors import keypoint_detector
    from assets.kinds.judging.instruments import CACHE, dlib_by, open_instruments
    from assets.kinds.judging.judges import DetectorJudge
    from evaluation.networks.packaged import if_installed
    from profiles.judging import JudgesConfig

    if not keypoints and (paths.arcface or paths.dlib_face or paths.syncnet):
        raise CommandError("--arcface, --dlib-face and --syncnet find the face by its keypoints; leave --keypoints on")
    of_people = judges is not None and not puppets
    if of_people and workspace.profile.encoders.keypoints == PUPPET_DETECTOR:
        keypoints = False  # it sees nobody else: better no keypoints than those
    detector = DetectorJudge(keypoint_detector(workspace.profile)) if keypoints else None
    dlib_face = None
    if detector is not None and (paths.dlib_face or of_people):
        dlib_face = dlib_by(detector) if paths.dlib_face else if_installed(partial(dlib_by, detector))
    given = {name: path for name, path in vars(paths).items() if name != "dlib_face" and path is not None}
    named = (judges or JudgesConfig()).model_copy(update={name: str(path) for name, path in given.items()})
    opened = open_instruments(named, detector, dlib_face, workspace.var / CACHE)
    return replace(opened, puppets=_puppet_truth(workspace)) if puppets else opened


def _puppet_truth(workspace: Workspace) -> dict[str, Any]:
    from evaluation.benchmark.puppet_benchmark import load_puppets
    from evaluation.metrics.puppet_truth import PuppetTruth
    from puppets import measure_colours

    benchmark = load_puppets(workspace.of_benchmark("benchmark_sets", PUPPETS))
    colours = measure_colours(benchmark.reference.numpy())
    rows = zip(benchmark.opening.numpy(), benchmark.joints.numpy(), colours, strict=True)
    return {name: PuppetTruth(*row) for name, row in zip(benchmark.names, rows, strict=True)}

"""`omnihuman compare --baseline NAME=FOLDER`: gather samples, methods and networks, and compare."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.core.workspace import Workspace
from orchestration.commands.options import CommandError
from profiles.judging import PUPPETS

if TYPE_CHECKING:
    from evaluation.baselines import ArrayVideos, Instruments, Samples


@dataclass(frozen=True)
class NetworkPaths:
    """Weights on this machine; None is a network that is not there. `dlib_face` is the packaged one, wanted or not."""

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
        truth: folder of real clips; None is the puppet benchmark, and then our own models stand in the tables too.
        networks: weights by path, and whether to use the packaged ones.
        fit: take videos of another size, rate and length too, and compare all in the frame that they share.
        keypoints: find keypoints with the profile's detector.
        limit: at most so many samples.
        resamples: of the bootstrap.
        published_set: whose published numbers stand beside Table 1.
        output: default `var/comparisons/<samples>`.

    Raises:
        CommandError: a baseline that is not NAME=FOLDER, or anything that does not fit.
    """
    from assets.kinds.detectors import face_hider
    from evaluation.baselines import FolderVideos, compare_baselines, folder_samples, puppet_samples
    from media.hiding import as_it_is

    benchmark = workspace.of_benchmark("benchmark_sets", PUPPETS)
    samples = puppet_samples(benchmark, limit) if truth is None else folder_samples(truth, limit)
    methods: list[Any] = [FolderVideos(name, folder, samples, fit) for name, folder in map(named_folder, baselines)]
    if truth is None:
        methods += own_videos(workspace, samples)
    instruments = gather(workspace, networks, keypoints, puppets=truth is None)
    destination = output or workspace.var / "comparisons" / samples.name

    def report(done: int, total: int, note: str) -> None:
        print(f"[{done}/{total}] {note}", flush=True)

    hide = as_it_is if truth is None else face_hider(workspace.profile)
    compare_baselines(methods, samples, instruments, destination, resamples, 0, published_set, report, hide)
    return destination


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


def gather(workspace: Workspace, paths: NetworkPaths, keypoints: bool, puppets: bool) -> "Instruments":
    """Open every network that has a path, is wanted, or comes in a package that is installed.

    Raises:
        CommandError: a network that needs keypoints without them.
        networks.weights.NetworkError: a file that is missing or is another network.
    """
    from assets.kinds.detectors import keypoint_detector
    from assets.kinds.judging.instruments import CACHE, dlib_by, open_instruments
    from assets.kinds.judging.judges import DetectorJudge
    from profiles.judging import JudgesConfig

    if not keypoints and (paths.arcface or paths.dlib_face or paths.syncnet):
        raise CommandError("--arcface, --dlib-face and --syncnet find the face by its keypoints; leave --keypoints on")
    detector = DetectorJudge(keypoint_detector(workspace.profile)) if keypoints else None
    dlib_face = dlib_by(detector) if paths.dlib_face and detector is not None else None
    named = {name: None if path is None else str(path) for name, path in vars(paths).items() if name != "dlib_face"}
    opened = open_instruments(JudgesConfig(**named), detector, dlib_face, workspace.var / CACHE)
    return replace(opened, puppets=_puppet_truth(workspace)) if puppets else opened


def _puppet_truth(workspace: Workspace) -> dict[str, Any]:
    from evaluation.benchmark.puppet_benchmark import load_puppets
    from evaluation.metrics.puppet_truth import PuppetTruth
    from puppets import measure_colours

    benchmark = load_puppets(workspace.of_benchmark("benchmark_sets", PUPPETS))
    colours = measure_colours(benchmark.reference.numpy())
    rows = zip(benchmark.opening.numpy(), benchmark.joints.numpy(), colours, strict=True)
    return {name: PuppetTruth(*row) for name, row in zip(benchmark.names, rows, strict=True)}

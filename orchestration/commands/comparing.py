"""`omnihuman compare --baseline NAME=FOLDER`: gather samples, methods and networks, and compare."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.core.workspace import Workspace
from orchestration.commands.options import CommandError

if TYPE_CHECKING:
    from evaluation.baselines import ArrayVideos, Instruments, Samples
    from evaluation.metrics import Network, Sync


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
    from evaluation.baselines import FolderVideos, compare_baselines, folder_samples, puppet_samples

    benchmark = workspace.data("benchmark_sets")
    samples = puppet_samples(benchmark, limit) if truth is None else folder_samples(truth, limit)
    methods: list[Any] = [FolderVideos(name, folder, samples, fit) for name, folder in map(named_folder, baselines)]
    if truth is None:
        methods += own_videos(workspace, samples)
    instruments = gather(workspace, networks, keypoints, puppets=truth is None)
    destination = output or workspace.var / "comparisons" / samples.name

    def report(done: int, total: int, note: str) -> None:
        print(f"[{done}/{total}] {note}", flush=True)

    compare_baselines(methods, samples, instruments, destination, resamples, 0, published_set, report)
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
    from evaluation.benchmark.puppet_benchmark import load_benchmark

    benchmark = load_benchmark(workspace.data("benchmark_sets"))
    sounds = {name: sound.numpy() for name, sound in zip(benchmark.names, benchmark.audio, strict=True)}
    found = []
    for model in generation_plan(workspace.profile.evaluation):
        folder = workspace.data("generated_videos") / model.name / AUDIO
        if folder.is_dir():
            frames, _ = load_generated(folder, benchmark)
            found.append(ArrayVideos(model.title, dict(zip(benchmark.names, frames, strict=True)), sounds, samples))
    return found


def gather(workspace: Workspace, paths: NetworkPaths, keypoints: bool, puppets: bool) -> "Instruments":
    """Open every network that has a path, is wanted, or comes in a package that is installed.

    Raises:
        CommandError: a file that is missing or is another network; a network that needs keypoints without them.
    """
    from evaluation.baselines import Instruments
    from evaluation.networks.arcface import ArcFaceEmbedding
    from evaluation.networks.dlib_face import DlibFaceEmbedding
    from evaluation.networks.dnsmos import Dnsmos
    from evaluation.networks.efficientnet_lite import EfficientNetFeatures
    from evaluation.networks.feature_cache import FeatureCache
    from evaluation.networks.i3d import I3DFeatures
    from evaluation.networks.inception import InceptionFeatures
    from evaluation.networks.packaged import if_installed
    from networks.qalign import QAlign

    if not keypoints and (paths.arcface or paths.dlib_face or paths.syncnet):
        raise CommandError("--arcface, --dlib-face and --syncnet find the face by its keypoints; leave --keypoints on")
    detector = _Detector(workspace) if keypoints else None
    return Instruments(
        inception=InceptionFeatures(paths.inception) if paths.inception else None,
        i3d=I3DFeatures(paths.i3d) if paths.i3d else None,
        arcface=ArcFaceEmbedding(paths.arcface) if paths.arcface else None,
        dlib_face=DlibFaceEmbedding(f"{detector.network.architecture} {detector.network.sha256}")
        if paths.dlib_face and detector
        else None,
        qalign=QAlign(paths.qalign) if paths.qalign else None,
        keypoints=detector,
        imagenet=if_installed(EfficientNetFeatures),
        dnsmos=if_installed(Dnsmos),
        syncnet=_SyncJudge(paths.syncnet, detector) if paths.syncnet and detector else None,
        puppets=_puppet_truth(workspace) if puppets else None,
        cache=FeatureCache(workspace.var / "feature_cache"),
    )


class _Detector:
    """The profile's keypoint detector, named as a metric's network."""

    def __init__(self, workspace: Workspace):
        from assets.kinds.detectors import keypoint_detector
        from evaluation.metrics import Network

        self.detector = keypoint_detector(workspace.profile)
        self.network = Network(self.detector.name, str(self.detector.version), "whole frames at the sample's size")

    def __call__(self, frames: Any) -> Any:
        return self.detector(frames)


class _SyncJudge:
    """Curation's SyncNet, as evaluation wants it: a video in, Sync-C and Sync-D out."""

    def __init__(self, path: Path, detector: _Detector):
        from curation.scores.person.syncnet.network import load_syncnet
        from evaluation.metrics.lip_sync import SYNCNET
        from networks.weights import identify, opened
        from profiles.scores import LipSyncConfig

        remedy = "download syncnet_v2.model (github.com/joonson/syncnet_python, download_model.sh)"
        protocol = f"25 fps, 16 kHz, vshift 15, face box from 68 points of {detector.network.architecture}"
        self.network: Network = identify(path, SYNCNET, protocol, remedy)
        self._model = opened(path, SYNCNET, remedy, lambda: load_syncnet(path))
        self._config, self._detector = LipSyncConfig(weights=str(path)), detector

    def __call__(self, video: Path | bytes) -> "Sync | None":
        from curation.scores.person.syncnet.faces import face_boxes
        from curation.scores.person.syncnet.score import FPS, LONGEST_SECONDS, RATE, WINDOW, judge
        from evaluation.metrics import Sync
        from media import decode_clip

        clip = decode_clip(video, FPS, RATE, max_seconds=LONGEST_SECONDS)
        keypoints = self._detector(clip.frames)
        seen = face_boxes(keypoints)[:, 0]
        if clip.audio is None or not (seen == seen).any() or len(clip.frames) <= WINDOW + 1:
            return None
        found = judge(self._model, clip.frames, clip.audio, keypoints, self._config)
        return Sync(found.confidence, found.distance, float(found.offset))


def _puppet_truth(workspace: Workspace) -> dict[str, Any]:
    from evaluation.benchmark.puppet_benchmark import load_benchmark
    from evaluation.metrics.puppet_truth import PuppetTruth
    from puppets import measure_colours

    benchmark = load_benchmark(workspace.data("benchmark_sets"))
    colours = measure_colours(benchmark.reference.numpy())
    rows = zip(benchmark.opening.numpy(), benchmark.joints.numpy(), colours, strict=True)
    return {name: PuppetTruth(*row) for name, row in zip(benchmark.names, rows, strict=True)}

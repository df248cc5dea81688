"""What looks at videos of people, as a profile names it: networks by path, and those that are installed as packages."""

from pathlib import Path

import torch

from assets.core.workspace import Workspace
from assets.kinds.detectors import PUPPETS, keypoint_detector
from assets.kinds.judging.judges import DetectorJudge, SyncNetJudge
from evaluation.metrics.observation.instruments import Instruments
from evaluation.networks.arcface import ArcFaceEmbedding
from evaluation.networks.dlib_face import DlibFaceEmbedding
from evaluation.networks.dnsmos import Dnsmos
from evaluation.networks.efficientnet_lite import EfficientNetFeatures
from evaluation.networks.feature_cache import FeatureCache
from evaluation.networks.i3d import I3DFeatures
from evaluation.networks.inception import InceptionFeatures
from evaluation.networks.packaged import if_installed
from networks.on_device import CPU
from networks.qalign import QAlign
from networks.weights import NetworkError
from omnihuman.placement import choose_device
from profiles.judging import JudgesConfig

CACHE = "feature_cache"  # below var


def profile_instruments(workspace: Workspace) -> Instruments:
    """Open everything that the profile names or that is installed.

    Raises:
        networks.weights.NetworkError: a named file that is missing or is another network.
        AssetError: a keypoint detector that is not there.
        omnihuman.placement.NoSuchDevice: a device that is not there.
        curation.errors.CurationError: as `keypoint_detector`.
    """
    profile = workspace.profile
    named: JudgesConfig = profile.evaluation.networks
    # The detector of puppets sees nobody else: better no keypoints than those.
    seen = None if profile.encoders.keypoints == PUPPETS else DetectorJudge(keypoint_detector(profile))
    device = choose_device(profile.evaluation.device)
    return open_instruments(named, seen, _installed_dlib(seen), workspace.var / CACHE, device)


def open_instruments(
    named: JudgesConfig,
    keypoints: DetectorJudge | None,
    dlib_face: DlibFaceEmbedding | None,
    cache: Path,
    device: torch.device = CPU,
) -> Instruments:
    """Open the networks that have a path; those that look at faces need keypoints to find them by. Those of torch are on `device`.

    Raises:
        networks.weights.NetworkError: a file that is missing or is another network, or a network of faces without keypoints.
    """
    if keypoints is None and (named.arcface or named.syncnet):
        raise NetworkError(
            "arcface and syncnet find the face by its keypoints, and there is no detector of people's; set encoders.keypoints: mediapipe, or the "
            "folder of a published detector"
        )
    return Instruments(
        inception=InceptionFeatures(Path(named.inception), device=device) if named.inception else None,
        i3d=I3DFeatures(Path(named.i3d), device=device) if named.i3d else None,
        arcface=ArcFaceEmbedding(Path(named.arcface)) if named.arcface else None,
        dlib_face=dlib_face,
        qalign=QAlign(Path(named.qalign), str(device)) if named.qalign else None,
        keypoints=keypoints,
        imagenet=if_installed(lambda: EfficientNetFeatures(device)),
        dnsmos=if_installed(Dnsmos),
        syncnet=SyncNetJudge(Path(named.syncnet), keypoints, device) if named.syncnet and keypoints else None,
        cache=FeatureCache(cache),
    )


def dlib_by(keypoints: DetectorJudge) -> DlibFaceEmbedding:
    """dlib's network, for faces that these keypoints turn.

    Raises:
        networks.weights.NetworkError: its package is not installed, or holds other weights.
    """
    return DlibFaceEmbedding(f"{keypoints.network.architecture} {keypoints.network.sha256}")


def _installed_dlib(keypoints: DetectorJudge | None) -> DlibFaceEmbedding | None:
    return None if keypoints is None else if_installed(lambda: dlib_by(keypoints))

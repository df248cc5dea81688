"""What a metric may need: a small closed set of names. A metric lists its own in `needs`, and everything else follows from there."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

Need = Literal[
    "truth_frames",
    "reference",
    "sound",
    "sounding_file",
    "second_seed",
    "latents",
    "puppet_truth",
    "given_opening",
    "person_truth",
    "keypoints",
    "inception",
    "i3d",
    "arcface",
    "dlib_face",
    "qalign",
    "syncnet",
    "imagenet",
    "dnsmos",
]


@dataclass(frozen=True)
class Absence:
    """What is said of a metric whose need is not there: `reason`, and `remedy` for whoever wants the metric all the same."""

    reason: str
    remedy: str


# What the samples have or have not. The frames of the generated video are always there, and no metric lists them.
MATERIAL: Mapping[Need, Absence] = {
    "truth_frames": Absence("the samples have no real clips", "give the real clip of every video"),
    "reference": Absence(
        "the samples have neither the picture that the method was given nor a real clip", "give either"
    ),
    "sound": Absence("the samples have no sound", "give clips with sound"),
    "sounding_file": Absence("the videos have no sound", "give videos with the sound that the method was given"),
    "second_seed": Absence(
        "there is no second video of the same conditions and other noise", "generate each clip from two seeds"
    ),
    "latents": Absence("there are no latents", "score videos of this project's own models, whose autoencoder is known"),
    "puppet_truth": Absence("the samples are no puppets, whose truth is known", "score the puppet benchmark"),
    "given_opening": Absence(
        "no clip was given another clip's sound with a known opening of the mouth", "score the puppet benchmark"
    ),
    "person_truth": Absence(
        "the truth of rendered people does not come with the samples",
        "list rendered_people in evaluation.benchmarks; benchmark_scores reads it",
    ),
}
# What rendered puppets alone bring: samples of people never have it, and nothing can be done about that.
OF_PUPPETS: frozenset[Need] = frozenset({"puppet_truth", "given_opening"})
# What rendered people alone bring.
OF_RENDERED_PEOPLE: frozenset[Need] = frozenset({"person_truth"})
# What looks at them: fields of `Instruments` by name.
JUDGES: Mapping[Need, Absence] = {
    "keypoints": Absence("needs keypoints", "set encoders.keypoints to mediapipe, or to the folder of a published detector"),
    "inception": Absence(
        "needs the weights of FID's Inception-v3", "set evaluation.networks.inception to pt_inception-2015-12-05-6726825d.pth"
    ),
    "i3d": Absence("needs the weights of FVD's I3D", "set evaluation.networks.i3d to i3d_torchscript.pt"),
    "arcface": Absence("needs the weights of an ArcFace network", "set evaluation.networks.arcface to an ONNX file of it"),
    "dlib_face": Absence("needs dlib's face network", "install it with `make people-and-text`"),
    "qalign": Absence("needs Q-Align's weights", "set evaluation.networks.qalign to a folder of q-future/one-align"),
    "imagenet": Absence("needs a network of ImageNet", "install it with `make people-and-text`"),
    "dnsmos": Absence("needs DNSMOS", "install it with `make people-and-text`"),
    "syncnet": Absence("needs SyncNet v2's weights", "set evaluation.networks.syncnet to syncnet_v2.model"),
}  # fmt: skip
# Where the first is not there the second stands in for it; whoever is named for the first says so.
STANDS_IN: Mapping[Need, Need] = {"reference": "truth_frames"}


def judges_of(needs: Collection[Need]) -> list[Need]:
    """Those of the needs that are networks; the first is the one whose weights a result names."""
    return [need for need in needs if need in JUDGES]


def is_there(need: Need, has: Collection[Need]) -> bool:
    """Whether samples that have `has` have a need, or what stands in for it."""
    return need in has or STANDS_IN.get(need) in has

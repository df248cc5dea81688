"""How well the profile's predicates find the clips that keep the rules: precision and recall on puppets or rendered people of known kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import people
import puppets
from assets.kinds.demo_corpus import people_size
from assets.kinds.detectors import keypoint_detector
from curation.bucket import load_bucket_clip
from curation.people.keypoints import KeypointDetector
from curation.scores.clip import score_clip
from curation.subsets.nested_subsets import assign_subsets
from evaluation.people.shares import wilson
from media import encode_clip
from profiles import Profile
from profiles.conditions import SUBSETS

# The strongest subset that a kind of clip belongs to: its rule-breaking is known by construction.
STRONGEST: Mapping[str, str | None] = {
    "clean": "pose", "hidden_arms": "audio", "wrong_sync": "text", "no_audio": "text", "still": None, "hard_cut": None,
    "overlay_text": None,
}  # fmt: skip
# Hands need not be seen of a person: most close pictures show none.
STRONGEST_OF_PEOPLE: Mapping[str, str | None] = {
    "clean": "pose", "hidden_hands": "pose", "wrong_sync": "text", "late_sound": "text", "other_voice": "text", "pause_in_sound": "text",
    "no_audio": "text", "still": None, "hard_cut": None, "overlay_text": None, "two_people": None, "leaves_picture": None,
}  # fmt: skip
SEED = 900_000_000


@dataclass(frozen=True)
class SubsetAccuracy:
    """Of one subset: `kept` of `clips` clips, `right` of the kept belong there, `belong` should have been kept."""

    subset: str
    clips: int
    belong: int
    kept: int
    right: int

    @property
    def precision(self) -> float:
        """Share of the kept that belong there; NaN where nothing was kept."""
        return self.right / self.kept if self.kept else float("nan")

    @property
    def recall(self) -> float:
        """Share of those that belong there that were kept."""
        return self.right / self.belong if self.belong else float("nan")

    def row(self) -> dict[str, str | int]:
        """For a table, with 95 % Wilson intervals."""
        counts: dict[str, str | int] = {
            "subset": self.subset,
            "clips": self.clips,
            "belong": self.belong,
            "kept": self.kept,
        }
        low, high = wilson(self.right, self.kept)
        precision = f"{self.precision:.3f} [{low:.3f}, {high:.3f}]"
        low, high = wilson(self.right, self.belong)
        return {**counts, "precision": precision, "recall": f"{self.recall:.3f} [{low:.3f}, {high:.3f}]"}


def strongest_subsets(profile: Profile) -> Mapping[str, str | None]:
    """By kind, of the world that the profile's demo is in; puppets where it has none."""
    return STRONGEST_OF_PEOPLE if profile.demo is not None and profile.demo.world == "people" else STRONGEST


def measure_accuracy(profile: Profile, per_kind: int, kinds: Sequence[str] = ()) -> list[SubsetAccuracy]:
    """Render `per_kind` clips of each kind, encode, decode, score and filter them as the pipeline does.

    Raises:
        curation.tables.storage.CurationError: a predicate reads columns that this profile's scores do not give, or MediaPipe is not installed.
    """
    return accuracies(pd.concat([score_kinds(profile, SEED + index, kinds) for index in range(per_kind)]), profile)


def score_kinds(profile: Profile, seed: int, kinds: Sequence[str] = ()) -> pd.DataFrame:
    """Scores of one clip of each kind, all of one seed: a row each, with its `kind`."""
    of_people = strongest_subsets(profile) is STRONGEST_OF_PEOPLE
    detector: KeypointDetector = keypoint_detector(profile) if of_people else puppets.PuppetKeypoints()
    rows = []
    for kind in kinds or tuple(strongest_subsets(profile)):
        clip = people.render(seed, kind, size=people_size(profile.video)) if of_people else puppets.render(seed, kind)  # type: ignore[arg-type]  # a key of the table
        data = encode_clip(clip.frames, clip.fps, clip.audio)
        frames, height, width = clip.frames.shape[:3]
        scored = score_clip(
            load_bucket_clip(data, width, height, profile.video),
            detector,
            profile.video,
            profile.transformer.pose_keypoints,
            profile.curation.scores,
        )
        own = {"width": width, "height": height, "fps": clip.fps, "frames": frames, "seconds": frames / clip.fps}
        rows.append({"clip_id": f"{kind}-{seed}", "kind": kind, **own, **scored.values})
    return pd.DataFrame(rows)


def accuracies(scored: pd.DataFrame, profile: Profile) -> list[SubsetAccuracy]:
    """Of each subset, by rows of `score_kinds`."""
    found = assign_subsets(scored, profile.curation)
    strongest = strongest_subsets(profile)
    counts = []
    for name in SUBSETS:
        kept = found[name].to_numpy(bool)
        belong = np.array([belongs(strongest[kind], name, profile.curation.silent_pose) for kind in scored["kind"]])
        counts.append(SubsetAccuracy(name, len(scored), int(belong.sum()), int(kept.sum()), int((kept & belong).sum())))
    return counts


def belongs(strongest: str | None, subset: str, silent_pose: bool) -> bool:
    """Whether clips of a kind belong to a subset. With `silent_pose` those that break the rules of sound alone show a pose all the same."""
    if strongest is None:
        return False
    if subset == "pose" and silent_pose and strongest == "text":
        return True
    return SUBSETS.index(strongest) >= SUBSETS.index(subset)

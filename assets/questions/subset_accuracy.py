"""How well the profile's predicates find the clips that keep the rules: precision and recall on puppets of known kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

import puppets
from curation.bucket import load_bucket_clip
from curation.scores.clip import score_clip
from curation.subsets.nested_subsets import assign_subsets
from evaluation.people.shares import wilson
from media import encode_clip
from profiles import Profile
from profiles.conditions import SUBSETS

# The strongest subset that a kind of puppet belongs to: its rule-breaking is known by construction.
STRONGEST: dict[str, str | None] = {
    "clean": "pose", "hidden_arms": "audio", "wrong_sync": "text", "no_audio": "text", "still": None, "hard_cut": None,
    "overlay_text": None,
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


def measure_accuracy(profile: Profile, per_kind: int, kinds: Sequence[str] = tuple(STRONGEST)) -> list[SubsetAccuracy]:
    """Render `per_kind` puppets of each kind, encode, decode, score and filter them as the pipeline does.

    Raises:
        curation.tables.storage.CurationError: a predicate reads columns that this profile's scores do not give.
    """
    rows, truth = [], []
    detector, wanted = puppets.PuppetKeypoints(), profile.transformer.pose_keypoints
    for index in range(per_kind):
        for kind in kinds:
            puppet = puppets.render(SEED + index, kind)
            data = encode_clip(puppet.frames, puppet.fps, puppet.audio)
            frames, height, width = puppet.frames.shape[:3]
            clip = load_bucket_clip(data, width, height, profile.video)
            scored = score_clip(clip, detector, profile.video, wanted, profile.curation.scores)
            own = {
                "width": width,
                "height": height,
                "fps": puppet.fps,
                "frames": frames,
                "seconds": frames / puppet.fps,
            }
            rows.append({"clip_id": f"{kind}-{index}", **own, **scored.values})
            strongest = STRONGEST[kind]
            truth.append([strongest is not None and SUBSETS.index(strongest) >= level for level in range(len(SUBSETS))])
    found = assign_subsets(pd.DataFrame(rows), profile.curation)
    belong = np.array(truth)
    accuracies = []
    for level, name in enumerate(SUBSETS):
        kept = found[name].to_numpy()
        right = int((kept & belong[:, level]).sum())
        accuracies.append(SubsetAccuracy(name, len(rows), int(belong[:, level].sum()), int(kept.sum()), right))
    return accuracies

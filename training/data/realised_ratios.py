"""What the ratios of a run came to, counted from the draws themselves."""

from collections import Counter
from collections.abc import Iterable, Mapping

from profiles.conditions import CONDITIONS
from training.data.batch import SampleDraw

# Motion frames are no condition of the order of strength, but have a ratio too.
COUNTED = (*CONDITIONS, "motion")


class RealisedRatios:
    """What the draws of a run came to; `counts` is plain and survives a checkpoint."""

    def __init__(self, counts: Mapping[str, int] | None = None):
        self.counts: Counter[str] = Counter(counts or {})

    def add(self, draws: Iterable[SampleDraw]) -> None:
        """Count the samples of one batch, over all ranks."""
        alike = Counter((d.on, d.eligible, d.motion, d.motion_eligible, d.image, d.reference_outside) for d in draws)
        for (on, eligible, motion, motion_eligible, image, outside), count in alike.items():
            seen = ["samples", f"set/{on.label}"]
            seen += [f"eligible/{name}" for name in eligible.active] + [f"on/{name}" for name in on.active]
            seen += ["eligible/motion"] * motion_eligible + ["on/motion"] * motion + ["images"] * image
            seen += ["reference_outside"] * (on.reference and outside)
            self.counts.update(dict.fromkeys(seen, count))

    def marginals(self) -> dict[str, float]:
        """`ratio/<condition>`: the share of all samples that trained with it."""
        return {f"ratio/{n}": self.counts[f"on/{n}"] / self.counts["samples"] for n in COUNTED}

    def shares(self) -> dict[str, float]:
        """Marginals among all samples and among eligible ones, the share of each condition set and of images, and the share
        of references shown that came from outside the window. A share of nothing is left out."""
        counts = self.counts
        pairs = {
            f"share/{key[4:]}": (counts[key], counts["samples"]) for key in sorted(counts) if key.startswith("set/")
        }
        pairs |= {f"ratio/{n}": (counts[f"on/{n}"], counts["samples"]) for n in COUNTED}
        pairs |= {f"ratio_of_eligible/{n}": (counts[f"on/{n}"], counts[f"eligible/{n}"]) for n in COUNTED}
        pairs["share_of_images"] = (counts["images"], counts["samples"])
        pairs["share_of_references_outside"] = (counts["reference_outside"], counts["on/reference"])
        return {name: part / whole for name, (part, whole) in pairs.items() if whole}

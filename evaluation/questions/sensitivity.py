"""Does each condition change what it should and nothing else: one condition is swapped, the rest and the noise stay.

Swapped means the next clip's. What the swap changes is measured on the puppets' pixels against the unswapped sample of the
same noise; the floor is what another noise changes with every condition as it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from evaluation.benchmark.generate import SECOND_SEED_OFFSET, VideoPipeline
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from profiles.conditions import CONDITIONS
from puppets import measure

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Case:
    """What is given: `swapped` names the condition that comes from the next clip, "" none, "noise" another seed."""

    title: str
    swapped: str
    reference: bool = True
    pose: bool = True


CASES = (
    Case("another noise", "noise"),
    Case("another sound", "audio"),
    Case("another pose", "pose"),
    Case("another reference", "reference"),
    Case("another caption", "text"),
    Case("no reference: another noise", "noise", reference=False),
    Case("no reference: another caption", "text", reference=False),
)


@dataclass(frozen=True)
class Sensitivity:
    """Mean changes against the unswapped sample, and how well the sample fits the clip that the condition came from.

    Attributes:
        title: the case.
        mouth_change: mean |opening|, openings lie in [0, 1].
        joint_change: median pixels over joints that both samples show.
        colour_change: mean |RGB| in [0, 1] over hair, skin, shirt and wall.
        follows: what the swapped condition asks for, against the given clip's truth; None where nothing was swapped.
        follows_unit: of `follows`.
        unswapped: the same number for the unswapped sample: how far it is from the other clip by chance.
    """

    title: str
    mouth_change: float
    joint_change: float
    colour_change: float
    follows: float | None = None
    follows_unit: str = ""
    unswapped: float | None = None


def measure_sensitivity(
    pipeline: VideoPipeline,
    benchmark: PuppetBenchmark,
    clips: int,
    steps: int | None,
    seed: int,
    batch_size: int = 16,
    progress: Progress | None = None,
) -> list[Sensitivity]:
    """Sample every case on the first `clips` clips, all conditions on unless the case says otherwise."""
    count = min(clips, len(benchmark))
    given = GivenClips(benchmark.captions, benchmark.reference, benchmark.audio, benchmark.keypoints, benchmark.frames)

    def sample(case: Case) -> dict[str, np.ndarray]:
        made = sample_case(pipeline, given, case, count, steps, seed, batch_size)
        measured = [measure(frames) for batch in made for frames in batch]
        return {name: np.stack([getattr(m, name) for m in measured]) for name in ("opening", "joints", "colours")}

    bases = {with_reference: sample(Case("", "", with_reference)) for with_reference in (True, False)}
    rows = []
    for done, case in enumerate(CASES, start=1):
        made = sample(case)
        rows.append(_compare(case, bases[case.reference], made, benchmark, count))
        if progress is not None:
            progress(done, len(CASES), case.title)
    return rows


@dataclass(frozen=True)
class GivenClips:
    """What N clips of one shape give a model: captions, `(N, H, W, 3)` references, `(N, S)` sound, `(N, T, 133, 3)` keypoints, and their own
    `(N, T, H, W, 3)` frames."""

    captions: Sequence[str]
    reference: torch.Tensor
    audio: torch.Tensor
    keypoints: torch.Tensor
    frames: torch.Tensor


def sample_case(
    pipeline: VideoPipeline,
    clips: GivenClips,
    case: Case,
    count: int,
    steps: int | None,
    seed: int,
    batch_size: int,
) -> Iterator[np.ndarray]:
    """Make the first `count` clips in one case: `(B, T, H, W, 3)` uint8, batch by batch."""
    for start in range(0, count, batch_size):
        own = torch.arange(start, min(start + batch_size, count))
        other = (own + 1) % count
        pick = {name: other if case.swapped == name else own for name in CONDITIONS}
        first = seed + (SECOND_SEED_OFFSET if case.swapped == "noise" else 0)
        length, height, width = clips.frames.shape[1:4]
        output = pipeline(
            prompt=[clips.captions[i] for i in pick["text"]],
            image=clips.reference[pick["reference"]] if case.reference else None,
            audio=clips.audio[pick["audio"]],
            pose=clips.keypoints[pick["pose"]] if case.pose else None,
            num_frames=length,
            num_inference_steps=steps,
            guidance_scale=1.0,
            height=height,
            width=width,
            generator=[torch.Generator().manual_seed(first + int(clip)) for clip in own],
        )
        yield torch.as_tensor(output.frames).cpu().numpy()


def _compare(
    case: Case, base: dict[str, np.ndarray], made: dict[str, np.ndarray], benchmark: PuppetBenchmark, count: int
) -> Sensitivity:
    follows, unit, chance = None, "", None
    if case.swapped in FOLLOWS:
        function, unit = FOLLOWS[case.swapped]
        given = [(i + 1) % count for i in range(count)]
        follows, chance = function(made, benchmark, given), function(base, benchmark, given)
    return Sensitivity(
        case.title,
        float(np.abs(made["opening"] - base["opening"]).mean()),
        pixels_apart(made["joints"], base["joints"]),
        float(np.abs(made["colours"] - base["colours"]).mean()),
        follows,
        unit,
        chance,
    )


def pixels_apart(first: np.ndarray, second: np.ndarray) -> float:
    """Median distance of `(..., 2)` joints that neither side misses (NaN); NaN when there are none."""
    distance = np.linalg.norm(first - second, axis=-1)
    return float(np.median(distance[np.isfinite(distance)])) if np.isfinite(distance).any() else float("nan")


def _mouth(made: dict[str, np.ndarray], benchmark: PuppetBenchmark, given: list[int]) -> float:
    return float(np.corrcoef(made["opening"].ravel(), benchmark.opening.numpy()[given].ravel())[0, 1])


def _joints(made: dict[str, np.ndarray], benchmark: PuppetBenchmark, given: list[int]) -> float:
    return pixels_apart(made["joints"], benchmark.joints.numpy()[given])


def _colours(made: dict[str, np.ndarray], benchmark: PuppetBenchmark, given: list[int]) -> float:
    return float(np.abs(made["colours"] - benchmark.colours.numpy()[given][:, None]).mean())


FOLLOWS: dict[str, tuple[Callable[[dict[str, np.ndarray], PuppetBenchmark, list[int]], float], str]] = {
    "audio": (_mouth, "mouth r with the given sound"),
    "pose": (_joints, "px to the given pose"),
    "reference": (_colours, "RGB to the given person"),
    "text": (_colours, "RGB to the described person"),
}


def as_markdown(rows: list[Sensitivity]) -> str:
    """One table; the last two columns say how well the swapped condition was followed, and the same without the swap."""
    lines = [
        "| swapped | mouth change | joint change px | colour change | follows the given clip | without the swap |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        follows = "–" if row.follows is None else f"{row.follows:.3f} ({row.follows_unit})"
        chance = "–" if row.unswapped is None else f"{row.unswapped:.3f}"
        lines.append(
            f"| {row.title} | {row.mouth_change:.3f} | {row.joint_change:.2f} | {row.colour_change:.4f} | {follows} | {chance} |"
        )
    return "\n".join(lines)

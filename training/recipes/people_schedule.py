"""When the training of the autoencoder of people does what: frames, rates, noise."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Phase:
    """So many steps of clips of so many frames."""

    steps: int
    frames: int
    batch: int  # whole pictures' clips; of crops, which are a quarter, four times as many


@dataclass(frozen=True)
class Cycle:
    """A rise, a plateau and a fall of the learning rate, up to step `end`; the fall takes the last `decay_share` of it."""

    end: int
    peak: float  # a factor
    decay_share: float
    to: float = 0.02  # of the peak, at the end


@dataclass(frozen=True)
class PeopleAutoencoderRecipe:
    """Everything that decides the weights, with the clips on disk."""

    seed: int = 72_000_000
    phases: tuple[Phase, ...] = (Phase(300, 1, 24), Phase(700, 5, 4), Phase(2800, 9, 3), Phase(300, 17, 1))
    optimizer: Literal["muon", "adamw"] = "muon"
    lr: float = 0.02
    adam_lr: float = 2e-3
    cycles: tuple[Cycle, ...] = (Cycle(3100, 1.0, 0.3), Cycle(3800, 0.5, 1.0, 0.376), Cycle(4100, 0.4, 0.8))
    warmup: int = 50  # steps at the beginning of each
    crop: int = 64
    region_weights: tuple[float, ...] = (3.0, 8.0, 5.0, 5.0)  # of `people_clips.REGIONS`; elsewhere 1
    crop_odds: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0)  # which region a crop shows, of those that are seen
    gradient_weight: float = 1.0
    motion_weight: float = 0.0  # of what changes between frames one, two and four apart
    # Per latent value, and the most noise that the decoder is shown, each from a step on. The weights that ship began with too much of both: after 1,000
    # steps 20 of 48 channels were in use (48 bits a cell). Less of either brought none back in 400 steps; `people_revival` did.
    kl_weights: tuple[tuple[int, float], ...] = ((0, 7.68e-3), (1000, 1e-4))
    noise_caps: tuple[tuple[int, float], ...] = ((0, 1e9), (1200, 0.1), (1600, 0.05))
    revive_at: int | None = 1600
    ema: float = 0.995
    temporal_downsample: tuple[bool, bool] = (
        True,
        True,
    )  # which of the two halvings of space halve time too: a cell holds 4, 2 or 1 frames


# What follows, from the weights that the first ended with: mouths, for a loss of whole pictures all but ignores how far they open.
MOUTHS = PeopleAutoencoderRecipe(
    seed=73_000_000,
    phases=(Phase(2400, 17, 1),),
    lr=0.01,
    adam_lr=1e-3,
    cycles=(Cycle(2400, 1.0, 0.6),),
    region_weights=(3.0, 40.0, 5.0, 5.0),
    crop_odds=(1.0, 6.0, 1.0, 1.0),
    motion_weight=1.0,
    kl_weights=((0, 1e-4),),
    noise_caps=((0, 0.05),),
    revive_at=None,
)
# And from those: cells of two frames, for four at 16 a second are longer than a syllable. The halving of time that stays is the one on the smaller pictures.
PAIRS = replace(
    MOUTHS,
    seed=74_000_000,
    phases=(Phase(1500, 17, 1),),
    cycles=(Cycle(1500, 1.0, 0.6),),
    motion_weight=2.0,
    temporal_downsample=(False, True),
)
RECIPES = {"people": PeopleAutoencoderRecipe(), "mouths": MOUTHS, "pairs": PAIRS}


def phase_of(recipe: PeopleAutoencoderRecipe, step: int) -> Phase:
    """Which phase a step belongs to."""
    for phase in recipe.phases:
        if step < phase.steps:
            return phase
        step -= phase.steps
    return recipe.phases[-1]


def value_at(values: tuple[tuple[int, float], ...], step: int) -> float:
    """The last of `values` that has begun."""
    return [value for begun, value in values if begun <= step][-1]


def rate_at(recipe: PeopleAutoencoderRecipe, step: int) -> float:
    """The learning rate's factor."""
    begun = 0
    for cycle in recipe.cycles:
        if step < cycle.end:
            break
        begun = cycle.end
    else:
        return cycle.peak * cycle.to
    left = (cycle.end - step) / (cycle.decay_share * (cycle.end - begun))
    falling = min(1.0, cycle.to + (1 - cycle.to) * left)
    return cycle.peak * min(1.0, (step - begun + 1) / recipe.warmup) * falling

"""What drives a video: the one table of the conditions, weakest first (OmniHuman-1 section 3.2), which every room reads.

Inside the project a condition has its `name`, outside (command line, page, server, arguments of the pipeline) its `option`;
`condition_named` is where the one becomes the other. docs/extend/condition.md lists what a new row asks for.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

ConditionName = Literal["text", "reference", "audio", "pose"]
SubsetName = Literal["text", "audio", "pose"]
# What `activate` and `without` take: people say what they give, earlier versions said how the project calls it.
ConditionWord = Literal["prompt", "image", "audio", "pose", "text", "reference"]


@dataclass(frozen=True)
class Condition:
    """One row.

    Attributes:
        name: in tables, profiles, records and the transformer.
        option: what a person gives: `--image`, a form's field, `pipeline(image=...)`.
        stage: the training stage that brings it in.
        colour: in plots.
        subset: clips are chosen for it by a predicate `curation.<name>`, and tables have a column of that name. Every clip has a reference.
        moves: it goes on with the frames; a picture has none of it.
        file: a person gives it as a file.
        asked: what the page calls that file.
    """

    name: ConditionName
    option: str
    stage: str
    colour: str
    subset: bool = True
    moves: bool = True
    file: bool = True
    asked: str = ""


TABLE = (
    Condition("text", "prompt", "stage_1", "#4477aa", moves=False, file=False),
    Condition("reference", "image", "stage_1", "#aa3377", subset=False, moves=False, asked="Picture of one person"),
    Condition("audio", "audio", "stage_2", "#ee7733", asked="Voice"),
    Condition("pose", "pose", "stage_3", "#228833", asked="Video whose pose drives the body"),
)
CONDITIONS: tuple[str, ...] = tuple(row.name for row in TABLE)
SUBSETS: tuple[str, ...] = get_args(SubsetName)
# Inputs of the model beside text; each comes with a mask of the samples that have it.
MASKED: tuple[str, ...] = CONDITIONS[1:]
# The files that a person may give, by their options.
FILES: tuple[str, ...] = tuple(row.option for row in TABLE if row.file)
# Given as one value for each frame of the video; sound has a clock of its own.
TRACKS: tuple[str, ...] = tuple(row.name for row in TABLE if row.moves and row.name != "audio")
# What each stage is the first to train with: the strongest of its conditions.
STRONGEST: dict[str, str] = {row.stage: row.name for row in TABLE}


def condition_named(word: str) -> str | None:
    """The condition of this name or option, None where there is none."""
    return next((row.name for row in TABLE if word in (row.name, row.option)), None)


def options_of(names: Iterable[str], joint: str = ", ") -> str:
    """`prompt, image` of text and reference: for messages to people."""
    wanted = set(names)
    return joint.join(row.option for row in TABLE if row.name in wanted)

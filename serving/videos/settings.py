"""What a visitor may set beside the files: the same names, defaults and meanings as the options of `omnihuman generate`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from omnihuman.guidance import Annealing
from profiles.conditions import ConditionWord
from serving.generation import Request, parse_guidance


class VideoSettings(BaseModel):
    """Checked once, at the edge; an unknown name is an error. Docs of each: `omnihuman generate --help`."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, Field(max_length=4000)] = "A person talks."
    seconds: Annotated[float | None, Field(gt=0, allow_inf_nan=False)] = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    steps: Annotated[int | None, Field(ge=1, le=100)] = None
    activate: ConditionWord | None = None
    without: list[ConditionWord] = []
    guidance: Annotated[str | None, Field(max_length=40)] = None
    audio_guidance: Annotated[str | None, Field(max_length=40)] = None
    annealing: Annealing = "linear"
    overlap: Annotated[int | None, Field(ge=0)] = None
    mark: bool = True
    face_check: bool = True

    def request(self, output: Path, files: Mapping[str, Path], longest: float) -> Request:
        """For `prepare_video`.

        Args:
            output: the mp4.
            files: paths under the names of `profiles.conditions.FILES`, as far as given.
            longest: of the video, in seconds.

        Raises:
            GenerateError: guidance that is no number.
        """
        return Request(
            output=output,
            files=files,
            longest=longest,
            guidance=parse_guidance(self.guidance, self.audio_guidance, self.annealing),
            **self.model_dump(exclude={"guidance", "audio_guidance", "annealing"}),
        )

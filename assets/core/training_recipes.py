"""What each training starts from: data, apart from the code that trains."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """What a training run starts from. `section` of the profile configures it."""

    kind: Literal["stage", "consistency", "adversarial", "streaming", "decoder"]
    section: str
    parent: str | None = None
    diffusion_parent: str | None = None

    @property
    def parents(self) -> tuple[str, ...]:
        """Assets whose weights it reads, each once."""
        return tuple(dict.fromkeys(name for name in (self.parent, self.diffusion_parent) if name))


RECIPES = {
    "stage_1_checkpoint": Recipe("stage", "stage_1"),
    "stage_2_checkpoint": Recipe("stage", "stage_2", "stage_1_checkpoint"),
    "stage_3_checkpoint": Recipe("stage", "stage_3", "stage_2_checkpoint"),
    "consistency_student": Recipe("consistency", "consistency", "stage_3_checkpoint"),
    "adversarial_image_student": Recipe(
        "adversarial", "adversarial_images", "consistency_student", "stage_3_checkpoint"
    ),
    "distilled_student": Recipe("adversarial", "adversarial_videos", "adversarial_image_student", "stage_3_checkpoint"),
    "streaming_student": Recipe("streaming", "streaming", "distilled_student", "stage_3_checkpoint"),
    "slim_decoder": Recipe("decoder", "slim_decoder"),
}

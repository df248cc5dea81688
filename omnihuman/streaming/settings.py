"""What a model that streams was trained with, and must be run with."""

from dataclasses import asdict, dataclass
from typing import Any

from omnihuman.errors import InputError

LOOKAHEAD_MOST = 4  # video frames: one latent


@dataclass(frozen=True)
class Streaming:
    """How far a latent sees.

    Attributes:
        window: latents that one sees, itself among them.
        lookahead: video frames of sound after its last frame that it hears, 0 to 4.
        sink: the reference is seen for ever; without it, as long as the window reaches back to the beginning.
    """

    window: int = 5
    lookahead: int = 2
    sink: bool = True

    def __post_init__(self) -> None:
        if self.window < 2:
            raise InputError(
                f"a streaming window has at least 2 latents, the new one and the one before; got {self.window}"
            )
        if not 0 <= self.lookahead <= LOOKAHEAD_MOST:
            raise InputError(f"lookahead is 0 to {LOOKAHEAD_MOST} video frames of sound, got {self.lookahead}")

    def record(self) -> dict[str, Any]:
        """As a pipeline's configuration keeps it."""
        return asdict(self)

    def position(self, latent: int) -> int:
        """The temporal position of a latent: its number, and from the end of the first window on always the window's last.

        So what the network meets in an hour is what it met in training: the latent itself, those before it and the reference
        stand at the same distances for ever, and rotary tables never end.
        """
        return min(latent, self.window - 1)

    def oldest(self, latent: int) -> int:
        """Number of the first latent that this one sees."""
        return max(0, latent - self.window + 1)

    def sees_reference(self, latent: int) -> bool:
        """Whether this latent sees the reference."""
        return self.sink or latent < self.window

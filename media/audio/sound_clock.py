"""Where decoded sound belongs: by its own times, which count only where they say more than counting samples does."""

from dataclasses import dataclass

# A piece whose time differs by less from the end of the one before follows it: containers round to a millisecond or a packet.
JITTER_SECONDS = 0.01
# Times that fall back by more begin anew (parts of a broadcast put together); less is an overlap.
RESTART_SECONDS = 1.0


@dataclass
class SoundClock:
    """Places of successive pieces at `sample_rate`, in samples of the file's clock.

    Attributes:
        counted: whether times count only at the first piece and after a lost one (AVI and bare streams number their packets and
            know no gaps).
        primed: seconds before the first sample that the encoder put there and the container says nothing of; they are dropped.
        place: where the next sample goes if nothing jumps; None before the first.
        filled: samples of silence that gaps left.
        overlap: samples of what comes that stand already and are dropped.
    """

    sample_rate: int
    counted: bool = False
    primed: float = 0.0
    place: int | None = None
    filled: int = 0
    overlap: int = 0
    _shift: float = 0.0

    def __post_init__(self) -> None:
        self._shift = -self.primed

    def jumps(self, time: float | None, lost: bool = False) -> bool:
        """Whether a piece at `time` seconds (None: unknown) does not follow the one before; the first one always jumps.

        `lost` says that something between the two did not decode.
        """
        if self.place is None:
            return True
        if time is None:
            return False
        ahead = time + self._shift - self.place / self.sample_rate
        if self.counted and not lost:
            self._shift -= ahead
            return False
        if ahead < -RESTART_SECONDS:
            self._shift -= ahead
            return False
        return abs(ahead) > JITTER_SECONDS

    def move(self, time: float | None) -> None:
        """Go to where a piece at `time` seconds begins."""
        wanted = round(((time or 0.0) + self._shift) * self.sample_rate)
        if self.place is not None:
            self.filled += max(0, wanted - self.place)
            self.overlap = max(0, self.place - wanted)
        elif self.primed:
            self.overlap = max(0, -wanted)
        self.place = wanted

    def take(self, samples: int) -> tuple[int, int]:
        """Count a piece of so many samples: its place, and how many of its first ones are dropped."""
        assert self.place is not None
        place, dropped = self.place, min(self.overlap, samples)
        self.place += samples
        self.overlap -= dropped
        return place, dropped

"""Many channels to one, never louder than full scale, and never a voice lost to a silent channel or one in antiphase."""

from dataclasses import dataclass, field

import av
import numpy as np

# Each speaker's share in one channel, after ITU-R BS.775: front speakers whole, all others at -3 dB, the subwoofer not. They are
# divided by their sum, so that the mix of channels below full scale stays below it: stereo is (L + R) / 2.
FRONT = frozenset({"FL", "FR", "FC", "FLC", "FRC"})
SUBWOOFERS = frozenset({"LFE", "LFE2"})
OTHERS = 2**-0.5
# A mix that falls below this part of its loudest channel has lost it to silence (0.5) or to antiphase (0); two channels that have
# nothing to do with one another leave 0.71.
LOST_SHARE = 0.6
MIX = "mix"


def speaker_shares(layout: av.AudioLayout) -> np.ndarray:
    """`(channels,)` float32 shares that add up to 1."""
    names = [channel.name for channel in layout.channels]
    shares = np.array([1.0 if n in FRONT else 0.0 if n in SUBWOOFERS else OTHERS for n in names], np.float32)
    if not shares.any():
        shares = np.ones_like(shares)
    return shares / shares.sum()


@dataclass
class Downmix:
    """Hears all of a track, then says for each layout in it what stands for it: the mix, or its loudest channel alone."""

    _energy: dict[str, np.ndarray] = field(default_factory=dict)  # of each channel, then of the mix

    def hear(self, samples: np.ndarray, layout: av.AudioLayout) -> None:
        """Take note of `(channels, S)` float32."""
        whole = np.concatenate([samples, (speaker_shares(layout) @ samples)[None]])
        energy = np.square(whole, dtype=np.float64).sum(axis=1)
        self._energy[layout.name] = self._energy.get(layout.name, 0.0) + energy

    def lost_channel(self, layout: av.AudioLayout) -> int | None:
        """The channel that the mix would lose, or None where the mix keeps what there is."""
        *channels, mixed = self._energy[layout.name]
        loudest = int(np.argmax(channels))
        return loudest if mixed < LOST_SHARE**2 * channels[loudest] else None

    def apply(self, samples: np.ndarray, layout: av.AudioLayout) -> np.ndarray:
        """`(S,)` of `(channels, S)`, once all is heard."""
        lost = self.lost_channel(layout)
        return speaker_shares(layout) @ samples if lost is None else samples[lost]

    def taken(self) -> str:
        """`mix`, or the names of the single channels that stand for a layout, joined by `+`."""
        layouts = [av.AudioLayout(name) for name in self._energy]
        return "+".join(sorted({_name(x, self.lost_channel(x)) for x in layouts})) or MIX


def _name(layout: av.AudioLayout, channel: int | None) -> str:
    """`mix`, a speaker's name, or the channel's number where the file names no speakers."""
    if channel is None:
        return MIX
    name = layout.channels[channel].name
    return f"channel {channel}" if name == "NONE" else name

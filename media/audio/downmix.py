"""Many channels to one, never louder than full scale, and never a voice lost to a silent channel or one in antiphase."""

from dataclasses import dataclass, field

import av
import numpy as np

# Each speaker's share in one channel, after ITU-R BS.775: front speakers whole, all others at -3 dB, the subwoofer not. They are
# divided by their sum, so that the mix of channels below full scale stays below it: stereo is (L + R) / 2.
FRONT = frozenset({"FL", "FR", "FC", "FLC", "FRC"})
SUBWOOFERS = frozenset({"LFE", "LFE2"})
OTHERS = 2**-0.5
# A channel that is this far below the loudest one is silent, and no part of the mix: it would only make the rest quieter. Somebody who
# says three words in ten minutes at the other's level is at -23 dB.
SILENT_SHARE = 10 ** (-40 / 20)
# A mix that falls below this part of its loudest channel has lost it to antiphase (0). A voice in one of two sounding channels leaves
# 0.5 or more, one in the middle of six 0.23.
LOST_SHARE = 0.3
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
    """Hears all of a track, then says for each layout in it what stands for it: its sounding channels mixed, or its loudest alone."""

    _sums: dict[str, np.ndarray] = field(
        default_factory=dict
    )  # `(C, C)` by layout: products of every two channels, summed

    def hear(self, samples: np.ndarray, layout: av.AudioLayout) -> None:
        """Take note of `(C, S)` float32."""
        wide = samples.astype(np.float64)
        self._sums[layout.name] = self._sums.get(layout.name, 0.0) + wide @ wide.T

    def shares(self, layout: av.AudioLayout) -> np.ndarray:
        """`(C,)` float32 shares of the channels, adding up to 1, once all is heard."""
        sums, shares = self._sums[layout.name], speaker_shares(layout)
        loudest = int(np.argmax(np.diag(sums)))
        sounding = shares * (np.diag(sums) >= SILENT_SHARE**2 * sums[loudest, loudest])
        alone = np.eye(len(shares), dtype=np.float32)[loudest]
        if not sounding.any():  # the subwoofer's alone
            return alone
        sounding /= sounding.sum()
        return alone if sounding @ sums @ sounding < LOST_SHARE**2 * sums[loudest, loudest] else sounding

    def apply(self, samples: np.ndarray, layout: av.AudioLayout) -> np.ndarray:
        """`(S,)` of `(C, S)`, once all is heard."""
        return self.shares(layout) @ samples

    def taken(self) -> str:
        """`mix`, or the names of the single channels that stand for a layout, joined by `+`."""
        layouts = [av.AudioLayout(name) for name in self._sums]
        return "+".join(sorted({_name(x, self.shares(x)) for x in layouts})) or MIX


def _name(layout: av.AudioLayout, shares: np.ndarray) -> str:
    """`mix`, a speaker's name, or the channel's number where the file names no speakers."""
    if np.count_nonzero(shares) > 1 or len(shares) == 1:
        return MIX
    channel = int(np.argmax(shares))
    name = layout.channels[channel].name
    return f"channel {channel}" if name == "NONE" else name

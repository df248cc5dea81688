"""When pictures and sound go out: one clock, which stands where the pictures do."""

import asyncio

import av
import numpy as np
import pytest

from serving.live.output import TRACK_RATE, Piece, Pieces
from serving.live.playout import PACKET, Playout

FPS = 16.0
FRAME = round(TRACK_RATE / FPS)  # 3,000 ticks


def piece(first: int, count: int, level: int = 0, samples: int | None = None) -> Piece:
    """Pictures whose brightness is their number, and sound that counts up from its place."""
    pictures = [av.VideoFrame.from_ndarray(np.full((24, 16), first + i, np.uint8), format="gray") for i in range(count)]
    sound = (first * FRAME + np.arange(count * FRAME if samples is None else samples)) // 10
    return Piece(pictures, sound.astype(np.int16) + level)


class Shown:
    """What both tracks gave, while pieces came at their times."""

    def __init__(self, arrivals: list[tuple[float, Piece]], packets: int):
        self.pictures: list[tuple[int, int]] = []  # tick, which
        self.sound: list[np.ndarray] = []
        asyncio.run(self._run(arrivals, packets))

    async def _run(self, arrivals, packets):
        self.playout = Playout(FPS)
        self.playout._now()  # the clock begins
        begun = asyncio.get_running_loop().time()

        async def pictures():
            while True:
                picture = await self.playout.picture()
                self.pictures.append((picture.pts, int(picture.to_ndarray()[0, 0])))

        watching = asyncio.create_task(pictures())

        async def sound():
            for _ in range(packets):
                packet = await self.playout.sound()
                assert packet.samples == PACKET and packet.sample_rate == TRACK_RATE
                self.sound.append(packet.to_ndarray()[0])

        hearing = asyncio.create_task(sound())
        for when, given in arrivals:
            await asyncio.sleep(begun + when - asyncio.get_running_loop().time())
            self.playout.add(given)
        self.playout.finish()
        await self.playout.played()
        await hearing
        watching.cancel()

    def sound_of(self, index: int) -> int:
        """The tick of a picture's sound, by the first of it that went out."""
        samples = np.concatenate(self.sound)
        first = int(np.flatnonzero(samples >= index * FRAME // 10)[0])
        return first - (10 * int(samples[first]) - index * FRAME)

    def whole(self) -> bool:
        """Whether the sound went out from its first to its last sample, with nothing but silence between."""
        heard = np.concatenate(self.sound)
        return set(np.diff(heard[heard > 0])) <= {0, 1}


def test_pictures_go_out_at_the_videos_rate_with_their_own_sound():
    shown = Shown([(0.0, piece(0, 1)), (0.1, piece(1, 4)), (0.3, piece(5, 4))], 40)
    ticks, which = zip(*shown.pictures, strict=True)
    assert which == tuple(range(9))
    assert ticks[0] < 0.05 * TRACK_RATE  # the first at once, the second when the sound has lasted a picture
    assert set(np.diff(ticks[1:])) == {FRAME} and shown.whole()
    for index in (1, 4, 8):
        assert abs(shown.sound_of(index) - ticks[index]) <= 10


def test_where_pictures_come_late_the_sound_waits_with_them():
    shown = Shown([(0.0, piece(0, 1)), (0.0, piece(1, 4)), (0.6, piece(5, 4))], 60)
    ticks = dict((which, tick) for tick, which in shown.pictures)
    assert ticks[5] >= 0.6 * TRACK_RATE - 48 and ticks[5] - ticks[4] > 2 * FRAME
    assert abs(shown.sound_of(5) - ticks[5]) <= 10
    assert shown.whole()
    samples = np.concatenate(shown.sound)
    assert not samples[ticks[5] - FRAME : ticks[5] - 20].any()  # silence while the picture stands


def test_late_wakes_put_nothing_off():
    shown = Shown([(0.0, piece(0, 1)), (0.0, piece(1, 4)), (0.1, piece(5, 8))], 45)
    ticks = [tick for tick, _ in shown.pictures]
    assert ticks[-1] - ticks[1] == 11 * FRAME


def test_what_waits_for_too_long_is_left_out_with_its_sound():
    shown = Shown([(0.0, piece(0, 1)), (0.0, piece(1, 4)), (0.05, piece(5, 20))], 40)
    numbers = shown.playout.numbers
    ticks = dict((which, tick) for tick, which in shown.pictures)
    assert numbers.dropped == 20 and sorted(ticks) == [0, 21, 22, 23, 24]
    assert abs(shown.sound_of(24) - ticks[24]) <= 10
    assert numbers.frames + numbers.dropped == 25


def test_sound_is_resampled_whole_and_in_its_place():
    time = np.arange(16_000) / 16_000
    tone = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    pieces, black = Pieces(), np.zeros((1, 16, 16, 3), np.uint8)
    made = [pieces.add(black, part)[0][0].sound for part in np.split(tone, 10)]
    made.append(pieces.finish()[0][0].sound)
    sound = np.concatenate(made).astype(float) / 2**15
    assert len(sound) == 48_000
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)
    assert np.abs(sound - expected)[100:-100].max() < 0.01


@pytest.mark.parametrize("colour", [(255, 255, 255), (200, 40, 40), (0, 0, 0)])
def test_colours_are_as_a_decoder_of_webrtc_takes_them(colour):
    [(made, _)] = Pieces().add(np.full((1, 32, 32, 3), colour, np.uint8), np.zeros(0, np.float32))
    red, green, blue = np.array(colour) / 255
    luma = made.pictures[0].to_ndarray()[0, 0]
    assert luma == pytest.approx(16 + 219 * (0.299 * red + 0.587 * green + 0.114 * blue), abs=1.5)


@pytest.mark.parametrize("turns", range(4))
def test_what_waits_for_a_picture_is_ended_as_one_comes(turns):
    """`asyncio.wait_for` lost the cancellation (Python 3.11)."""

    async def wait() -> bool:
        playout = Playout(FPS, clock=lambda: 0.0)  # stands, so that the second never comes by itself
        playout.add(piece(0, 4))
        playout.add(piece(4, 4))
        await playout.picture()
        second = asyncio.create_task(playout.picture())
        await asyncio.sleep(0.01)
        playout.add(piece(8, 4))
        for _ in range(turns):
            await asyncio.sleep(0)
        second.cancel()
        await asyncio.wait({second}, timeout=0.5)
        return second.cancelled()

    assert asyncio.run(wait())

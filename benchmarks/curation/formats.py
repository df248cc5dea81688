"""What is read of films in each container, codec and size against what was put in: `python -m benchmarks.curation.formats`.

The files are those of tests/media, which hold the same numbers to their limits; here they are measured and printed as tables.
"""

import argparse
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from media import decode_clip, encode_clip, probe_clip, read_audio
from tests.media.sound_files import errors_ms, sound_file, with_damaged_packet
from tests.media.test_shown_pictures import ASPECTS, COLOURS, SIZES, film, levels, stripe_colours, stripes, trimmed
from tests.media.test_sound_times import BARE, COUNTED, GAP, TIMED

FPS, LATE = 16.0, 0.5


def sound_rows() -> Iterator[str]:
    """Largest distance of a burst from its place in milliseconds: whole, after a gap, late, beside a damaged packet."""
    yield "| container | codec | Hz | whole, ms | after a gap of 0.5 s, ms | 0.5 s late, ms | around a damaged packet, ms |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for container, codec, rate in [*TIMED, *COUNTED]:
        timed = (container, codec, rate) in TIMED
        whole = _worst(container, codec, rate)
        gap = _worst(container, codec, rate, gap=GAP) if timed else "knows none"
        late = _worst(container, codec, rate, late=LATE) if timed else "knows none"
        yield f"| {container} | {codec} | {rate} | {whole} | {gap} | {late} | {_around_damage(container, codec, rate)} |"


def sound_file_rows() -> Iterator[str]:
    """Files of sound alone: distance in milliseconds, and samples at 16 kHz past the 48,000 that were put in."""
    yield "| container | codec | Hz | off, ms | samples too many |"
    yield "| --- | --- | --- | --- | --- |"
    for container, codec, rate, _ in BARE:
        file = sound_file(container, codec, rate, film=False)
        heard = read_audio(file.data)
        yield f"| {container} | {codec} | {rate} | {np.abs(errors_ms(heard, file)).max():.1f} | {len(heard) - 48_000} |"


def colour_rows() -> Iterator[str]:
    """Largest difference of eight flat colours, of 255: an export read again, and an untagged film of a player's matrix."""
    yield "| height x width | export 4:4:4 | export 4:2:0 | untagged film |"
    yield "| --- | --- | --- | --- |"
    for height, width in SIZES:
        frames = np.stack([stripes(height, width)] * 3)
        found = [_off(encode_clip(frames, 16, pixel_format=pixels, crf=1)) for pixels in ("yuv444p", "yuv420p")]
        found.append(_off(film(frames, matrix=1 if height >= 720 else 5, options={"qp": "1"})))
        yield f"| {height} x {width} | " + " | ".join(map(str, found)) + " |"


def shape_rows() -> Iterator[str]:
    """A disc's width over its height in what is read, for pixels that are not square."""
    yield "| stored | pixel | shown | disc, width over height |"
    yield "| --- | --- | --- | --- |"
    for height, width, aspect, _ in ASPECTS:
        if aspect > 4:
            continue
        rows, columns = np.mgrid[0:height, 0:width]
        disc = np.hypot((columns - width / 2) * float(aspect), rows - height / 2) < height / 4
        frame = decode_clip(
            film(np.stack([disc[..., None] * np.full(3, 255, np.uint8)] * 2), aspect=aspect), FPS
        ).frames[0]
        seen = frame[..., 0] > 127
        ratio = seen.any(axis=0).sum() / seen.any(axis=1).sum()
        yield f"| {width} x {height} | {Fraction(aspect)} | {frame.shape[1]} x {frame.shape[0]} | {ratio:.3f} |"


def trim_rows() -> Iterator[str]:
    """Pictures that a lossless trim's edit list shows, and how many are found."""
    yield "| cut off | in the file | shown | found |"
    yield "| --- | --- | --- | --- |"
    for hidden in (5, 10, 15):
        found = probe_clip(trimmed(encode_clip(levels(30), 16), hidden / 16)).frames
        yield f"| the first {hidden} | 30 | {30 - hidden} | {found} |"


TABLES = {
    "Sound of films": sound_rows,
    "Files of sound": sound_file_rows,
    "Colours": colour_rows,
    "Shapes": shape_rows,
    "Trims": trim_rows,
}


def _worst(container: str, codec: str, rate: int, **how) -> str:
    file = sound_file(container, codec, rate, **how)
    errors = errors_ms(decode_clip(file.data, FPS).audio, file, how.get("late", 0.0), how.get("gap"))
    return f"{np.abs(errors).max():.1f}"


def _around_damage(container: str, codec: str, rate: int) -> str:
    try:
        file = with_damaged_packet(sound_file(container, codec, rate))
    except ValueError:
        return "not tried"
    clip = decode_clip(file.data, FPS)
    assert clip.sound is not None
    return f"{np.abs(np.delete(errors_ms(clip.audio, file), 3)).max():.1f} ({clip.sound.damaged_packets} counted)"


def _off(data: bytes) -> int:
    return int(np.abs(stripe_colours(decode_clip(data, FPS).frames[1]) - COLOURS).max())


def main() -> None:
    """Print all tables."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, rows in TABLES.items():
        print(f"## {name}\n{rows.__doc__}\n")
        print("\n".join(rows()) + "\n")


if __name__ == "__main__":
    main()

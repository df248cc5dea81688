#!/usr/bin/env bash
# av 18.1.0 (libswresample 6.3), scipy 1.17.1, soxr 1.1.0 (Python 3.11): what a voice of 16 kHz has near the top depends on who made it of 48 kHz.
#
# Seen: tones at 48 kHz, resampled to 16 kHz by default settings. One of 7.5 kHz, which is to stay, loses 2.9 dB in PyAV's AudioResampler, 1.8 in scipy's
# resample_poly, 0.4 in soxr (librosa's choice). One of 8.2 kHz, which 16 kHz cannot hold, comes back as 7.8 kHz: only 15 dB lower from PyAV and 9 from
# resample_poly; soxr leaves nothing. The first two let through much of what lies right above the new limit, and fold it. FFmpeg's aresample with a filter eight times
# as long as its default (filter_size=256) leaves nothing of it either, and keeps 7.5 kHz. The energy of an s lies there. So sound encoders see other top bands of the same clip by the library of the
# loader, and scores of synchrony or of noise that were set with one do not carry over to another.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 scipy==1.17.1 soxr==1.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
from fractions import Fraction

import av
import av.filter
import numpy as np
import scipy.signal
import soxr

FROM, TO = 48_000, 16_000


def frame_of(samples: np.ndarray) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = FROM, 0, Fraction(1, FROM)
    return frame


def by_av(samples: np.ndarray) -> np.ndarray:
    resampler = av.AudioResampler("fltp", "mono", TO)
    frames = resampler.resample(frame_of(samples)) + resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def by_long_filter(samples: np.ndarray) -> np.ndarray:
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=FROM, format="fltp", layout="mono", time_base=Fraction(1, FROM))
    filters = [source, graph.add("aresample", f"{TO}:filter_size=256:cutoff=0.97"), graph.add("abuffersink")]
    for first, then in zip(filters[:-1], filters[1:]):
        first.link_to(then)
    graph.configure()
    graph.push(frame_of(samples))
    graph.push(None)
    found = []
    while True:
        try:
            found.append(graph.pull().to_ndarray()[0])
        except (av.error.EOFError, av.error.BlockingIOError):
            return np.concatenate(found)


RESAMPLERS = {
    "PyAV": by_av,
    "scipy.signal.resample_poly": lambda samples: scipy.signal.resample_poly(samples, TO, FROM),
    "soxr": lambda samples: soxr.resample(samples, FROM, TO),
    "aresample, filter_size=256": by_long_filter,
}


def level(resample: object, tone: float, heard: float) -> float:
    """dB of `heard` Hz in what became of a tone, against the tone."""
    given = np.sin(2 * np.pi * tone * np.arange(2 * FROM) / FROM)
    middle = resample(given)[TO // 2 : TO // 2 + TO]  # one second: bins of 1 Hz
    spectrum = np.abs(np.fft.rfft(middle)) / (len(middle) / 2)
    return float(20 * np.log10(spectrum[round(heard)] + 1e-9))


expected = {"PyAV": (-2.9, -15.4), "scipy.signal.resample_poly": (-1.8, -8.7), "soxr": (-0.4, None), "aresample, filter_size=256": (0.0, None)}
for name, resample in RESAMPLERS.items():
    stays, folded = level(resample, 7500, 7500), level(resample, 8200, TO - 8200)
    below = level(resample, 3000, 3000)
    print(f"{name:28} 3 kHz {below:+.1f} dB, 7.5 kHz {stays:+.1f} dB, 8.2 kHz comes back as 7.8 kHz at {folded:+.1f} dB")
    wanted, other = expected[name]
    assert abs(below) < 0.1 and abs(stays - wanted) < 0.2, "changed"
    assert folded < -60 if other is None else abs(folded - other) < 0.3, "changed"
PY

#!/usr/bin/env bash
# av 18.1.0 (libswresample 6.3, Python 3.11): stereo to mono is 3 dB louder in floating point than in 16 bits.
#
# Seen: of a sine of peak 0.90 in both channels an AudioResampler makes a mono sine of peak 0.90 in s16 and of 1.27 in flt. FFmpeg divides the
# mix by what it could reach for integer formats alone, because floats do not overflow. A sine in one channel comes out at 0.45 and 0.64. Six channels of
# one sine give 0.90 and 3.07. Whoever asks for floats scales by himself, or measures clipping that is not in the file.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install av==18.1.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PY'
import av, numpy as np

TIME = np.arange(48_000) / 48_000
SINE = (0.9 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)


def mixed(layout: str, channels: list, to: str) -> float:
    samples = np.ascontiguousarray(np.stack(channels).T).reshape(1, -1).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="flt", layout=layout)
    frame.sample_rate = 48_000
    found = np.concatenate([f.to_ndarray()[0] for f in av.AudioResampler(to, "mono", 48_000).resample(frame)])
    return float(np.abs(found).max()) / (32_768 if to == "s16" else 1)


zero = 0 * SINE
for name, layout, channels, whole, floating in [
    ("both channels", "stereo", [SINE, SINE], 0.90, 1.27),
    ("one channel", "stereo", [SINE, zero], 0.45, 0.64),
    ("six channels", "5.1", [SINE] * 6, 0.90, 3.07),
]:
    seen = mixed(layout, channels, "s16"), mixed(layout, channels, "flt")
    print(f"{name}: s16 {seen[0]:.2f}, flt {seen[1]:.2f}")
    assert abs(seen[0] - whole) < 0.02 and abs(seen[1] - floating) < 0.02, "changed"
PY

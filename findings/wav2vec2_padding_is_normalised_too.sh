#!/usr/bin/env bash
# transformers 5.23.0 (numpy 2.4.6, Python 3.11): how loud a clip is for wav2vec 2.0, and how silent its padding, depends on its neighbours in the batch.
#
# Wav2Vec2FeatureExtractor as it is by default and for wav2vec2-base (return_attention_mask=False, do_normalize=True). Its documentation says that input of such
# models should be padded with 0. Seen: it pads first, and then normalises each row over all of it. One second of mean m = 0.02 and deviation s = 0.1 comes out with
# deviation 1 alone and 2.95 beside nine seconds, as s / sqrt((s^2 + m^2) / 9 - (m / 9)^2) says; and its padding is -0.066. The same happens with
# padding="max_length". With return_attention_mask=True it is 1 and 0, whether or not the model is given the mask. So features that are computed in
# batches are others than those computed one by one, for every clip but the longest, and nothing warns.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install transformers==5.23.0 numpy==2.4.6
"$work/venv/bin/python" -W ignore - <<'PY' 2>/dev/null
import numpy as np
from transformers import Wav2Vec2FeatureExtractor

RATE, MEAN, DEVIATION, TIMES = 16_000, 0.02, 0.1, 9
clip = (MEAN + DEVIATION * np.where(np.arange(RATE) % 40 < 20, 1, -1)).astype(np.float32)
neighbour = np.tile(clip, TIMES)


def extracted(sounds: list, mask: bool, **how: object) -> tuple[float, float]:
    """Deviation of the clip's own samples, and what its padding became."""
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=mask, do_normalize=True)
    values = np.asarray(extractor(sounds, sampling_rate=RATE, return_tensors="np", **how)["input_values"][0])
    return float(values[:RATE].std()), float(values[RATE:].mean()) if len(values) > RATE else 0.0


scale = np.sqrt((DEVIATION**2 + MEAN**2) / TIMES - (MEAN / TIMES) ** 2)  # of the padded row, in closed form
padded = DEVIATION / scale, -MEAN / TIMES / scale
for name, seen, expected in [
    ("alone", extracted([clip], False), (1, 0)),
    ("beside nine seconds", extracted([clip, neighbour], False, padding=True), padded),
    ("alone, max_length", extracted([clip], False, padding="max_length", max_length=TIMES * RATE), padded),
    ("beside nine seconds, return_attention_mask", extracted([clip, neighbour], True, padding=True), (1, 0)),
]:
    print(f"{name:44} deviation {seen[0]:.3f}, padding {seen[1]:.3f}")
    assert np.allclose(seen, expected, atol=2e-3), (expected, "changed")
PY

"""Speech-like sound: syllables with pauses, a harmonic voice shaped by formants, a little breath noise."""

import numpy as np

SAMPLE_RATE = 16_000
# Loudness that opens the mouth fully; at this scale openings have mean 0.24 and about 30 % of frames are closed.
FULL_OPENING_RMS = 0.17


def draw_speech(rng: np.random.Generator, samples: int, pitch: float) -> np.ndarray:
    """`(samples,)` float32 at 16 kHz for a voice of `pitch` Hz."""
    envelope = _syllables(rng, samples)
    time = np.arange(samples) / SAMPLE_RATE
    vibrato = 1.0 + 0.06 * np.sin(2 * np.pi * rng.uniform(0.5, 1.5) * time + rng.uniform(0, 6.28))
    phase = 2 * np.pi * np.cumsum(pitch * vibrato) / SAMPLE_RATE
    formants = rng.uniform((350, 900, 2300), (800, 2100, 3000))
    voice = np.zeros(samples)
    for harmonic in range(1, int(3800 / pitch) + 1):
        frequency = harmonic * pitch
        gain = sum(np.exp(-(((frequency - f) / 160.0) ** 2)) for f in formants) + 0.15 / harmonic
        voice += gain * np.sin(harmonic * phase + rng.uniform(0, 6.28))
    voice = voice / np.sqrt(np.mean(voice**2)) + 0.15 * rng.standard_normal(samples)
    return np.clip(0.19 * envelope * voice + 1e-3 * rng.standard_normal(samples), -1, 1).astype(np.float32)


def _syllables(rng: np.random.Generator, samples: int) -> np.ndarray:
    envelope = np.zeros(samples)
    start = int(rng.uniform(-0.1, 0.15) * SAMPLE_RATE)
    while start < samples:
        length = int(rng.uniform(0.12, 0.30) * SAMPLE_RATE)
        shape = rng.uniform(0.25, 1.0) * np.hanning(length)
        begin, end = max(start, 0), min(start + length, samples)
        if end > begin:
            envelope[begin:end] += shape[begin - start : end - start]
        pause = rng.uniform(0.0, 0.06) if rng.random() < 0.7 else rng.uniform(0.12, 0.35)
        start += length + int(pause * SAMPLE_RATE)
    return envelope


def mouth_opening(audio: np.ndarray, frames: int, fps: float) -> np.ndarray:
    """`(frames,)` in [0, 1]: RMS loudness of the 50 ms around each frame over `FULL_OPENING_RMS`, clipped."""
    half = int(0.025 * SAMPLE_RATE)
    padded = np.pad(audio.astype(np.float64), half)
    centres = np.round((np.arange(frames) + 0.5) / fps * SAMPLE_RATE).astype(int)
    loudness = np.array([np.sqrt(np.mean(padded[c : c + 2 * half] ** 2)) for c in centres])
    return np.clip(loudness / FULL_OPENING_RMS, 0.0, 1.0)

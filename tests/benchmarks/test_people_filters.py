"""What the table of filters on rendered people counts."""

import pandas as pd

from assets.questions.subset_accuracy import accuracies
from benchmarks.people.filters import kept
from profiles import load_profile

GOOD = {
    "clip_id": "a", "kind": "clean", "face_visibility": 1.0, "people_count": 1.0, "motion": 0.3, "cut_score": 0.0, "overlay_text_strokes": 0.0, "has_audio": True,
    "mouth_visibility": 1.0, "mouth_audio_correlation": 0.7, "mouth_speech_correlation": 0.8, "mouth_speech_lag_frames": 0.0, "body_visibility": 0.5,
}  # fmt: skip


def test_shares_are_of_each_kinds_own_clips_and_silence_costs_audio_alone():
    rows = [
        GOOD,
        GOOD | {"clip_id": "b", "mouth_speech_lag_frames": 4.0},
        GOOD | {"clip_id": "c", "kind": "no_audio", "has_audio": False},
    ]
    profile = load_profile("people", [])
    table = {row["passes"]: row for row in kept(pd.DataFrame(rows), profile)}
    assert (table["mouth_speech_lag_frames <= 1"]["clean"], table["has_audio"]["no_audio"]) == ("50", "0")
    assert {name: table[f"**{name}**"]["no_audio"] for name in ("text", "audio", "pose")} == {
        "text": "100",
        "audio": "0",
        "pose": "100",
    }
    audio = accuracies(pd.DataFrame(rows), profile)[1]
    assert (audio.belong, audio.kept, audio.precision, audio.recall) == (2, 1, 1.0, 0.5)

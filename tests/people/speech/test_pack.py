"""Utterances out of the pack: exact length, phones that follow the sound, and no sentence or voice in both splits."""

import hashlib
import json

import numpy as np
import pytest

from media import read_audio
from people.speech import recordings as pack_files
from people.speech.pack import KEPT, Utterance, cut_phones, speak, utterance
from people.speech.recordings import (
    RATE,
    SOUND,
    SPLITS,
    TABLE,
    Phone,
    SpeechError,
    read_phones,
    recordings,
    sound_of,
    write_phones,
)
from people.speech.visemes import SHAPE_OF_PHONE
from people.speech.voices import BY_NAME, TAKES, VOICES


def loud(audio: np.ndarray, start: float, end: float) -> float:
    piece = audio[round(start * RATE) : round(end * RATE)]
    return float(np.sqrt(np.mean(piece**2)))


def every_recording():
    return [recording for take in TAKES for recording in recordings(take.name, take.split)]


def test_the_sound_is_the_one_the_table_was_written_for():
    table = json.loads(TABLE.read_text())
    assert hashlib.sha256(SOUND.read_bytes()).hexdigest() == table["sha256"]
    assert len(SOUND.read_bytes()) < 8_000_000
    rows = table["recordings"]
    assert all(row["offset"] + row["size"] == after["offset"] for row, after in zip(rows, rows[1:], strict=False))


def test_splits_share_no_sentence_and_no_voice_of_the_synthesiser():
    texts = {split: {r.text for r in every_recording() if r.split == split} for split in SPLITS}
    voices = {split: {take.voice for take in TAKES if take.split == split} for split in SPLITS}
    assert len(texts["train"]) >= 200 and len(texts["held_out"]) >= 50
    assert not texts["train"] & texts["held_out"] and not voices["train"] & voices["held_out"]
    split_of_take = {take.name: take.split for take in TAKES}
    assert all(voice.split == split_of_take[voice.take] for voice in VOICES)


@pytest.mark.parametrize("split", SPLITS)
def test_every_phone_of_english_is_said_in_each_split_and_each_has_a_mouth_shape(split):
    said = {phone.symbol for r in every_recording() if r.split == split for phone in r.phones}
    assert said == set(SHAPE_OF_PHONE)


def test_decoding_hears_what_the_rest_of_the_project_hears():
    recording = recordings("awb", "held_out")[0]
    data = SOUND.read_bytes()[recording.offset :][: recording.size]
    heard, own = read_audio(data, RATE), sound_of(recording)
    assert len(heard) == len(own) == pytest.approx(recording.phones[-1].end * RATE, abs=0.02 * RATE)
    assert np.abs(heard - own).max() < 0.02 * np.abs(heard).max()


def test_every_sentence_is_said_by_every_take_of_its_split_in_the_same_order():
    for split in SPLITS:
        assert len({tuple(r.text for r in recordings(t.name, split)) for t in TAKES if t.split == split}) == 1


@pytest.mark.parametrize("take", TAKES, ids=lambda take: take.name)
def test_phone_times_are_those_of_the_sound(take):
    # An s hisses and a vowel does not: they differ most where the times fit.
    shifts = np.arange(-3, 4) * 0.025

    def hiss(symbols: set[str], shift: float) -> float:
        values = []
        for recording in recordings(take.name, take.split)[:15]:
            audio = sound_of(recording).astype(np.float64)
            for phone in recording.phones:
                if phone.symbol in symbols and phone.end - phone.start > 0.06:
                    start, end = phone.start + 0.02 + shift, phone.end - 0.02 + shift
                    values.append(np.log(loud(np.diff(audio), start, end) / loud(audio, start, end)))
        return float(np.mean(values))

    apart = [hiss({"s", "sh"}, shift) - hiss({"aa", "ao", "ow"}, shift) for shift in shifts]
    assert max(apart) > 1.5 and abs(shifts[int(np.argmax(apart))]) <= 0.025


@pytest.mark.parametrize("seconds", [0.3, 25 / 16, 4.0, 11.013])
def test_an_utterance_is_as_long_as_asked_and_its_phones_tile_it(seconds):
    for seed in range(4):
        said = utterance(seed, seconds)
        assert said.audio.shape == (round(seconds * RATE),) and said.audio.dtype == np.float32
        assert said.phones[0].start == 0 and said.phones[-1].end == pytest.approx(seconds, abs=1 / RATE)
        assert all(a.end == b.start for a, b in zip(said.phones, said.phones[1:], strict=False))
        assert all(a.symbol != "pau" or b.symbol != "pau" for a, b in zip(said.phones, said.phones[1:], strict=False))


def test_the_same_arguments_say_the_same_and_other_seeds_something_else():
    first, again = utterance(5, 2.0), utterance(5, 2.0)
    assert np.array_equal(first.audio, again.audio) and first.phones == again.phones and first.text == again.text
    assert len({utterance(seed, 2.0).text for seed in range(20)}) > 15
    assert len({utterance(seed, 0.5).voice for seed in range(60)}) == len([v for v in VOICES if v.split == "train"])


@pytest.mark.parametrize("split", SPLITS)
def test_it_is_said_by_voices_and_in_sentences_of_the_split(split):
    texts = {r.text for r in every_recording() if r.split == split}
    for seed in range(10):
        said = utterance(seed, 3.0, split=split)
        assert BY_NAME[said.voice].split == split
        rest = said.text
        for text in texts:
            rest = rest.replace(text, "")
        assert said.text and not rest.strip()


def test_pauses_are_quiet_and_speech_is_not():
    levels: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(10):
        said = utterance(seed, 5.0)
        for phone in said.phones:
            if phone.end - phone.start > 0.12:
                levels[phone.symbol == "pau"].append(loud(said.audio, phone.start + 0.04, phone.end - 0.04))
    assert np.percentile(levels[True], 90) < 0.1 * np.percentile(levels[False], 10)


def test_a_longer_vocal_tract_makes_all_times_longer_and_all_frequencies_lower():
    sentence = recordings("slt", "train")[3]
    plain, long = speak(sentence, BY_NAME["slt_100"]), speak(sentence, BY_NAME["slt_105"])
    assert len(long[0]) == pytest.approx(1.05 * len(plain[0]), abs=2)
    assert [p.symbol for p in long[1]] == [p.symbol for p in plain[1]]
    assert np.allclose([p.end for p in long[1]], [1.05 * p.end for p in plain[1]], atol=1e-3)

    def centroid(audio):
        power = np.abs(np.fft.rfft(audio)) ** 2
        return float((power * np.fft.rfftfreq(len(audio), 1 / RATE)).sum() / power.sum())

    assert centroid(long[0]) == pytest.approx(centroid(plain[0]) / 1.05, rel=0.01)
    assert plain[1][0].end == pytest.approx(KEPT, abs=1e-3)


def test_voices_can_be_chosen_and_a_voice_of_the_other_split_is_refused():
    assert {utterance(seed, 0.5, ["rms_90", "slt_95"]).voice for seed in range(12)} == {"rms_90", "slt_95"}
    with pytest.raises(SpeechError, match="awb_100 is no voice of split train"):
        utterance(0, 1.0, ["rms_90", "awb_100"])
    with pytest.raises(SpeechError, match="nobody"):
        utterance(0, 1.0, ["nobody"], split="held_out")
    with pytest.raises(SpeechError, match="no name"):
        utterance(0, 1.0, [])


def test_no_length_is_an_error():
    with pytest.raises(SpeechError, match="0 seconds"):
        utterance(0, 0.0)


def test_phones_are_cut_and_silence_fills_what_is_free():
    phones = [Phone("m", -0.1, 0.1), Phone("pau", 0.1, 0.2), Phone("pau", 0.2, 0.3), Phone("aa", 0.5, 0.9)]
    assert cut_phones(phones, 0.8) == (Phone("m", 0, 0.1), Phone("pau", 0.1, 0.5), Phone("aa", 0.5, 0.8))
    assert cut_phones(phones, 0.05) == (Phone("m", 0, 0.05),)
    assert cut_phones([], 1.0) == (Phone("pau", 0, 1.0),)


def test_phones_are_written_and_read_to_the_millisecond():
    words = "pau 224 w 315 eh 464"
    assert write_phones(read_phones(words)) == words
    assert read_phones(words)[1] == Phone("w", 0.224, 0.315) and read_phones(words)[1].middle == pytest.approx(0.2695)


def test_a_pack_that_is_not_whole_is_one_clear_error(tmp_path, monkeypatch):
    cut = tmp_path / "recordings.opus"
    cut.write_bytes(SOUND.read_bytes()[:1000])
    monkeypatch.setattr(pack_files, "SOUND", cut)
    pack_files._table.cache_clear()
    try:
        with pytest.raises(SpeechError, match="1000 bytes"):
            pack_files._table()
    finally:
        pack_files._table.cache_clear()


def test_utterances_are_told_apart_by_identity():
    said = utterance(0, 0.5)
    assert said == said and said != Utterance(said.text, said.voice, said.audio, said.phones)


def test_a_cut_is_what_was_said_there():
    said = utterance(4, 4.0)
    part = said.cut(1.5, 2.0)
    assert np.array_equal(part.audio, said.audio[3 * RATE // 2 : 7 * RATE // 2])
    assert part.phones[0].start == 0 and part.phones[-1].end == 2.0
    inner = [phone for phone in said.phones if phone.start > 1.5 and phone.end < 3.5]
    assert [p.symbol for p in part.phones[1:-1]] == [p.symbol for p in inner]
    assert np.allclose([p.start for p in part.phones[1:-1]], [p.start - 1.5 for p in inner])
    with pytest.raises(SpeechError, match="not within an utterance of 4"):
        said.cut(3.0, 1.5)

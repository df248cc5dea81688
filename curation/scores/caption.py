"""The caption that a clip is trained with, where it comes from, and its length. Which of them repeat is a matter of the whole
table (`curation.subsets.selection`).

A score and no part of ingest, because a shard's clips are immutable: another captioner computes these columns, and the text
features of the clips whose caption changed, and nothing else.
"""

from curation.intake.file_names import words_of
from curation.scores.captioner import KEY, sentence, version
from curation.scores.clip_media import Material
from curation.scores.contract import Score, Values, floats
from profiles.scores import CaptionConfig

SIDECAR, CAPTIONER, FILE_NAME, NONE = "sidecar", "captioner", "file name", "none"
TEXTS = ("caption", "caption_source", "caption_note")
TOLD = ("caption", "caption_note", "source_name")  # of clips.parquet


def words(caption: str) -> int:
    """Words between white space."""
    return len(caption.split())


def score(material: Material, config: CaptionConfig) -> Values:
    """Columns `caption`, empty where there is none; `caption_source`; `caption_note`, why not a better source; `caption_words`.

    All missing where the clip came without a record. The captioner sees one picture from the middle: a clip is one shot, so who
    is there, in what and where, is the same in all of it, and what changes is for sound and pose to say. Of several sentences
    one would have to be chosen or mixed by a rule, for as many times the cost.

    Raises:
        CurationError: no weights of the captioner, or other ones.
    """
    if material.record.get("caption") is None:
        return {**dict.fromkeys(TEXTS), "caption_words": float("nan")}
    caption, source, note = _chosen(material, config)
    return {"caption": caption, "caption_source": source, "caption_note": note, "caption_words": float(words(caption))}


def _chosen(material: Material, config: CaptionConfig) -> tuple[str, str, str]:
    record = material.record
    if record["caption"].strip():
        return record["caption"], SIDECAR, ""
    notes = [record["caption_note"] or "the sidecar's caption is empty"]
    if config.captioner is None:
        notes.append(f"no captioner ({KEY.removesuffix('.weights')})")
    else:
        said = sentence(material.native[(len(material.native) - 1) // 2], config.captioner, material.bench.device)
        if said:
            return said, CAPTIONER, notes[0]
        notes.append("the captioner says nothing")
    name_words = words_of(record["source_name"])
    if name_words.caption:
        return name_words.caption, FILE_NAME, "; ".join(notes)
    return "", NONE, "; ".join([*notes, name_words.reason])


CAPTION = Score(
    "caption", "2", {**dict.fromkeys(TEXTS, "text"), **floats("caption_words")}, ("record",), score,
    lambda config: version(config.captioner) if config.captioner else "", reads_with_weights=("native",), told=TOLD,
)  # fmt: skip

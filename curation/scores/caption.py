"""Captions: how long they are. Which of them repeat is a matter of the whole table (`curation.selection`)."""

from curation.scores.contract import Score, Values, floats
from curation.scores.material import Material
from profiles.scores import CaptionConfig


def words(caption: str) -> int:
    """Words between white space."""
    return len(caption.split())


def score(material: Material, config: CaptionConfig) -> Values:
    """Column `caption_words`; NaN where the clip came without a record."""
    caption = material.record.get("caption")
    return {"caption_words": float("nan") if caption is None else float(words(caption))}


CAPTION = Score("caption", "1", floats("caption_words"), ("record",), score)

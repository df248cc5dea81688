"""Which columns a column of the score tables was computed from: what Dagster draws as column lineage."""

from assets.core.steps import Columns
from curation.intake.clip_table import CLIPS_SCHEMA
from curation.scores.caption import TOLD
from curation.scores.registry import switched_on
from curation.scores.table import CLIP_COLUMNS, scores_schema
from curation.subsets.nested_subsets import SUBSETS_SCHEMA, parse_predicates
from curation.tables import column_meanings
from profiles import Profile

# The media itself is no column: `member` names it in the shard's tar.
MEDIA = "member"
# Scores that read the clip's row beside its media, and which columns of it.
RECORD_COLUMNS = {"resolution": ("width", "height"), "compression": ("width", "height", "frames"), "caption": TOLD}
MEDIA_PARTS = {"frames", "native", "audio", "keypoints", "data"}


def clip_columns() -> Columns:
    """Every column of clips.parquet, the first table there is."""
    return Columns({field.name: str(field.type) for field in CLIPS_SCHEMA}, {}, column_meanings.CLIPS)


def score_columns(profile: Profile) -> Columns:
    """Every column of scores.parquet under a profile, and the columns of clips.parquet that it comes from."""
    scores = profile.curation.scores
    sources = {name: (name,) for name in ("clip_id", *CLIP_COLUMNS)}
    sources |= dict.fromkeys(("keypoints_offset", "keypoints_frames"), (MEDIA,))
    for score in switched_on(scores):
        media = (MEDIA,) if MEDIA_PARTS & set(score.sources(scores)) else ()
        record = RECORD_COLUMNS[score.name] if "record" in score.reads else ()
        sources |= dict.fromkeys(score.columns, (*media, *record))
    schema = scores_schema(scores)
    return Columns(
        {name: str(schema.field(name).type) for name in schema.names},
        {c: tuple(("raw_clips", s) for s in of) for c, of in sources.items()},
        column_meanings.SCORES,
    )


def subset_columns(profile: Profile) -> Columns:
    """Every column of subsets.parquet: a subset reads its own predicate's columns and those of the ones before it."""
    read: set[str] = set()
    sources: dict[str, tuple[str, ...]] = {"clip_id": ("clip_id",)}
    for name, predicate in parse_predicates(profile.curation).items():
        read |= set(predicate.columns)
        sources[name] = tuple(sorted(read))
    sources["rejected_by"] = tuple(sorted(read))
    kinds = {field.name: str(field.type) for field in SUBSETS_SCHEMA}
    lineage = {column: tuple(("clip_scores", s) for s in of) for column, of in sources.items()}
    return Columns(kinds, lineage, column_meanings.SUBSETS)

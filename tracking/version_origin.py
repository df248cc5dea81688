"""What a registered model version says of where it came from. MLflow keeps it as tags of the same names."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True)
class VersionOrigin:
    """Digests and names; empty, or None, is what a version does not say (an older registration, or another kind of model).

    Attributes:
        weights_digest: of the checkpoint, as its training recorded it.
        files_digest: of the transformer as it was registered.
        pipeline_digest: of weights and encoders together, as they were registered.
        scored_pipeline: of weights and encoders together, as they made the videos that were scored.
        snapshot_digest: of the snapshot that the weights were trained on.
        earlier_snapshots: digests that they were trained on before, where they go on from a champion; newest first.
        benchmark: digest of the benchmark that they were scored on.
        profile: its name.
        git_commit: of this project's code, with `-dirty` where tracked files had changes.
        continued_from: the registered model that the training went on from, in words.
        teacher_version: of a student, the teacher that it was distilled from.
    """

    weights_digest: str = ""
    files_digest: str = ""
    pipeline_digest: str = ""
    scored_pipeline: str = ""
    snapshot_digest: str = ""
    earlier_snapshots: tuple[str, ...] = ()
    benchmark: str = ""
    profile: str = ""
    git_commit: str = ""
    continued_from: str = ""
    teacher_version: int | None = None

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Self:
        """Read a version's tags; others among them, such as the gate's, are passed over."""
        texts = {field.name: tags[field.name] for field in fields(cls) if field.type is str and field.name in tags}
        teacher = tags.get("teacher_version")
        return cls(
            **texts,
            earlier_snapshots=tuple(tags.get("earlier_snapshots", "").split()),
            teacher_version=None if teacher is None else int(teacher),
        )

    def tags(self) -> dict[str, str]:
        """As MLflow keeps it; what is not known is no tag."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["earlier_snapshots"] = " ".join(self.earlier_snapshots)
        return {name: str(value) for name, value in values.items() if value not in ("", None)}

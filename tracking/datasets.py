"""A DVC-versioned folder as an MLflow input data set: its digest stands at the run."""

from pathlib import Path
from typing import Any

from mlflow.data.dataset_source import DatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, InputTag

from media.records import SnapshotRecord


class DvcDatasetSource(DatasetSource):
    """A data set that DVC versions, named by path and digest."""

    def __init__(self, path: str, digest: str):
        self.path, self.digest = path, digest

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        return False

    @classmethod
    def _resolve(cls, raw_source: Any) -> "DvcDatasetSource":
        raise ValueError(f"{raw_source!r} is not a DVC source; construct DvcDatasetSource(path, digest)")

    def load(self, **kwargs: Any) -> Path:
        """The path; `dvc pull` brings its bytes."""
        return Path(self.path)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"path": self.path, "digest": self.digest}

    @classmethod
    def from_dict(cls, source_dict: dict[str, Any]) -> "DvcDatasetSource":
        """Inverse of `to_dict`."""
        return cls(source_dict["path"], source_dict["digest"])


def snapshot_input(snapshot: Path) -> tuple[DatasetInput, str]:
    """A `snapshot.json` as a run's training input, and its whole digest: MLflow keeps at most 36 characters of one."""
    digest = SnapshotRecord.read_file(snapshot).digest
    source = DvcDatasetSource(snapshot.parent.name, digest)
    # MLflow forgot to mark `profile` as given here; it is None for every MetaDataset.
    dataset = MetaDataset(source, name="training_snapshot", digest=digest[:32])  # type: ignore[abstract]
    return DatasetInput(dataset._to_mlflow_entity(), [InputTag("mlflow.data.context", "training")]), digest

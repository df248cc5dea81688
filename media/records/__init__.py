"""JSON files by which the rooms tell each other what was made: snapshot.json, encoders.json, record.json."""

from media.records.encoders import EncodersRecord
from media.records.json_record import RecordError
from media.records.product import ProductRecord
from media.records.snapshot import SnapshotRecord
from media.records.trained_on import TrainedOnRecord

__all__ = ["EncodersRecord", "ProductRecord", "RecordError", "SnapshotRecord", "TrainedOnRecord"]

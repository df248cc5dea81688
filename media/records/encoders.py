"""encoders.json: what the condition features of a shard were made with."""

from dataclasses import dataclass

from media.records.json_record import JsonRecord


@dataclass(frozen=True)
class EncodersRecord(JsonRecord):
    """Hashes of the encoders' weights, and the version of everything between a clip and its features."""

    FILE = "encoders.json"
    REMEDY = "build the features again"
    SORTED = True

    @property
    def buckets(self) -> list[str] | None:
        """Names of the buckets that samples may be in; None in features of an early version."""
        return self.values.get("buckets")

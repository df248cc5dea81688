"""Condition features on disk: where a shard's stand, and their rows by byte range. No torch: curation writes them, training reads them."""

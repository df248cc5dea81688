"""Tables on disk: parquet with contracts, quarantine, safetensors that are written row by row."""

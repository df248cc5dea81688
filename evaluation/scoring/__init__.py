"""From videos to scores: per clip, per slice, the gate, and what goes with errors."""

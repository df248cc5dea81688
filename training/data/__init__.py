"""From a snapshot to batches: order, conditions, feature rows."""

"""From files in an inbox to shards of clips."""

"""What many shards and looking again cost."""

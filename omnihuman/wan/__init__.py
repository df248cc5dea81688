"""Wan2.1's own files: checkpoints and pipelines read, compared and written."""

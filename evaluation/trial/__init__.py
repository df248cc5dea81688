"""Metrics on trial: videos whose error is exactly known, what each metric says of them, and whether it follows the truth."""

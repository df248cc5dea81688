"""What exists: one thin module per kind of thing, the same functions under Dagster, DVC and the command line."""

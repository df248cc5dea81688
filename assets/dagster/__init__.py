"""The steps as Dagster assets."""

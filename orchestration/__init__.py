"""When and where things run: Dagster's code location, sensors, schedules, the demo, and the `omnihuman` command."""

"""What Dagster's code location holds beside the assets: jobs, sensors, schedules, alerts, the instance."""

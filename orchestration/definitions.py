"""The one code location: assets, jobs, sensors, schedules and resources put together."""

import dagster as dg

import omnihuman  # noqa: F401 - before torch: how long its threads wait, in what is started from here too
from assets.dagster.asset_factory import DECISION, INBOX, all_assets
from assets.dagster.study_asset import ablation_study
from assets.launchers.resource import TrainingLauncher
from orchestration.dagster_location.alert_sensors import failed_run_alert, refused_promotion_alert
from orchestration.dagster_location.automation import CONDITIONS
from orchestration.dagster_location.jobs import JOBS
from orchestration.dagster_location.registry_sensor import moved_champion_alert
from orchestration.dagster_location.schedules import nightly_training
from orchestration.dagster_location.sensors import inbox_sensor

defs = dg.Definitions(
    assets=[INBOX, DECISION, *all_assets(CONDITIONS), ablation_study],
    jobs=JOBS,
    sensors=[
        inbox_sensor,
        failed_run_alert,
        refused_promotion_alert,
        moved_champion_alert,
        dg.AutomationConditionSensorDefinition(
            "curation_automation",
            target=dg.AssetSelection.groups("curation"),
            minimum_interval_seconds=30,
            # On from the start: clips dropped into the inbox need no click. Training is a schedule, and off.
            default_status=dg.DefaultSensorStatus.RUNNING,
        ),
    ],
    schedules=[nightly_training],
    resources={"launcher": TrainingLauncher()},
)

"""Conditions under which an asset runs by itself. Training never does: it is schedule and gate."""

import dagster as dg

# Plain `eager()` runs again on a re-materialisation with equal content; this one compares data versions.
ON_NEW_DATA = (
    dg.AutomationCondition.eager()
    .replace(
        "any_deps_updated",
        dg.AutomationCondition.any_deps_match(dg.AutomationCondition.data_version_changed()).with_label(
            "any_deps_updated"
        ),
    )
    .with_label("on_new_data")
)

# raw_clips is requested by the inbox sensor; these follow it, one shard at a time.
CONDITIONS = {name: ON_NEW_DATA for name in ("clip_scores", "filtered_subsets", "condition_features")}

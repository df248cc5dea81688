"""The share of a table's rows that broke its contract: above the profile's limit whatever reads the table waits."""

from collections.abc import Callable

from assets.steps import Check
from assets.workspace import Workspace

NAME = "contract"


def contract_check(asset: str, table: str) -> Callable[[Workspace, str | None], Check]:
    """A check of one asset: rows of `table` against those that quarantine holds under `contract:RULE`."""

    def check(workspace: Workspace, shard: str | None) -> Check:
        import pandas as pd
        import pyarrow.parquet as pq

        folder, limit = workspace.data(asset, shard), workspace.profile.curation.violations_max
        kept = pq.read_metadata(folder / table).num_rows
        reasons = pd.read_parquet(folder / "quarantine.parquet", columns=["reason"])["reason"]
        rules = reasons[reasons.str.startswith("contract:")].str.removeprefix("contract:").value_counts()
        broken = int(rules.sum())
        share = broken / max(kept + broken, 1)
        named = ", ".join(f"{rule} ({count})" for rule, count in rules.items()) or "none"
        message = f"{broken} of {kept + broken} rows of {table} broke its contract (at most {limit:.1%} may): {named}"
        return Check(NAME, share <= limit, message)

    return check

"""The share of a table's rows that broke its contract: above the profile's limit whatever reads the table waits."""

from collections.abc import Callable

from assets.core.steps import Check
from assets.core.workspace import Workspace

NAME = "contract"


def contract_check(asset: str, table: str) -> Callable[[Workspace, str | None], Check]:
    """A check of one asset: rows of `table` against those that quarantine holds under `contract:RULE`."""

    def check(workspace: Workspace, shard: str | None) -> Check:
        from curation.tables.quarantine import violations_in

        found, limit = violations_in(workspace.data(asset, shard), table), workspace.profile.curation.violations_max
        return Check(NAME, found.share <= limit, f"{found} (at most {limit:.1%} may)")

    return check

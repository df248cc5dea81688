"""The share of a table's rows that broke its contract: above the profile's limit whatever reads the table waits."""

from assets.core.steps import Check, Step
from assets.core.workspace import Workspace
from curation.tables.quarantine import violations_in

NAME = "contract"


def contract_checks(workspace: Workspace, step: Step, shard: str | None) -> list[Check]:
    """Count the rows of the step's table that quarantine holds under `contract:RULE`; a step without a contract has no check."""
    if step.contract is None:
        return []
    violations = violations_in(workspace.data(step.name, shard), step.contract)
    limit = workspace.profile.curation.violations_max
    return [Check(NAME, violations.share <= limit, f"{violations} (at most {limit:.1%} may)")]

"""`pytest -p tests.of_commit --of-commit COMMIT`: those of today's tests alone that stood, by name, in tests/ at a commit.

What has become of the cost of what that commit's tests show can so be told apart from the cost of all that was added since; names that are
gone are listed.
"""

import re
import subprocess

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The commit."""
    parser.addoption("--of-commit", metavar="COMMIT", required=True, help="keep tests that this commit has by name")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is newer."""
    then = names_at(config.getoption("--of-commit"))
    kept, newer = [], []
    for item in items:
        (kept if getattr(item, "originalname", item.name) in then else newer).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=newer)
    config.stash[GONE] = sorted(then - {getattr(item, "originalname", item.name) for item in kept})


def pytest_report_collectionfinish(config: pytest.Config) -> str:
    """Names that are gone."""
    gone = config.stash.get(GONE, [])
    return f"{len(gone)} names of {config.getoption('--of-commit')} are not among these tests: {', '.join(gone)}"


def names_at(commit: str) -> set[str]:
    """Of test functions in tests/ at a commit."""
    command = ["git", "grep", "-hE", r"^\s*(async )?def test_", commit, "--", "tests"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return set(re.findall(r"def (test_\w+)", found))


GONE = pytest.StashKey[list[str]]()

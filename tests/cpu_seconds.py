"""`pytest -p tests.cpu_seconds`: files and tests that took most CPU seconds, which other work on the machine does not blur as it blurs durations.

Counted are the test's process and the children that it waited for, with what it was the first to ask of shared fixtures; what the session's
fork server starts counts nowhere but in its total.
"""

import os
from collections import Counter
from collections.abc import Iterator

import pytest

SHOWN = 25
PROPERTY = "cpu_seconds"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Note what set-up, call and clean-up had taken; the last report carries it."""
    item.stash[STARTED] = _seconds()
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """The clean-up's report says what all of the test took."""
    if call.when == "teardown":
        item.user_properties.append((PROPERTY, _seconds() - item.stash[STARTED]))
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line per file and one per test, the most expensive first."""
    files: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == PROPERTY and report.when == "teardown":
                    files[report.nodeid.partition("::")[0]] += value
                    tests[report.nodeid] += value
    terminalreporter.section(f"CPU seconds: {sum(files.values()):.0f} in tests")
    for name, seconds in (*files.most_common(SHOWN), *tests.most_common(SHOWN)):
        terminalreporter.write_line(f"{seconds:8.1f}  {name}")


def _seconds() -> float:
    return sum(os.times()[:4])


STARTED = pytest.StashKey[float]()

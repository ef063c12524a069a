"""What the whole suite shares."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how far the world model walked."""
    totals = {"worlds": 0, "steps": 0}
    for report in terminalreporter.stats.get("passed", []):
        for name, value in getattr(report, "user_properties", []):
            if name in totals:
                totals[name] += value
    if totals["worlds"]:
        terminalreporter.write_line(
            f"world model: {totals['worlds']} worlds, {totals['steps']} steps, no violation"
        )

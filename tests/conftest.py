"""What holds for every test, with Home Assistant or without."""

import pytest

from tests.support.effort import load_profile

load_profile()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Count a test that was not carried out as a failure: nothing here is optional."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and left_out(reporter.stats):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that were not carried out."""
    for report in left_out(terminalreporter.stats):
        terminalreporter.write_line(f"NOT RUN {report.nodeid}: skips count as failures", red=True)


def left_out(stats: dict[str, list[pytest.TestReport]]) -> list[pytest.TestReport]:
    """Return the reports of tests that were skipped or allowed to fail."""
    return [report for kind in ("skipped", "xfailed", "xpassed") for report in stats.get(kind, [])]

"""What holds for every test, with Home Assistant or without."""

import pytest

from tests.support.effort import load_profile
from tests.support.keeper import KINDS

load_profile()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the integration's tests run with a server."""
    parser.addoption(
        "--server",
        choices=KINDS,
        default="none",
        help="the server on the broker of each test of tests/integration: none, ours or the real one",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Know our markers."""
    config.addinivalue_line(
        "markers",
        "no_server(reason, kind=None): no server besides those of the test, or none of that kind",
    )


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

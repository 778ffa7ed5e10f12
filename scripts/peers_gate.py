"""A pytest plugin that fails a run in which no test in tests/peers ran."""

import pytest


class PeersGate:
    """Counts the tests in tests/peers that were not skipped."""

    ran = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test."""
        is_peer = report.nodeid.startswith("tests/peers/")
        self.ran += is_peer and report.when == "call" and not report.skipped

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session if there was no such test."""
        if not self.ran and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Explain the failure."""
        if not self.ran:
            terminalreporter.section("No test ran in tests/peers", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin."""
    config.pluginmanager.register(PeersGate())

"""A pytest plugin: fail a run in which no test met a server or a client that others wrote."""

import pytest


class PeersGate:
    """Counts the tests in tests/peers that ran."""

    ran = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test that was not skipped."""
        is_peer = report.nodeid.startswith("tests/peers/")
        self.ran += is_peer and report.when == "call" and not report.skipped

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Turn a success without such a test into a failure."""
        if not self.ran and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter
    ) -> None:
        """Explain the failure."""
        if not self.ran:
            terminalreporter.section("No test ran in tests/peers", red=True)


def pytest_configure(config: pytest.Config) -> None:
    """Start counting."""
    config.pluginmanager.register(PeersGate())

"""Options of the tests in this folder, and the tables at the end of a session."""

from dataclasses import dataclass, field

import pytest


@dataclass
class Tables:
    """Results of tests to print."""

    faults: list[tuple[str, ...]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


TABLES = pytest.StashKey[Tables]()

HEAD = (
    "fault",
    "out of sight",
    "outage shown",
    "back",
    "attempts",
    "tasks left",
    "sockets left",
    "log lines",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("faults")
    group.addoption(
        "--chaos-seeds",
        default="1",
        help="comma-separated seeds of the chaos run (default: 1)",
    )
    group.addoption(
        "--chaos-faults",
        type=int,
        default=60,
        help="faults in a chaos run (default: 60)",
    )
    group.addoption(
        "--every-round",
        action="store_true",
        default=False,
        help="close a monitor after each round of its life, and not only after some",
    )
    group.addoption(
        "--flood",
        type=int,
        default=200_000,
        help="events of unknown accounts in the test of memory (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Start with empty tables."""
    config.stash[TABLES] = Tables()


@pytest.fixture
def tables(request: pytest.FixtureRequest) -> Tables:
    """Return the tables of this session."""
    return request.config.stash[TABLES]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the tables."""
    tables = config.stash.get(TABLES, Tables())
    if tables.faults:
        terminalreporter.section("faults: seconds of the client's clock / at most")
        rows = [HEAD, *tables.faults]
        widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
        for row in rows:
            first, *rest = (
                cell.ljust(width) if column == 0 else cell.rjust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            terminalreporter.write_line("  ".join([first, *rest]))
    if tables.lines:
        terminalreporter.section("chaos, cancellation and bounds")
        for line in tables.lines:
            terminalreporter.write_line(line)

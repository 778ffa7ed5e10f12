"""Load the client without Home Assistant, as the top-level package `api`; count what was made up."""

from dataclasses import dataclass
from pathlib import Path
import sys

import pytest

CLIENT = Path(__file__).parents[2] / "custom_components" / "metaapi"

if str(CLIENT) not in sys.path:
    # at the end: nothing of ours may hide a module of somebody else's
    sys.path.append(str(CLIENT))

from .loopback import (  # noqa: E402, F401 - fixtures
    events,
    loopback,
    nothing_left,
    session,
    sockets,
)
from .transport.fakes import fake  # noqa: E402, F401 - a fixture
from .virtual_loop import (  # noqa: E402, F401 - a hook and a fixture
    configure_event_loop,
    leaping_loops as pytest_asyncio_loop_factories,
)


@dataclass
class Fuzzed:
    """How much nonsense the client was fed."""

    wanted: int
    examples: int = 0
    frames: int = 0
    servers: int = 0


FUZZED = pytest.StashKey[Fuzzed]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a person ask for more."""
    parser.getgroup("fuzz").addoption(
        "--examples",
        type=int,
        default=1750,
        help="examples of nonsense that the client is fed (default: %(default)s)",
    )


@pytest.fixture
def fuzzed(request: pytest.FixtureRequest) -> Fuzzed:
    """Return what this session counts."""
    config = request.config
    return config.stash.setdefault(FUZZED, Fuzzed(config.getoption("--examples")))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say how much it was."""
    if fuzzed := config.stash.get(FUZZED, None):
        terminalreporter.write_line(
            f"fuzz: {fuzzed.examples} examples with {fuzzed.frames} frames,"
            f" and {fuzzed.servers} servers that make no sense"
        )

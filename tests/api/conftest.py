"""Load the client without Home Assistant, as the top-level package `api`; count fuzzing examples."""

from dataclasses import dataclass
from pathlib import Path
import sys

from hypothesis import settings
import pytest

# A busy machine may take longer for an example than Hypothesis allows
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

CLIENT = Path(__file__).parents[2] / "custom_components" / "metaapi"

if str(CLIENT) not in sys.path:
    # Appended, since our modules must not hide third-party ones
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
    enable_event_loop_debug,
    leaping_loops as pytest_asyncio_loop_factories,
)


@dataclass
class Fuzzed:
    """The numbers of examples in this session."""

    wanted: int
    examples: int = 0
    frames: int = 0
    servers: int = 0


FUZZED = pytest.StashKey[Fuzzed]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.getgroup("fuzz").addoption(
        "--examples",
        type=int,
        default=1750,
        help="how many fuzzing examples to run (default: %(default)s)",
    )


@pytest.fixture
def fuzzed(request: pytest.FixtureRequest) -> Fuzzed:
    """Return the counter of this session."""
    config = request.config
    return config.stash.setdefault(FUZZED, Fuzzed(config.getoption("--examples")))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the numbers of examples."""
    if fuzzed := config.stash.get(FUZZED, None):
        terminalreporter.write_line(
            f"fuzz: {fuzzed.examples} examples with {fuzzed.frames} frames,"
            f" and {fuzzed.servers} invalid servers"
        )

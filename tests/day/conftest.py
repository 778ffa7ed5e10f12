"""Every test here runs on a loop whose clock leaps."""

import asyncio
from collections.abc import Mapping
from typing import Any

from freezegun.api import FrozenDateTimeFactory
import pytest

from homeassistant import runner

from .clock import HomeLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Any]:
    """Run every test beside this file on such a loop."""
    return {"home": HomeLoop}


@pytest.fixture(autouse=True)
async def configure_event_loop(freezer: FrozenDateTimeFactory) -> None:
    """Make the loop one of a home, but for its clock, which the calendar follows."""
    loop = asyncio.get_running_loop()
    runner.configure_event_loop(loop)
    # A test that waits for nothing has a loop of another kind
    if isinstance(loop, HomeLoop):
        del loop.time
        loop.calendar = freezer


@pytest.fixture(autouse=True)
async def enable_event_loop_debug() -> None:
    """Leave out what makes a day four times as long."""


@pytest.fixture
def persistent_database() -> bool:
    """Have the recorder write a file."""
    return True


@pytest.fixture
def recorder_config() -> dict[str, Any]:
    """Have it write as often as it does in a home, not at each event."""
    return {"commit_interval": 5}

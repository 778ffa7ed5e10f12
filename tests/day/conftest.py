"""Fixtures that run every test here on a loop whose clock leaps."""

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
    """Run every test in this folder on a `HomeLoop`."""
    return {"home": HomeLoop}


@pytest.fixture(autouse=True)
async def configure_event_loop(freezer: FrozenDateTimeFactory) -> None:
    """Configure the loop as Home Assistant does, but keep its own clock and let the calendar follow it."""
    loop = asyncio.get_running_loop()
    runner.configure_event_loop(loop)
    # Synchronous tests run on a different kind of loop
    if isinstance(loop, HomeLoop):
        del loop.time
        loop.calendar = freezer


@pytest.fixture(autouse=True)
async def enable_event_loop_debug() -> None:
    """Leave debug mode off, because it makes a day take four times as long."""


@pytest.fixture
def persistent_database() -> bool:
    """Make the recorder write to a file."""
    return True


@pytest.fixture
def recorder_config() -> dict[str, Any]:
    """Make the recorder commit as often as in a real home, instead of at each event."""
    return {"commit_interval": 5}

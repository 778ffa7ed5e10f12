"""Fixtures that run every test here on a loop whose clock leaps."""

import asyncio
from collections.abc import Mapping
from typing import Any

from freezegun.api import FrozenDateTimeFactory
import pytest

from tests.api.virtual_loop import enable_event_loop_debug

from .clock import HomeLoop

__all__ = ["enable_event_loop_debug"]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Any]:
    """Run every test in this folder on a `HomeLoop`."""
    return {"home": HomeLoop}


@pytest.fixture(autouse=True)
async def configure_event_loop(
    configure_event_loop: None, freezer: FrozenDateTimeFactory
) -> None:
    """Let the calendar follow the clock of the loop."""
    loop = asyncio.get_running_loop()
    # Synchronous tests run on a different kind of loop
    if isinstance(loop, HomeLoop):
        loop.calendar = freezer


@pytest.fixture
def persistent_database() -> bool:
    """Make the recorder write to a file."""
    return True


@pytest.fixture
def recorder_config() -> dict[str, Any]:
    """Make the recorder commit as often as in a real home, instead of at each event."""
    return {"commit_interval": 5}

"""Fixtures of the simulator's tests."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_socket

from simulator import Simulator
from tests.api.virtual_loop import (
    configure_event_loop,
    enable_event_loop_debug,
    leaping_loops as pytest_asyncio_loop_factories,
)

from .client import Clients

__all__ = [
    "configure_event_loop",
    "enable_event_loop_debug",
    "pytest_asyncio_loop_factories",
]


@pytest.fixture(autouse=True)
def loopback(socket_enabled: None) -> None:
    """Allow connections to this machine, which Home Assistant's plugin forbids."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"])


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Run a simulator with two accounts that are up, and short delays."""
    async with Simulator(
        accounts=2, status_interval=0.03, subscribe_timeout=0.1, reconnect_delay=0.05
    ) as simulator:
        yield simulator


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Return an HTTP session."""
    # aiohttp does not cancel the timer of the total timeout for an aborted websocket.
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as client_session:
        yield client_session


@pytest.fixture
def connect(session: aiohttp.ClientSession) -> Clients:
    """Return the factory of clients."""
    return Clients(session)

"""Whether the link to MetaApi is up: sockets and clock in, one answer out."""

import asyncio
from math import inf
from typing import cast

from api.endpoints import Zone
from api.timing import Timing
from api.transport.connection import Connection
from api.transport.pool import Link, Pool
import pytest

LONDON = Zone("https://london-a.example", "london", 0)


class FakeConnection:
    """A connection that only knows whether it is open."""

    def __init__(self, zone: Zone) -> None:
        """Start closed."""
        self.zone = zone
        self.connected = False

    def start(self) -> None:
        """Have nothing to start."""


class Bench:
    """A hub with one socket, and what its listener was told."""

    def __init__(self) -> None:
        """Start with a socket that is needed and not open, at 0 s."""
        self.sockets = Pool[tuple[str, str]](
            lambda zone: cast(Connection, FakeConnection(zone))
        )
        self.hub = Link(self.sockets, Timing(blind=60.0))
        self.told: list[bool | None] = []
        self.hub.listeners.add(lambda: self.told.append(self.hub.connected))
        self.hub.expect_socket(0.0)
        route = ("A", "london-a")
        self.connection = self.sockets.take(LONDON, "a", route, 0.0)

    def open(self, now: float, *, connected: bool = True) -> None:
        """Open the socket, or lose it."""
        cast(FakeConnection, self.connection).connected = connected
        if connected:
            self.hub.socket_up()
        else:
            self.hub.socket_down(now)
        self.show(now)

    def show(self, now: float, *, token_refused: bool = False) -> None:
        """Look at it."""
        self.hub.show(now, token_refused=token_refused)


@pytest.fixture
async def bench() -> Bench:
    """Return a hub that waits for its first socket."""
    return Bench()


async def test_nothing_is_decided_before_its_time(bench: Bench) -> None:
    """A server that is away from the start shows after a minute, counted from the first account."""
    assert bench.hub.deadline == 60.0
    bench.hub.expect_socket(30.0)
    bench.show(59.9)
    assert (bench.hub.connected, bench.told) == (None, [])
    bench.show(60.0)
    assert bench.told == [False]
    assert bench.hub.deadline == inf


async def test_up_with_a_socket_down_a_minute_after_it(bench: Bench) -> None:
    """A short loss is none; each change is told once."""
    bench.open(10.0)
    bench.show(11.0)
    assert bench.hub.deadline == inf
    bench.open(100.0, connected=False)
    assert bench.hub.deadline == 160.0
    bench.open(159.0)
    assert bench.told == [True]
    bench.open(200.0, connected=False)
    bench.show(259.9)
    assert bench.told == [True]
    bench.show(260.0)
    bench.open(300.0)
    assert bench.told == [True, False, True]


async def test_one_open_socket_is_enough(bench: Bench) -> None:
    """Patience runs out only after the last one."""
    bench.open(10.0)
    other = bench.sockets.take(LONDON, "a", ("A", "again"), 10.0)
    cast(FakeConnection, other).connected = True
    bench.open(20.0, connected=False)
    assert bench.hub.deadline == inf
    bench.show(100.0)
    assert bench.told == [True]


async def test_no_socket_is_needed(bench: Bench) -> None:
    """The last account is gone, and with it the question."""
    bench.open(10.0)
    bench.sockets.release(bench.connection, "a")
    bench.hub.socket_down(20.0)
    bench.show(20.0)
    assert bench.hub.deadline == inf
    bench.show(100.0)
    assert bench.told == [True, None]


async def test_a_refused_token_is_told_whatever_was_shown(bench: Bench) -> None:
    """Even of a link that was down already: listeners ask for another reason."""
    bench.show(60.0)
    bench.show(61.0, token_refused=True)
    assert bench.told == [False, False]


async def test_the_next_socket_can_be_awaited(bench: Bench) -> None:
    """One that is open already is not the next."""
    bench.open(10.0)
    waiting = asyncio.create_task(bench.hub.next_socket())
    await asyncio.sleep(0)
    assert not waiting.done()
    bench.hub.socket_up()
    await waiting

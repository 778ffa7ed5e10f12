"""Test the pool: which account is on which socket, locks, and whether the link is up."""

import asyncio
from math import inf
from typing import Any, cast

from api.endpoints import Zone
from api.timing import Timing
from api.transport.connection import Connection
from api.transport.pool import ACCOUNTS_PER_SOCKET, Link, Pool
import pytest

LONDON = Zone("https://london-a.example", "london", 0)
OTHER = Zone("https://london-b.example", "london", 1)


class FakeConnection:
    """A connection that only knows its zone, and whether it is open."""

    def __init__(self, zone: Zone) -> None:
        """Start closed."""
        self.zone = zone
        self.connected = False
        self.started = 0

    def start(self) -> None:
        """Count the call."""
        self.started += 1


class Bench:
    """A pool, and the connections that it created."""

    def __init__(self) -> None:
        """Start without connections."""
        self.made: list[FakeConnection] = []
        self.sockets = Pool[tuple[str, str]](self._make)

    def _make(self, zone: Zone) -> Connection:
        self.made.append(FakeConnection(zone))
        return cast(Connection, self.made[-1])

    def take(self, account_id: str, zone: Zone = LONDON, now: float = 0.0) -> Any:
        """Put an account on a connection and return it."""
        route = (account_id.upper(), zone.name)
        return self.sockets.take(zone, account_id, route, now)


@pytest.fixture
def bench() -> Bench:
    """Return an empty pool."""
    return Bench()


def test_accounts_of_a_zone_share_a_socket(bench: Bench) -> None:
    """It is started once; another zone has its own."""
    one = bench.take("a")
    assert bench.take("b") is one
    assert bench.take("a", OTHER) is not one
    assert [made.started for made in bench.made] == [1, 1]
    assert len(bench.sockets) == 2
    assert list(bench.sockets) == bench.made
    assert bench.sockets.route(one, "b") == ("B", "london-a")
    assert bench.sockets.route(one, "c") is None
    assert bench.sockets.routes(one) == (("A", "london-a"), ("B", "london-a"))


def test_a_socket_holds_a_hundred(bench: Bench) -> None:
    """The next account gets another socket, and a free place is used again."""
    assert ACCOUNTS_PER_SOCKET == 100
    for number in range(100):
        bench.take(str(number))
    assert len(bench.made) == 1
    second = bench.take("100")
    assert len(bench.made) == 2
    first = cast(Connection, bench.made[0])
    assert not bench.sockets.release(first, "7")
    assert bench.take("101") is first
    assert bench.take("102") is second


def test_an_account_is_on_a_socket_once(bench: Bench) -> None:
    """The same id twice in a zone takes two sockets."""
    assert bench.take("a") is not bench.take("a")


def test_a_locked_socket_takes_nobody_until_its_time(bench: Bench) -> None:
    """A locked socket takes no further accounts, since its server has reached a limit."""
    one = bench.take("a", now=0.0)
    bench.sockets.lock(one, 10.0)
    assert bench.take("b", now=9.9) is not one
    assert bench.take("c", now=9.9) is not one
    assert len(bench.made) == 2
    assert bench.take("d", now=10.0) is one


def test_unused_socket_is_returned(bench: Bench) -> None:
    """It is returned with its last account, and forgotten afterwards."""
    one = bench.take("a")
    bench.take("b")
    bench.sockets.lock(one, 10.0)
    assert not bench.sockets.release(one, "a")
    assert not bench.sockets.release(one, "a")
    assert bench.sockets.release(one, "b")
    assert len(bench.sockets) == 0
    assert not bench.sockets.release(one, "b")
    assert bench.sockets.route(one, "b") is None
    assert bench.sockets.routes(one) == ()


def test_any_open(bench: Bench) -> None:
    """One open socket is enough."""
    assert not bench.sockets.any_open
    bench.take("a")
    bench.take("a", OTHER)
    assert not bench.sockets.any_open
    bench.made[1].connected = True
    assert bench.sockets.any_open


def test_clear(bench: Bench) -> None:
    """All sockets are returned, and none is known any more."""
    bench.take("a")
    bench.take("a", OTHER)
    assert bench.sockets.clear() == bench.made
    assert len(bench.sockets) == 0
    assert bench.sockets.clear() == []


# -- the link as a whole ---------------------------------------------------------------------------


class LinkBench:
    """A link with one socket, and the reports to its listener."""

    def __init__(self) -> None:
        """Start at 0 s with a socket that is needed and not open."""
        self.sockets = Pool[tuple[str, str]](
            lambda zone: cast(Connection, FakeConnection(zone))
        )
        self.link = Link(self.sockets, Timing(blind=60.0))
        self.reports: list[bool | None] = []
        self.link.listeners.add(lambda: self.reports.append(self.link.connected))
        self.link.expect_socket(0.0)
        route = ("A", "london-a")
        self.connection = self.sockets.take(LONDON, "a", route, 0.0)

    def open(self, now: float, *, connected: bool = True) -> None:
        """Open the socket, or lose it."""
        cast(FakeConnection, self.connection).connected = connected
        if connected:
            self.link.socket_up()
        else:
            self.link.socket_down(now)
        self.show(now)

    def show(self, now: float, *, token_refused: bool = False) -> None:
        """Update what the link shows."""
        self.link.show(now, token_refused=token_refused)


@pytest.fixture
async def link_bench() -> LinkBench:
    """Return a link that waits for its first socket."""
    return LinkBench()


async def test_nothing_is_decided_before_its_time(link_bench: LinkBench) -> None:
    """A server that is down from the start shows after a minute, counted from the first account."""
    assert link_bench.link.deadline == 60.0
    link_bench.link.expect_socket(30.0)
    link_bench.show(59.9)
    assert (link_bench.link.connected, link_bench.reports) == (None, [])
    link_bench.show(60.0)
    assert link_bench.reports == [False]
    assert link_bench.link.deadline == inf


async def test_up_with_a_socket_down_a_minute_after_it(link_bench: LinkBench) -> None:
    """A short loss is ignored; each change is reported once."""
    link_bench.open(10.0)
    link_bench.show(11.0)
    assert link_bench.link.deadline == inf
    link_bench.open(100.0, connected=False)
    assert link_bench.link.deadline == 160.0
    link_bench.open(159.0)
    assert link_bench.reports == [True]
    link_bench.open(200.0, connected=False)
    link_bench.show(259.9)
    assert link_bench.reports == [True]
    link_bench.show(260.0)
    link_bench.open(300.0)
    assert link_bench.reports == [True, False, True]


async def test_one_open_socket_is_enough(link_bench: LinkBench) -> None:
    """The minute starts after the loss of the last socket."""
    link_bench.open(10.0)
    other = link_bench.sockets.take(LONDON, "a", ("A", "again"), 10.0)
    cast(FakeConnection, other).connected = True
    link_bench.open(20.0, connected=False)
    assert link_bench.link.deadline == inf
    link_bench.show(100.0)
    assert link_bench.reports == [True]


async def test_no_socket_is_needed(link_bench: LinkBench) -> None:
    """Without accounts the link has no state."""
    link_bench.open(10.0)
    link_bench.sockets.release(link_bench.connection, "a")
    link_bench.link.socket_down(20.0)
    link_bench.show(20.0)
    assert link_bench.link.deadline == inf
    link_bench.show(100.0)
    assert link_bench.reports == [True, None]


async def test_a_refused_token_is_always_reported(
    link_bench: LinkBench,
) -> None:
    """Even if the link was down already, since listeners need the other reason."""
    link_bench.show(60.0)
    link_bench.show(61.0, token_refused=True)
    assert link_bench.reports == [False, False]


async def test_the_next_socket_can_be_awaited(link_bench: LinkBench) -> None:
    """A socket that is open already is not the next one."""
    link_bench.open(10.0)
    waiting = asyncio.create_task(link_bench.link.next_socket())
    await asyncio.sleep(0)
    assert not waiting.done()
    link_bench.link.socket_up()
    await waiting

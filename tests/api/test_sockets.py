"""Which account is on which socket: room, locks, and who still needs one."""

from typing import Any, cast

from api.endpoints import Zone
from api.transport.connection import Connection
from api.transport.pool import ACCOUNTS_PER_SOCKET, Pool
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
        """Count."""
        self.started += 1


class Bench:
    """Sockets, and the connections they made."""

    def __init__(self) -> None:
        """Start without any."""
        self.made: list[FakeConnection] = []
        self.sockets = Pool[tuple[str, str]](self._make)

    def _make(self, zone: Zone) -> Connection:
        self.made.append(FakeConnection(zone))
        return cast(Connection, self.made[-1])

    def take(self, account_id: str, zone: Zone = LONDON, now: float = 0.0) -> Any:
        """Put an account on a socket and return that."""
        route = (account_id.upper(), zone.name)
        return self.sockets.take(zone, account_id, route, now)


@pytest.fixture
def bench() -> Bench:
    """Return an empty bench."""
    return Bench()


def test_accounts_of_a_zone_share_a_socket(bench: Bench) -> None:
    """Which is started once; another zone has its own."""
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
    """The next one gets another, and a place that came free is used again."""
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
    """Twice the same id in a zone takes two sockets."""
    assert bench.take("a") is not bench.take("a")


def test_a_locked_socket_takes_nobody_until_its_time(bench: Bench) -> None:
    """The server had enough of us there."""
    one = bench.take("a", now=0.0)
    bench.sockets.lock(one, 10.0)
    assert bench.take("b", now=9.9) is not one
    assert bench.take("c", now=9.9) is not one
    assert len(bench.made) == 2
    assert bench.take("d", now=10.0) is one


def test_a_socket_nobody_needs_is_named(bench: Bench) -> None:
    """With its last account; what is forgotten stays so."""
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
    """All are returned, and none is known any more."""
    bench.take("a")
    bench.take("a", OTHER)
    assert bench.sockets.clear() == bench.made
    assert len(bench.sockets) == 0
    assert bench.sockets.clear() == []

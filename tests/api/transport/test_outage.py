"""Connections over real sockets: outages of many homes at once, and what comes before it is expected."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
import json
import random
from typing import Any

import aiohttp
from api.endpoints import Endpoints, Zone
from api.monitor import Monitor
from api.timing import Timing
from api.transport.connection import Connection
import pytest

from tests.api.faults.proxy import Answer, Proxy
from tests.api.loopback import TOKEN, eventually
from tests.api.raw import CONNECTED, Peer, Raw, Script, engine, opening, upgrade

from .fakes import now

HOMES = 24
ACCOUNT = "11111111-aaaa-4bbb-8ccc-000000000001"


class Home:
    """A home with one connection, and what that told when."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        """Make the connection."""
        self.told: list[tuple[str, float]] = []
        self.connection = Connection(
            session, Zone(url), TOKEN, self, application="MetaApi", timing=Timing()
        )

    def connection_up(self, connection: Connection) -> None:
        """Note it."""
        self.told.append(("up", now()))

    def connection_down(self, connection: Connection, reason: str) -> None:
        """Note it."""
        self.told.append(("down", now()))

    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> None:
        """Note it, and whether the connection was known to be open."""
        assert connection.connected
        self.told.append((event["type"], now()))

    def connection_unauthorized(self, connection: Connection, *, said: bool) -> None:
        """Note it."""
        self.told.append(("unauthorized", now()))

    @property
    def kinds(self) -> list[str]:
        """Return what was told, in order."""
        return [kind for kind, _ in self.told]


@asynccontextmanager
async def homes(
    script: Script, count: int = 1
) -> AsyncIterator[tuple[list[Home], Proxy]]:
    """Run homes behind one proxy in front of one server."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Raw(script))
        proxy = await stack.enter_async_context(Proxy(server.url))
        made = []
        for _ in range(count):
            session = await stack.enter_async_context(aiohttp.ClientSession())
            home = Home(session, proxy.url)
            stack.push_async_callback(home.connection.close)
            home.connection.start()
            made.append(home)
        yield made, proxy


async def refuse(proxy: Proxy) -> None:
    """Refuse connections."""
    await proxy.refuse()
    proxy.drop()


async def listen(proxy: Proxy) -> None:
    """Take connections again."""
    await proxy.listen()


async def drop_packets(proxy: Proxy) -> None:
    """Let nothing through, on old connections and on new ones."""
    proxy.half_open()
    proxy.hang = True


async def pass_packets(proxy: Proxy) -> None:
    """Let through what comes from now on; what hung hangs on."""
    proxy.hang = False


async def fail(proxy: Proxy) -> None:
    """Answer with the error of a proxy whose server is away."""
    proxy.answer = Answer(502)
    proxy.drop()


async def work(proxy: Proxy) -> None:
    """Leave answers to the server."""
    proxy.answer = None


type Act = Callable[[Proxy], Awaitable[None]]

OUTAGES: dict[str, tuple[Act, Act]] = {
    "refused": (refuse, listen),
    "packets dropped": (drop_packets, pass_packets),
    "HTTP 502": (fail, work),
}


@pytest.mark.parametrize(
    ("lasts", "within", "apart"),
    [(5, 10, 0), (45, 10, 1), (200, 35, 5), (900, 35, 5)],
)
@pytest.mark.parametrize("kind", OUTAGES)
async def test_outage(kind: str, lasts: float, within: float, apart: float) -> None:
    """All homes are back 10 s after a short outage and 35 s after any, and not all at once."""
    random.seed(kind)
    start, end = OUTAGES[kind]
    if kind == "packets dropped":
        # a connect that hung to the end has 10 s, and a little jitter
        within = max(within, 12)
    async with homes(engine(25, 5), HOMES) as (made, proxy):
        await eventually(lambda: all(home.connection.connected for home in made))
        await asyncio.sleep(100)
        await start(proxy)
        if kind == "packets dropped":
            await eventually(
                lambda: not any(home.connection.connected for home in made), 31
            )
        await asyncio.sleep(lasts)
        assert not any(home.connection.connected for home in made)
        await end(proxy)
        ended = now()
        await eventually(
            lambda: all(home.connection.connected for home in made), within
        )
        back = sorted(home.told[-1][1] - ended for home in made)
        assert back[-1] <= within
        assert back[-1] - back[0] >= apart
        for home in made:
            assert home.kinds == ["up", "down", "up"]


@pytest.mark.parametrize("status", [403, 404, 429])
async def test_permanent_refusal(status: int) -> None:
    """25 attempts in the first hour, 12 in the later ones; one that passes is over within a floor."""
    async with homes(engine()) as ((home,), proxy):
        await eventually(lambda: home.connection.connected)
        proxy.answer = Answer(status)
        proxy.drop()
        refused = now()
        await asyncio.sleep(4 * 3600)
        hours = [0] * 4
        for when, _ in proxy.refusals:
            hours[int((when - refused) // 3600)] += 1
        assert 12 <= hours[0] <= 25
        assert all(6 <= hour <= 12 for hour in hours[1:])
        proxy.answer = None
        await eventually(
            lambda: home.connection.connected,
            Timing().refused_floor + Timing().backoff_max + 1,
        )


async def test_refusal_that_passes_at_once() -> None:
    """A gateway that says 404 or 429 for some seconds costs no more than these seconds."""
    async with homes(engine()) as ((home,), proxy):
        await eventually(lambda: home.connection.connected)
        await asyncio.sleep(100)
        proxy.answer = Answer(404)
        proxy.drop()
        await asyncio.sleep(8)
        proxy.answer = None
        await eventually(lambda: home.connection.connected, 25)


async def test_a_person_wakes_a_back_off() -> None:
    """Who presses Reconnect after an hour without a server need not wait for the pause."""
    async with homes(engine()) as ((home,), proxy):
        await eventually(lambda: home.connection.connected)
        await refuse(proxy)
        await asyncio.sleep(3600)
        await listen(proxy)
        home.connection.wake()
        await eventually(lambda: home.connection.connected, 1)


async def test_a_person_who_insists_does_not_hold_a_slow_server_off() -> None:
    """The `40` takes 12 s, and an automation asks every 6 s: it may start one connect anew, not each."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening())
        await asyncio.sleep(12)
        peer.send(CONNECTED)
        await peer.serve()

    async with homes(script) as ((home,), _):
        for _ in range(5):
            await asyncio.sleep(6)
            home.connection.wake()
        assert home.connection.connected


def synchronization(kind: str, **fields: Any) -> str:
    """Return the frame of an event of the account."""
    event = {"type": kind, "accountId": ACCOUNT, "host": "ps-mpa-1", **fields}
    return "42" + json.dumps(["synchronization", event])


def at_once(*frames: str) -> Script:
    """Return the script of a server that says all in one segment, and then serves."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        await peer.writer.drain()
        await asyncio.sleep(0.1)
        for text in frames:
            peer.send(text)
        await peer.serve()

    return script


@pytest.mark.parametrize("before", [0, 1, 3])
async def test_events_that_come_with_the_namespace(before: int) -> None:
    """Events in the segment of the `40`, or even before it, are told after the socket, in order."""
    events = [synchronization(f"e{number}") for number in range(6)]
    script = at_once(opening(), *events[:before], CONNECTED, *events[before:])
    async with homes(script) as ((home,), _):
        await eventually(lambda: len(home.told) == 7)
        assert home.kinds == ["up", "e0", "e1", "e2", "e3", "e4", "e5"]


async def test_events_that_come_with_the_end() -> None:
    """Those of a socket that ends in the same segment are told by nobody."""
    script = at_once(opening(), CONNECTED, synchronization("e"), "1")
    async with homes(script) as ((home,), _):
        await asyncio.sleep(3)
        assert home.kinds.count("e") == 0
        assert home.connection.statistics.last_error is not None


async def test_events_before_a_namespace_are_bounded() -> None:
    """A server that never connects the namespace cannot fill our memory."""
    frames = [synchronization("e")] * 3000
    async with homes(at_once(opening(), *frames)) as ((home,), _):
        await asyncio.sleep(1)
        error = str(home.connection.statistics.last_error)
        assert error.endswith("the server sent a flood of frames that mean nothing")
        assert home.kinds == []


@pytest.mark.parametrize("foreign", [True, False])
async def test_authenticated_of_a_foreign_session(foreign: bool) -> None:
    """One in the same segment as the `40` shows no terminal on; ours a moment later does."""
    script = at_once(
        opening(), CONNECTED, synchronization("authenticated", sessionId="x" * 32)
    )
    if not foreign:
        script = at_once(opening(), CONNECTED, synchronization("authenticated"))
    async with Raw(script) as server, aiohttp.ClientSession() as session:
        monitor = Monitor(session, TOKEN, endpoints=Endpoints(api_url=server.url))
        monitor.add_account(ACCOUNT)
        (connection,) = monitor._pool
        await eventually(lambda: connection.counters.events)
        assert monitor.state(ACCOUNT).terminal is (None if foreign else True)
        await asyncio.sleep(1)
        assert monitor.state(ACCOUNT).terminal is (None if foreign else True)
        await monitor.close()

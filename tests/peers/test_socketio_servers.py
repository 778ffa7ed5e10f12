"""Test our socket against real servers: `socket.io` 2 and 4."""

import asyncio
from contextlib import suppress
import os
from urllib.parse import parse_qsl, urlsplit

from api.errors import CannotConnectError, HandshakeEndedError, NotConnectedError
from api.timing import Timing
import pytest

from tests.api.loopback import (
    PATIENCE,
    STRICT,
    TOKEN,
    Events,
    Sockets,
    connections_to,
    eventually,
)

from .conftest import INTERVAL, TIMEOUT, VERSIONS, Serve, Server
from .relay import Relay

pytestmark = [pytest.mark.peers, *STRICT]

SLACK = 0.4
"""How much later than promised is still in time, in seconds: machines are busy."""

REQUEST = {
    "type": "reconnect",
    "accountId": "865d3a4d-3803-486d-bdf3-a85679d9fad2",
    "requestId": "9eb3a9fc-4cb4-4c1a-b7fb-1140a8ed29c9",
    "application": "MetaApi",
}


def now() -> float:
    """Return the event loop's time."""
    return asyncio.get_running_loop().time()


async def is_gone(server: Server) -> None:
    """Wait until nothing of the socket is left on our side."""
    await eventually(lambda: not connections_to(server.port))
    running = {task.get_name() for task in asyncio.all_tasks()}
    assert not {name for name in running if name.startswith("metaapi socket")}


async def test_one_connection(sockets: Sockets, server: Server) -> None:
    """A connect opens one connection, with the path, query and header of today's clients."""
    socket = await sockets.connect(server.url)
    await socket.probe()
    assert len(server.seen("connection")) == 1
    assert len(server.seen("engine")) == 1
    assert not server.seen("poll")
    (upgrade,) = server.seen("upgrade")
    parts = urlsplit(upgrade["url"])
    assert parts.path == "/ws/"
    query = dict(parse_qsl(parts.query))
    assert query == {
        "EIO": "3",
        "transport": "websocket",
        "auth-token": TOKEN,
        "clientId": "0.5",
        "protocol": "3",
    }
    assert upgrade["headers"]["client-id"] == "0.5"
    assert (
        server.seen("connection")[0]["query"] | query
        == server.seen("connection")[0]["query"]
    )
    await socket.close()
    assert (await server.wait("disconnect"))["reason"] in (
        "transport close",
        "client namespace disconnect",
    )
    await is_gone(server)


async def test_stays_connected(sockets: Sockets, serve: Serve) -> None:
    """An idle socket stays connected for ten ping periods, on both servers at once."""
    period = 0.4
    servers = [
        await serve(version, pingInterval=int(period * 1000), pingTimeout=3000)
        for version in VERSIONS
    ]
    opened = [await sockets.connect(server.url) for server in servers]
    start = now()
    await asyncio.gather(
        *(server.wait("ping", 10, 10 * period + 5) for server in servers)
    )
    assert now() - start >= 10 * period - SLACK
    for server, socket in zip(servers, opened, strict=True):
        assert socket.connected, server.version
        assert not server.seen("disconnect"), server.version
        assert len(server.seen("connection")) == 1, server.version
        await socket.probe()


async def test_frozen_server_is_noticed_in_time(
    sockets: Sockets, server: Server
) -> None:
    """A frozen server is noticed within pingInterval + pingTimeout, and no socket stays open."""
    socket = await sockets.connect(server.url)
    await server.wait("ping")
    server.freeze()
    start = now()
    assert await socket.wait_closed() == "the server stopped answering"
    took = now() - start
    assert took < INTERVAL + TIMEOUT + SLACK
    assert not socket.connected
    await is_gone(server)
    with pytest.raises(NotConnectedError):
        await socket.emit("request", REQUEST)


async def test_close_on_a_frozen_server(sockets: Sockets, server: Server) -> None:
    """Closing ends in time without an answer, with and without unsent megabytes."""
    for megabytes in (0, 32):
        socket = await sockets.connect(server.url)
        if megabytes:
            server.freeze()
            for _ in range(megabytes):
                await socket.emit("request", REQUEST | {"text": "x" * 1_000_000})
        start = now()
        await socket.close()
        assert now() - start < 2 + SLACK
        await is_gone(server)


async def test_request_arrives_as_an_object(sockets: Sockets, server: Server) -> None:
    """The server gets one argument, an object with exactly what was sent."""
    socket = await sockets.connect(server.url)
    await socket.emit("request", REQUEST)
    report = await server.wait("request")
    assert report["args"] == [REQUEST]
    assert report["kinds"] == ["object"]


async def test_events_arrive(sockets: Sockets, server: Server, events: Events) -> None:
    """Each event arrives as the server sent it, as an object or a JSON string."""
    payload = {
        "accountId": "a",
        "requestId": "r",
        "text": "\u00e9\u2603\U0001f600\u0000",
    }
    text = '{"type":"\u00e9"}'
    names = ["response", "processingError", "synchronization"]
    socket = await sockets.connect(server.url)
    for name in names:
        server.send("emit", event=name, args=[payload])
        server.send("emit", event=name, args=[text])
    await eventually(lambda: len(events) == 6)
    assert events == [(name, data) for name in names for data in (payload, text)]
    assert socket.counters.malformed == 0


@pytest.mark.parametrize(
    ("order", "reasons"),
    [
        ("drop", ["the server disconnected the namespace", "the server closed it"]),
        ("leave", ["the server disconnected the namespace"]),
        ("close", ["the server disconnected the namespace", "the server closed it"]),
        ("error", ["the server sent an error packet 'quota used up'"]),
    ],
)
async def test_server_closes(
    sockets: Sockets, server: Server, order: str, reasons: list[str]
) -> None:
    """Each way in which a server can close has its reason, and nothing is left."""
    socket = await sockets.connect(server.url)
    await socket.probe()
    server.send(order, message="quota used up")
    reason = await asyncio.wait_for(socket.wait_closed(), PATIENCE)
    assert reason.partition(" (")[0] in reasons
    assert not socket.connected
    await is_gone(server)
    await server.wait("engine closed")


async def test_server_is_killed(sockets: Sockets, server: Server) -> None:
    """The socket is lost at once."""
    socket = await sockets.connect(server.url)
    await server.kill()
    assert "the connection broke" in await asyncio.wait_for(
        socket.wait_closed(), PATIENCE
    )
    await is_gone(server)
    with pytest.raises(CannotConnectError):
        await sockets.connect(server.url)


@pytest.mark.parametrize("version", VERSIONS)
async def test_refused_by_middleware(
    sockets: Sockets, serve: Serve, version: str
) -> None:
    """An error packet before the namespace is a refusal with a reason, at once."""
    server = await serve(version, refuse="Not authorized")
    start = now()
    with pytest.raises(HandshakeEndedError, match="Not authorized"):
        await sockets.connect(server.url)
    assert now() - start < PATIENCE / 2
    await server.wait("engine closed")
    await is_gone(server)


@pytest.mark.parametrize("version", VERSIONS)
async def test_wrong_path_is_refused(
    sockets: Sockets, serve: Serve, version: str
) -> None:
    """A server with another path causes an error, not an endless wait."""
    server = await serve(version, destroyUpgradeTimeout=100)
    with pytest.raises(CannotConnectError):
        await sockets.connect(f"{server.url}/elsewhere", timing=Timing(connect=5))
    await is_gone(server)


@pytest.mark.parametrize("version", VERSIONS)
async def test_large_frame(
    sockets: Sockets, serve: Serve, events: Events, version: str
) -> None:
    """A frame of 2 MB is dispatched, and the pings go on."""
    server = await serve(version, pingInterval=200)
    socket = await sockets.connect(server.url)
    for number in range(1, 5):
        server.send("large", event="synchronization", size=2_000_000)
        await eventually(lambda: len(events) == number)  # noqa: B023
        assert len(events[-1][1]["text"]) == 2_000_000
        await server.wait("ping", number)
    await socket.probe()


@pytest.mark.parametrize("version", VERSIONS)
async def test_large_frame_over_a_slow_connection(
    sockets: Sockets, serve: Serve, events: Events, version: str
) -> None:
    """A frame of 2 MB that takes several ping periods is dispatched, and the pings go on."""
    interval, timeout = 0.3, 1.5
    server = await serve(version, pingInterval=300, pingTimeout=1500)
    async with Relay(server.port) as relay:
        socket = await sockets.connect(relay.url)
        pings = len(server.seen("ping"))
        relay.bytes_per_second = 800_000
        server.send("large", event="synchronization", size=2_000_000)
        start = now()
        await eventually(lambda: events or not socket.connected)
        took = now() - start
        assert socket.connected
        assert took > interval + timeout
        assert len(server.seen("ping")) - pings >= 4
        assert not server.seen("disconnect")
        relay.bytes_per_second = None
        await socket.probe()
        await socket.close()


@pytest.mark.parametrize("version", VERSIONS)
async def test_silent_network(sockets: Sockets, serve: Serve, version: str) -> None:
    """A network that drops everything is noticed within pingInterval + pingTimeout."""
    server = await serve(version, pingInterval=300, pingTimeout=1500)
    async with Relay(server.port) as relay:
        socket = await sockets.connect(relay.url)
        await server.wait("ping")
        relay.silent = True
        start = now()
        assert await socket.wait_closed() == "the server stopped answering"
        assert now() - start < 1.8 + SLACK
        await eventually(lambda: not connections_to(relay.port))


async def test_frame_over_the_limit(
    sockets: Sockets, server: Server, events: Events
) -> None:
    """It closes the socket, and a new one can be opened."""
    socket = await sockets.connect(server.url)
    server.send("large", event="synchronization", size=4 * 1024 * 1024)
    assert "websocket error" in await socket.wait_closed()
    assert not events
    await is_gone(server)
    again = await sockets.connect(server.url)
    await again.probe()


async def test_connect_cancelled_on_a_frozen_server(
    sockets: Sockets, server: Server
) -> None:
    """Connecting to a server that does not answer can be canceled."""
    server.freeze()
    task = asyncio.create_task(sockets.connect(server.url))
    await eventually(lambda: connections_to(server.port))
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await is_gone(server)


async def test_many_sockets_in_a_row(sockets: Sockets, server: Server) -> None:
    """No open file is left after many sockets."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for count in range(1, 21):
        socket = await sockets.connect(server.url)
        await socket.close()
        await server.wait("engine closed", count)
    await is_gone(server)
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
    assert len(server.seen("connection")) == 20

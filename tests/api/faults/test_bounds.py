"""Bounds on what a server can do to us: memory, pending requests, frames that are too large, floods."""

import asyncio
import gc
import itertools
import json
import tracemalloc
from typing import Any, cast

import aiohttp
from api.endpoints import Endpoints, Zone
from api.errors import TooManyPendingError
from api.monitor import Monitor
from api.timing import Timing
from api.transport.channel import MAX_PENDING
from api.transport.connection import Connection, ConnectionState, make_channel
from api.transport.engineio3 import MAX_FRAME_SIZE
from api.transport.socketio2 import Socket
import pytest

from tests.api.virtual_loop import current_loop

from .conftest import Tables
from .proxy import text_frame
from .rig import rigged

MIB = 1024 * 1024
STRANGERS = 10_000
TIMING = Timing()

KINDS = (
    {"type": "status", "host": "ps-mpa-1", "connected": True, "authenticated": True},
    {"type": "authenticated", "host": "ps-mpa-1", "sessionId": "x" * 32},
    {"type": "disconnected", "host": "ps-mpa-1"},
    {"type": "specifications", "specifications": [1, 2, 3]},
    {"type": "keepalive"},
)


def frames_of_strangers(count: int) -> list[str]:
    """Return events of accounts that nobody watches, as they come over the line."""
    kinds = itertools.cycle(KINDS)
    return [
        "42"
        + json.dumps(
            [
                "synchronization",
                json.dumps({"accountId": f"stranger-{number}", **next(kinds)}),  # type: ignore[arg-type]
            ]
        )
        for number in range(count)
    ]


def make_connection(session: aiohttp.ClientSession, monitor: Monitor) -> Connection:
    """Return a connection of a monitor whose socket is handed its frames by the test."""
    connection = Connection(
        session,
        Zone("http://127.0.0.1:9"),
        "token",
        monitor,
        application="test",
        timing=TIMING,
    )
    connection._enter(ConnectionState.OPEN)
    connection._channel = make_channel(
        session,
        "token",
        application="test",
        on_synchronization=connection._event,
        on_unauthorized=lambda: None,
        timing=TIMING,
    )
    return connection


async def test_events_of_strangers_cost_no_memory(
    tables: Tables, request: pytest.FixtureRequest
) -> None:
    """Any number of events of ten thousand accounts that nobody watches: under 1 MiB, and not one byte each."""
    count = request.config.getoption("--flood")
    frames = frames_of_strangers(STRANGERS)
    async with aiohttp.ClientSession() as session:
        monitor = Monitor(session, "token", endpoints=Endpoints())
        connection = make_connection(session, monitor)
        assert connection._channel is not None
        dispatch = cast(Socket, connection._channel._socket).dispatch
        for frame in frames:  # caches are filled
            dispatch(frame)
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for frame in itertools.islice(itertools.cycle(frames), count):
                dispatch(frame)
            gc.collect()
            after, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert monitor.ignored_events == count + STRANGERS
        await monitor.close()
    tables.lines.append(
        f"{count} events of {STRANGERS} unknown accounts: {(after - before) / 1024:.1f} KiB more,"
        f" {(most - before) / 1024:.0f} KiB at most"
    )
    assert after - before < min(MIB, count)
    assert most - before < MIB


async def test_hosts_of_our_own_account_cost_no_memory(tables: Tables) -> None:
    """A server that makes up hosts and sessions of an account that we do watch: under 1 MiB."""
    async with aiohttp.ClientSession() as session:
        monitor = Monitor(
            session, "token", endpoints=Endpoints(api_url="http://127.0.0.1:9")
        )
        monitor.add_account("ours")
        (connection,) = monitor._pool
        connection._channel = make_connection(session, monitor)._channel
        connection._enter(ConnectionState.OPEN)
        monitor.connection_up(connection)
        events = [
            {
                "accountId": "ours",
                "host": f"made-up-{number}",
                "instanceIndex": number % 3,
                **kind,
            }
            for number in range(2_000)
            for kind in KINDS
        ]
        monitor.connection_event(connection, events[0])
        gc.collect()
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for event in events:
                monitor.connection_event(connection, event)
            await asyncio.sleep(0)
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(monitor._shared.tasks) < 10
        connection._channel = None
        await monitor.close()
    tables.lines.append(
        f"{len(events)} events of 2000 made-up hosts: {(after - before) / 1024:.1f} KiB more"
    )
    assert after - before < MIB


async def test_pending_requests_are_bounded() -> None:
    """More than so many requests do not wait on one socket, and none of them for ever."""
    async with rigged() as rig:
        account_id = rig.sim.account.id
        rig.sim.set_subscribe_mode(account_id, "ignore")
        channel = make_channel(
            rig.session,
            rig.sim.token,
            application="test",
            on_synchronization=lambda event: None,
            on_unauthorized=lambda: None,
            timing=TIMING,
        )
        await channel.connect(rig.proxy.url)
        waiting = [
            asyncio.create_task(channel.request("subscribe", account_id))
            for _ in range(MAX_PENDING)
        ]
        await asyncio.sleep(1)
        assert len(channel._pending) == MAX_PENDING
        with pytest.raises(TooManyPendingError):
            await channel.request("subscribe", account_id)
        await asyncio.sleep(TIMING.response)
        assert all(task.done() and task.exception() for task in waiting)
        assert not channel._pending
        await channel.close()


async def test_a_frame_that_is_too_large_ends_the_socket_and_no_more() -> None:
    """The socket comes back, and nothing was shown of it."""
    async with rigged() as rig:
        account_id = rig.sim.account.id
        rig.add(account_id)
        await rig.until(lambda: rig.shown(account_id), 20)
        (socket,) = rig.sim.sockets
        rig.proxy.inject(text_frame("42" + "x" * (MAX_FRAME_SIZE - 100)))
        await asyncio.sleep(1)
        assert rig.sim.sockets == [socket]
        rig.proxy.inject(text_frame("42" + "x" * (MAX_FRAME_SIZE + 1)))
        await rig.until(lambda: rig.sim.sockets and rig.sim.sockets != [socket], 10)
        await rig.until(lambda: rig.heard_since(account_id, rig.now - 1), 10)
        assert [value for _, value in rig.timeline(account_id)] == [None, True]
        assert not rig.log.lines


async def test_a_flood_does_not_starve_pings() -> None:
    """Events without a pause, for two minutes: the socket stays, and so does the truth."""
    async with rigged(2) as rig:
        ours, other = rig.sim.accounts
        rig.add(ours)
        rig.add(other)
        await rig.until(lambda: rig.shown(ours) and rig.shown(other), 20)
        (socket,) = rig.sim.sockets
        event: dict[str, Any] = {
            "type": "status",
            "accountId": ours,
            "instanceIndex": 0,
            "host": "ps-mpa-1",
            "connected": True,
            "authenticated": True,
        }
        flood = text_frame("42" + json.dumps(["synchronization", json.dumps(event)]))
        pings = socket.pings
        until = rig.now + 120
        while rig.now < until:
            rig.proxy.inject(flood * 20)
            current_loop().stand_still(0.05)  # what it takes to work them off
            await asyncio.sleep(0)
        assert rig.sim.sockets == [socket]
        assert socket.pings - pings >= 4
        rig.sim.set_terminal(other, up=False)
        for _ in range(20):
            rig.proxy.inject(flood * 20)
            current_loop().stand_still(0.05)
            await asyncio.sleep(0)
        assert rig.shown(other) is False
        assert rig.shown(ours) is True

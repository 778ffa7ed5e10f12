"""Test sticky connections, as MetaApi's JavaScript client requests them."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import pytest

from simulator import Simulator

from .client import Client, Clients

STICKY = {"stickySocketConnectionId": "c1", "protocol": "3"}


class StickyClient:
    """A client that numbers and wraps its events."""

    def __init__(self, client: Client) -> None:
        """Store an open socket."""
        self.client = client
        self.indices: list[int] = []
        self.sent = -1

    async def event(self) -> tuple[str, Any]:
        """Return the next event, unwrapped."""
        name, packet = await self.client.event()
        assert set(packet) == {"index", "data"}
        self.indices.append(packet["index"])
        (payload,) = packet["data"]
        return name, json.loads(payload) if isinstance(payload, str) else payload

    async def until(self, kind: str) -> Any:
        """Return the next event with this name, or of this type of synchronization."""
        while True:
            name, payload = await self.event()
            if kind in (name, payload.get("type")):
                return payload

    async def send(self, payload: Any, index: int | None = None) -> None:
        """Send a request, wrapped."""
        self.sent += 1
        packet = {"index": self.sent if index is None else index, "data": [payload]}
        await self.client.ws.send_str("42" + json.dumps(["request", packet]))

    async def subscribe(self, account_id: str, request_id: str = "r1") -> None:
        """Subscribe to an account."""
        await self.send(
            {"type": "subscribe", "accountId": account_id, "requestId": request_id}
        )

    def restoring(self, **changes: Any) -> dict[str, str]:
        """Return the query that asks to restore the connection, encoded as the client does."""
        request = {
            "sessionId": "c1",
            "lastSentIndex": self.sent,
            "lastReceivedIndex": self.indices[-1] if self.indices else -1,
            "firstHistoryIndex": 0,
        } | changes
        return STICKY | {"restoreStickyConnection": quote(json.dumps(request))}


@pytest.fixture
async def sticky(sim: Simulator, connect: Clients) -> StickyClient:
    """Return a subscribed client with a sticky connection."""
    client = StickyClient(await connect(sim, **STICKY))
    await client.subscribe(sim.account.id)
    await client.until("authenticated")
    return client


async def test_events_are_wrapped_and_numbered(
    sim: Simulator, sticky: StickyClient
) -> None:
    """Both directions and statuses are numbered; duplicates are ignored."""
    await sticky.until("status")
    assert sticky.indices == list(range(len(sticky.indices)))
    requests = len(sim.requests)
    await sticky.send({"type": "odd"}, index=0)
    await sticky.send({"type": "unsubscribe", "accountId": "x", "requestId": "r2"})
    assert (await sticky.until("processingError"))["requestId"] == "r2"
    assert len(sim.requests) == requests + 1
    await sticky.client.ws.send_str('42["request",{"type":"unsubscribe"}]')
    await sticky.until("status")
    assert len(sim.requests) == requests + 1


async def test_connection_is_restored(
    sim: Simulator, connect: Clients, sticky: StickyClient
) -> None:
    """The client gets only the events that it missed, on the same socket object."""
    socket = sim.sockets[0]
    sim.set_silent(sim.account.id)
    query = sticky.restoring()
    sim.drop_sockets()
    await sticky.client.ended()
    assert sim.subscribed(sim.account.id) == [socket]
    assert sim.sockets == []
    sim.set_terminal(sim.account.id, False)
    again = await connect(sim, **query)
    assert await again.event() == (
        "restore_connection",
        {"restored": True, "sendSinceIndex": 1},
    )
    assert sim.sockets == [socket]
    assert list(sim.past_sockets) == []
    sticky.client = again
    seen = list(sticky.indices)
    assert (await sticky.until("disconnected"))["accountId"] == sim.account.id
    assert sticky.indices == [*seen, seen[-1] + 1]
    await sticky.send({"type": "unsubscribe", "accountId": "x", "requestId": "r2"})
    assert (await sticky.until("processingError"))["requestId"] == "r2"


async def test_connection_is_restored_while_the_old_socket_hangs(
    sim: Simulator, connect: Clients, sticky: StickyClient
) -> None:
    """It works before the server has noticed the loss of the old socket."""
    sim.sockets[0].freeze()
    again = await connect(sim, **sticky.restoring())
    assert (await again.event())[1]["restored"] is True
    assert len(sim.sockets) == 1
    await sticky.client.ended()


@pytest.mark.parametrize(
    "changes",
    [
        {"lastReceivedIndex": 10_000},
        {"lastSentIndex": 5, "firstHistoryIndex": 3},
        {"lastSentIndex": 5, "firstHistoryIndex": None},
    ],
)
async def test_events_are_missing(
    sim: Simulator, connect: Clients, sticky: StickyClient, changes: dict[str, Any]
) -> None:
    """It is refused if one side does not have what the other one missed."""
    sim.drop_sockets()
    again = await connect(sim, **sticky.restoring(**changes))
    assert await again.event() == ("restore_connection", {"restored": False})


async def test_lifetime_is_over(
    sim: Simulator, connect: Clients, sticky: StickyClient
) -> None:
    """The client is unsubscribed, and is a new one if it returns."""
    sim.timing.sticky_lifetime = 0.1
    sim.drop_sockets()
    assert sim.subscribed(sim.account.id)
    await sim.wait_for(lambda: not sim.subscribed(sim.account.id))
    again = await connect(sim, **sticky.restoring())
    assert await again.event() == ("restore_connection", {"restored": False})


@pytest.mark.parametrize("frame", ["41", "1"])
async def test_client_leaves(sim: Simulator, sticky: StickyClient, frame: str) -> None:
    """The server waits only after a loss of the transport, not after a disconnect."""
    await sticky.client.ws.send_str(frame)
    if frame == "1":
        await sim.wait_for(lambda: not sim.sockets)
        assert sim.subscribed(sim.account.id)
    else:
        await sim.wait_for(lambda: not sim.subscribed(sim.account.id))


async def test_connection_is_not_restored_for_another_token(
    sim: Simulator, connect: Clients, sticky: StickyClient
) -> None:
    """Another token does not learn anything about the connection."""
    sim.drop_sockets()
    again = await connect(
        sim, token=sim.grant(owner="somebody else"), **sticky.restoring()
    )
    assert await again.event() == ("restore_connection", {"restored": False})


async def test_closing_while_a_client_is_awaited(
    sim: Simulator, sticky: StickyClient
) -> None:
    """The simulator closes at once, and the timer is canceled."""
    sim.drop_sockets()
    await sim.close()
    assert not sim.subscribed(sim.account.id)
    await asyncio.sleep(0)

"""Test faults on demand: temporary ones, missing answers, and delays."""

import asyncio
import json
import socket
import sys

import aiohttp
import pytest

from simulator import Simulator

from .client import Clients

# How much later than expected an event may come on a busy machine.
SLACK = 1.0


def now() -> float:
    """Return the event loop's time."""
    return asyncio.get_running_loop().time()


async def test_refusals_end_by_count(sim: Simulator, connect: Clients) -> None:
    """Two subscribes of one account fail; later ones and those of others succeed."""
    client = await connect(sim)
    first, second = sim.accounts
    sim.refuse_requests("InternalError", accounts=[first], count=2, details={})
    for _ in range(2):
        request_id = await client.request("subscribe", first)
        error = await client.until("processingError")
        assert (error["error"], error["requestId"]) == ("InternalError", request_id)
        assert error["details"] == {}
    await client.subscribe(second)
    await client.subscribe(first)
    assert not sim.box.cloud.faults or sim.box.cloud.faults[0].span.over


async def test_refusals_end_by_time(sim: Simulator, connect: Clients) -> None:
    """Every subscribe fails for some seconds."""
    client = await connect(sim)
    start = now()
    sim.refuse_requests("NotFoundError", seconds=0.3)
    while True:
        await client.request("subscribe", sim.account.id)
        name, answer = await client.event()
        if name == "response":
            break
        assert answer["error"] == "NotFoundError"
        await asyncio.sleep(0.02)
    assert 0.3 <= now() - start < 0.3 + SLACK


async def test_refusals_in_one_zone(sim: Simulator, connect: Clients) -> None:
    """Other servers and other request types are not affected."""
    sim.move(sim.account.id, zones=(0, 1))
    urls = [await sim.listen("london", zone) for zone in (0, 1)]
    a, b = [await connect(sim, url=url) for url in urls]
    sim.refuse_requests("ForbiddenError", url=urls[0], message="Not here")
    await a.request("subscribe", sim.account.id)
    assert (await a.until("processingError"))["message"].startswith("Not here (")
    await b.subscribe(sim.account.id)
    await a.request("reconnect", sim.account.id)
    await a.until("response")
    sim.accept_requests()
    await a.subscribe(sim.account.id)


async def test_too_many_requests_without_a_type(
    sim: Simulator, connect: Clients
) -> None:
    """The error about credits has a recommended time, and no `type`."""
    client = await connect(sim)
    sim.refuse_requests("TooManyRequestsError", count=1, retry_after=1)
    await client.request("subscribe", sim.account.id)
    metadata = (await client.until("processingError"))["metadata"]
    assert "type" not in metadata
    assert metadata["method"] == "subscribe"
    assert metadata["recommendedRetryTime"].endswith("Z")


async def test_mute_zone(sim: Simulator, connect: Clients) -> None:
    """A subscribe is never answered, not even with TimeoutError."""
    client = await connect(sim)
    sim.mute_requests(count=1)
    muted = await client.request("subscribe", sim.account.id)
    answered = await client.request("subscribe", sim.account.id)
    assert (await client.until("response"))["requestId"] == answered
    events = await client.collect(3 * sim.timing.subscribe_timeout)
    assert muted not in [payload.get("requestId") for _, payload in events]


async def test_the_newest_fault_applies_first(sim: Simulator, connect: Clients) -> None:
    """A temporary fault can hide a permanent one."""
    client = await connect(sim)
    sim.refuse_requests("ForbiddenError")
    sim.refuse_requests("InternalError", count=1)
    for expected in ("InternalError", "ForbiddenError", "ForbiddenError"):
        await client.request("subscribe", sim.account.id)
        assert (await client.until("processingError"))["error"] == expected


async def test_subscriptions_expire_without_an_event(
    sim: Simulator, connect: Clients
) -> None:
    """No event comes after the lifetime; a new subscribe starts it again."""
    sim.timing.subscription_lifetime = 0.3
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    await asyncio.sleep(0.2)
    start = now()
    await client.subscribe(sim.account.id, sessionId="again")
    await sim.wait_for(lambda: not sim.subscribed(sim.account.id))
    assert now() - start >= 0.25
    while await client.maybe_frame(0.1):
        pass
    sim.set_terminal(sim.account.id, False)
    assert await client.collect(0.2) == []


@pytest.mark.parametrize("kind", ["subscribe", "reconnect"])
async def test_late_responses(sim: Simulator, connect: Clients, kind: str) -> None:
    """The events of a request come at once, its `response` later."""
    sim.timing.response_delay = 0.3
    client = await connect(sim)
    start = now()
    await client.request("subscribe", sim.account.id)
    if kind == "reconnect":
        await client.until("response")
        start = now()
        await client.request("reconnect", sim.account.id)
    await client.until("authenticated", 0.3)
    await client.until("response")
    assert 0.3 <= now() - start < 0.3 + SLACK


async def test_late_authenticated(sim: Simulator, connect: Clients) -> None:
    """The event shows the earlier state, and no status comes before it."""
    sim.timing.authenticated_delay = 0.3
    client = await connect(sim)
    start = now()
    await client.request("subscribe", sim.account.id, sessionId="s1")
    await client.until("response")
    name, event = await client.event()
    assert (name, event["type"], event["sessionId"]) == (
        "synchronization",
        "authenticated",
        "s1",
    )
    assert now() - start >= 0.3
    assert (await client.event())[1]["type"] == "status"


async def test_namespace_comes_late(sim: Simulator, connect: Clients) -> None:
    """After the open packet pings are answered, and `40` follows later."""
    sim.timing.connect_delay = 0.3
    client = await connect.raw(sim)
    assert (await client.frame())[0] == "0"
    start = now()
    await client.ws.send_str("2")
    assert await client.frame() == "3"
    assert await client.frame() == "40"
    assert 0.2 < now() - start < 0.3 + SLACK
    await client.subscribe(sim.account.id)


async def test_pings_are_not_answered(sim: Simulator, connect: Clients) -> None:
    """Events are still sent, and the client is not dropped."""
    sim.wire.answer_pings = False
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    await client.ws.send_str("2")
    await sim.wait_for(lambda: sim.sockets[0].pings)
    frames = [await client.frame() for _ in range(5)]
    assert "3" not in frames
    sim.wire.answer_pings = True
    await client.ws.send_str("2")
    while await client.frame() != "3":
        pass


def frames_of(data: bytes) -> list[str]:
    """Return the texts of short websocket frames."""
    texts = []
    while data:
        length, start = data[1], 2
        if length == 126:
            length, start = int.from_bytes(data[2:4]), 4
        texts.append(data[start : start + length].decode())
        data = data[start + length :]
    return texts


async def test_greeting_is_in_the_segment_of_the_namespace(sim: Simulator) -> None:
    """A single read gets the open packet, `40` and the event."""
    event = {"type": "authenticated", "accountId": "a", "sessionId": "foreign"}
    sim.wire.greeting = [event]
    port = int(sim.url.rsplit(":", 1)[1])
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", port))
        query = f"EIO=3&transport=websocket&auth-token={sim.token}"
        await loop.sock_sendall(
            sock,
            f"GET /ws/?{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode(),
        )
        await sim.wait_for(lambda: sim.sockets and sim.sockets[0].connected)
        head, _, data = (await loop.sock_recv(sock, 65_536)).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        if not data:
            data = await loop.sock_recv(sock, 65_536)
        opened, connected, greeting = frames_of(data)
        assert (opened[:2], connected, greeting[:2]) == ("0{", "40", "42")
        assert json.loads(greeting[2:]) == ["synchronization", event]
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        # The kernel's `tcpi_data_segs_in`: one for the upgrade, one with all three frames.
        assert int.from_bytes(info[152:156], sys.byteorder) == 2


async def test_sockets_are_redirected(sim: Simulator, connect: Clients) -> None:
    """The upgrade is answered with a redirect to any location."""
    sim.refuse_sockets(302, location="http://127.0.0.1:1/elsewhere")
    params = {"EIO": "3", "transport": "websocket", "auth-token": sim.token}
    headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
    async with connect.session.get(
        sim.url + "/ws/", params=params, headers=headers, allow_redirects=False
    ) as response:
        assert response.status == 302
        assert response.headers["Location"] == "http://127.0.0.1:1/elsewhere"
    sim.refuse_sockets(None)
    await connect(sim)


async def test_one_server_is_frozen(sim: Simulator, connect: Clients) -> None:
    """It accepts connections without answering, while another one answers; the rest comes later."""
    sim.move(sim.account.id, zones=(0, 1))
    urls = [await sim.listen("london", zone) for zone in (0, 1)]
    a, b = [await connect(sim, url=url) for url in urls]
    sim.freeze(url=urls[0])
    assert not sim.frozen
    await a.request("subscribe", sim.account.id)
    opening = asyncio.create_task(connect.raw(sim, url=urls[0]))
    await b.subscribe(sim.account.id)
    assert await a.maybe_frame(0.1) is None
    assert not opening.done()
    sim.unfreeze(url=urls[0])
    await a.until("response")
    await (await opening).start()
    with pytest.raises(ValueError, match="no such server"):
        sim.freeze(url="http://127.0.0.1:1")


async def test_sockets_of_one_server_are_dropped(
    sim: Simulator, connect: Clients
) -> None:
    """The sockets of another server stay open."""
    url = await sim.listen("london")
    a, b = await connect(sim, url=url), await connect(sim)
    assert sim.drop_sockets(url=url) == 1
    assert await a.ended() == []
    await b.subscribe(sim.account.id)
    assert sim.close_sockets(url=url) == 0


async def test_account_appears_in_the_other_zone(
    sim: Simulator, connect: Clients
) -> None:
    """Its host in zone a ends without an event, and it runs in zone b."""
    urls = [await sim.listen("london", zone) for zone in (0, 1)]
    a, b = [await connect(sim, url=url) for url in urls]
    await a.subscribe(sim.account.id)
    await b.request("subscribe", sim.account.id)
    sim.move(sim.account.id, zones=(1,), announce=False)
    await b.until("response")
    events = await a.collect(0.2)
    assert "disconnected" not in {payload["type"] for _, payload in events}
    await b.subscribe(sim.account.id, sessionId="s2")


async def test_token_is_refused_for_a_time(sim: Simulator, connect: Clients) -> None:
    """The socket and REST refuse the token, then accept it again without further action."""
    url, headers = sim.url + "/users/current/regions", {"auth-token": sim.token}
    sim.revoke(seconds=0.3)
    start = now()
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await connect(sim)
    async with connect.session.get(url, headers=headers) as response:
        assert response.status == 401
    await sim.wait_for(lambda: not sim.tokens[sim.token].revoked)
    assert now() - start >= 0.3
    await connect(sim)
    sim.revoke()
    assert sim.tokens[sim.token].revoked
    sim.restore()
    await connect(sim)


async def test_rest_is_away(sim: Simulator, session: aiohttp.ClientSession) -> None:
    """The proxy in front of MetaApi answers 530 with a page; 504 is MetaApi's own error."""
    url, headers = sim.url + "/users/current/regions", {"auth-token": sim.token}
    sim.fail_rest(530, seconds=0.3)
    async with session.get(url, headers=headers) as response:
        assert (response.status, response.content_type) == (530, "text/html")
        assert "<html>" in await response.text()
    await sim.wait_for(lambda: sim.rest_fault is None)
    sim.fail_rest(504, count=1)
    async with session.get(url, headers=headers) as response:
        assert response.status == 504
        assert (await response.json())["error"] == "TimeoutError"
    async with session.get(url, headers=headers) as response:
        assert response.status == 200

"""Test the endpoint `/ws/`: Engine.IO 3 and Socket.IO 2 as the real servers behave."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from simulator import Simulator

from .client import Client, Clients, open_files


async def test_open_packet_and_namespace_come_unasked(
    sim: Simulator, connect: Clients
) -> None:
    """The server sends the first packets, and connects the namespace without a request."""
    client = await connect.raw(sim)
    opened = await client.frame()
    assert opened[0] == "0"
    packet = json.loads(opened[1:])
    assert packet.pop("sid") == sim.sockets[0].sid
    assert packet == {"upgrades": [], "pingInterval": 25000, "pingTimeout": 5000}
    assert await client.frame() == "40"


async def test_pongs_have_the_data_of_pings(sim: Simulator, connect: Clients) -> None:
    """`2` gets `3`, `2x` gets `3x`."""
    client = await connect(sim)
    await client.ws.send_str("2")
    assert await client.frame() == "3"
    await client.ws.send_str("2probe")
    assert await client.frame() == "3probe"
    assert sim.sockets[0].pings == 2


type Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def raw_websocket(sim: Simulator) -> Pipe:
    """Open a websocket without a library; the caller sends and reads the bytes."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(sim.url.rsplit(":", 1)[1])
    )
    writer.write(
        f"GET /ws/?EIO=3&transport=websocket&auth-token={sim.token} HTTP/1.1\r\nHost: x\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
    )
    async with asyncio.timeout(5):
        await reader.readuntil(b"\x0240")
    return reader, writer


async def test_websocket_pings_are_answered(sim: Simulator) -> None:
    """Pings of the websocket get a pong, but not while the server is frozen."""
    reader, writer = await raw_websocket(sim)
    writer.write(b"\x89\x81\0\0\0\0x")
    async with asyncio.timeout(5):
        await reader.readuntil(b"\x8a\x01x")
    sim.freeze()
    writer.write(b"\x89\x81\0\0\0\0y" * 2)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.readuntil(b"\x8a\x01y"), 0.2)
    sim.unfreeze()
    async with asyncio.timeout(5):
        await reader.readuntil(b"\x8a\x01y")
    writer.transport.abort()


async def test_client_that_does_not_ping_is_dropped(
    sim: Simulator, connect: Clients
) -> None:
    """It is dropped after pingInterval and pingTimeout."""
    sim.timing.ping_interval, sim.timing.ping_timeout = 0.2, 0.1
    client = await connect(sim)
    start = asyncio.get_running_loop().time()
    await client.ended(timeout=2)
    assert 0.28 < asyncio.get_running_loop().time() - start < 1.5
    await sim.wait_for(lambda: sim.past_sockets)
    assert sim.past_sockets[0].close_reason == "ping timeout"


async def test_client_that_pings_stays_connected(
    sim: Simulator, connect: Clients
) -> None:
    """It stays connected for more than ten ping periods."""
    sim.timing.ping_interval, sim.timing.ping_timeout = 0.1, 0.5
    client = await connect(sim)
    for _ in range(12):
        await asyncio.sleep(0.1)
        await client.ws.send_str("2")
        assert await client.frame() == "3"
    assert len(sim.sockets) == 1


@pytest.mark.parametrize("upgrade", [True, False])
async def test_path_without_slash(
    sim: Simulator, connect: Clients, monkeypatch: pytest.MonkeyPatch, upgrade: bool
) -> None:
    """A websocket on this path is dropped without an answer; other requests get 404."""
    monkeypatch.setattr("simulator.engine.DESTROY_UPGRADE_AFTER", 0.05)
    if upgrade:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await connect.raw(sim, path="/ws")
    else:
        async with connect.session.get(sim.url + "/ws") as response:
            assert response.status == 404
    assert not sim.handshakes


@pytest.mark.parametrize(
    ("asked", "code", "message"),
    [
        (("GET", {"transport": "flashsocket"}), 0, "Transport unknown"),
        (("GET", {}), 0, "Transport unknown"),
        (("GET", {"transport": "polling", "sid": "nobody"}), 1, "Session ID unknown"),
        (("POST", {"transport": "polling"}), 2, "Bad handshake method"),
        (("GET", {"transport": "websocket"}), 3, "Bad request"),
    ],
)
async def test_bad_handshakes_get_engine_ios_errors(
    sim: Simulator,
    session: aiohttp.ClientSession,
    asked: tuple[str, dict[str, str]],
    code: int,
    message: str,
) -> None:
    """Each gets engine.io's error code."""
    method, query = asked
    async with session.request(method, sim.url + "/ws/", params=query) as response:
        assert response.status == 400
        assert await response.json() == {"code": code, "message": message}


async def test_handshake_is_recorded(sim: Simulator, connect: Clients) -> None:
    """Tests can read the query and the headers."""
    client = await connect(
        sim, headers={"Client-Id": "0.5"}, clientId="0.5", protocol="3"
    )
    await client.request("subscribe", sim.account.id, extra=1)
    await client.until("response")
    socket = sim.sockets[0]
    assert socket.query["protocol"] == "3"
    assert socket.token == sim.token
    assert socket.headers["client-id"] == socket.client_id == "0.5"
    assert [each.status for each in sim.handshakes] == [101]
    assert sim.handshakes[0].query == socket.query
    assert sim.requests[0].socket is socket
    assert sim.requests[0].payload["extra"] == 1
    assert sim.requests_of("subscribe", sim.account.id) == list(socket.requests)
    assert sim.requests_of("unsubscribe") == []
    assert json.loads(socket.frames[-1][2:])[0] == "request"


@pytest.mark.parametrize(
    ("query", "form", "text"),
    [
        ({}, "auto", False),
        ({"protocol": "1"}, "auto", False),
        ({"protocol": "2"}, "auto", True),
        ({"protocol": "3"}, "auto", True),
        ({"protocol": "x"}, "auto", False),
        ({"protocol": "3"}, "object", False),
        ({}, "string", True),
    ],
)
async def test_payloads_are_text_or_objects(
    sim: Simulator, connect: Clients, query: dict[str, str], form: Any, text: bool
) -> None:
    """The `protocol` in the query or a setting decides; errors are always objects."""
    sim.wire.payload_form = form
    client = await connect(sim, **query)
    await client.request("subscribe", sim.account.id)
    for name in ("response", "synchronization", "synchronization"):
        event, payload = json.loads((await client.frame())[2:])
        assert event == name
        assert isinstance(payload, str if text else dict)
    await client.send({})
    while (frame := json.loads((await client.frame())[2:]))[0] != "processingError":
        pass
    assert isinstance(frame[1], dict)


async def test_namespace_requested_again(sim: Simulator, connect: Clients) -> None:
    """A Socket.IO 3 client that sends `40` is connected twice, as by the real server."""
    client = await connect(sim)
    await client.ws.send_str("40")
    assert await client.frame() == "40"
    assert sim.sockets[0].connects == 2


async def test_other_namespaces_are_refused(sim: Simulator, connect: Clients) -> None:
    """Only the default namespace exists."""
    client = await connect(sim)
    await client.ws.send_str("40/admin?x=1,")
    assert await client.frame() == '44/admin,"Invalid namespace"'


async def test_client_leaves_the_namespace(sim: Simulator, connect: Clients) -> None:
    """Its subscriptions end; the socket stays open."""
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    await client.ws.send_str("41")
    await sim.wait_for(lambda: not sim.subscribed(sim.account.id))
    await client.request("subscribe", sim.account.id)
    await client.ws.send_str("2")
    while (frame := await client.frame()) != "3":
        assert "status" in frame
    assert not sim.subscribed(sim.account.id)


async def test_client_closes(sim: Simulator, connect: Clients) -> None:
    """The packet `1` closes the socket."""
    client = await connect(sim)
    await client.ws.send_str("1")
    assert await client.ended() == []
    await sim.wait_for(lambda: not sim.sockets)


@pytest.mark.parametrize(
    "frame",
    [
        "4",
        "42",
        "42{",
        "42[]",
        "42[1]",
        '42["request"',
        '42{"a":1}',
        "43",
        "47",
        "45-[]",
        "451-[]",
        "46",
        "49x",
        "42" + "[" * 100_000,
        '42["request",' + "9" * 10_000 + "]",
        "42/nowhere,",
        '42/nowhere,["request",{}]',
        '42["unknown",{"a":1}]',
        '42["request"]',
        '42["request",1,2]',
        '42["request",null]',
        '42["request",[]]',
        '42["request","text"]',
        '42["request",{"requestId":1}]',
        '42["request",{"requestId":"\\ud800","accountId":"\\ud800","type":"\\ud800"}]',
        '4217["request",{}]',
        "0{}",
        "3",
        "5",
        "6",
    ],
)
async def test_invalid_frames_are_ignored(
    sim: Simulator, connect: Clients, frame: str
) -> None:
    """The socket stays open."""
    client = await connect(sim)
    await client.ws.send_str(frame)
    authenticated = await client.subscribe(sim.account.id)
    assert authenticated["accountId"] == sim.account.id


@pytest.mark.parametrize("frame", ["", "x", "7", "hello", "{}", "b4AAAA", "😀"])
async def test_invalid_packet_type_ends_the_socket(
    sim: Simulator, connect: Clients, frame: str
) -> None:
    """It is a parse error, as in Engine.IO."""
    client, other = await connect(sim), await connect(sim)
    await client.ws.send_str(frame)
    assert await client.ended() == []
    await sim.wait_for(lambda: sim.past_sockets)
    assert sim.past_sockets[0].close_reason == "parse error"
    await other.subscribe(sim.account.id)


async def test_binary_frame_ends_the_socket(sim: Simulator, connect: Clients) -> None:
    """Binary events are not supported."""
    client = await connect(sim)
    await client.ws.send_bytes(b"\x04abc")
    assert await client.ended() == []
    await sim.wait_for(lambda: sim.past_sockets)


async def test_frame_over_the_limit_ends_the_socket(
    sim: Simulator, connect: Clients
) -> None:
    """The limit is 4 MB; a frame just below it is read."""
    client = await connect(sim)
    await client.ws.send_str('42["x","' + "x" * (4 * 1024 * 1024 - 100) + '"]')
    await client.subscribe(sim.account.id)
    await client.ws.send_str("4" + "x" * (4 * 1024 * 1024))
    assert all("status" in frame for frame in await client.ended())
    assert client.ws.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
    await sim.wait_for(lambda: not sim.sockets)


async def test_big_frame_is_sent(sim: Simulator, connect: Clients) -> None:
    """A frame of 2 MB arrives, and pings are still answered."""
    client = await connect(sim)
    assert (
        sim.inject(
            '42["synchronization",{"type":"x","data":"' + "x" * 2_000_000 + '"}]'
        )
        == 1
    )
    await client.ws.send_str("2")
    assert len(await client.frame()) > 2_000_000
    assert await client.frame() == "3"


async def test_bad_token_gets_401(sim: Simulator, connect: Clients) -> None:
    """By default the handshake is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await connect.raw(sim, token="nobody's")
    assert error.value.status == 401
    assert [each.status for each in sim.handshakes] == [401]
    assert not sim.sockets


async def test_bad_token_is_closed(sim: Simulator, connect: Clients) -> None:
    """The socket is connected, then closed."""
    sim.wire.bad_token = "close"
    client = await connect(sim, token="nobody's")
    assert await client.ended() == ["41"]


async def test_bad_token_gets_error_packet(sim: Simulator, connect: Clients) -> None:
    """As with a middleware of Socket.IO, the namespace is refused and the socket stays open."""
    sim.wire.bad_token = "error_packet"
    client = await connect.raw(sim, token="nobody's")
    assert (await client.frame())[0] == "0"
    assert await client.frame() == '44"Authentication error"'
    await client.ws.send_str("2")
    assert await client.frame() == "3"
    assert not sim.sockets[0].connected


async def test_bad_token_gets_error_to_its_request(
    sim: Simulator, connect: Clients
) -> None:
    """The socket opens, and the first request fails."""
    sim.wire.bad_token = "processing_error"
    client = await connect(sim, token="nobody's")
    request_id = await client.request("subscribe", sim.account.id)
    error = await client.until("processingError")
    assert (error["error"], error["requestId"]) == ("UnauthorizedError", request_id)


@pytest.mark.parametrize("status", [401, 403, 429, 500, 502])
async def test_sockets_are_refused_on_demand(
    sim: Simulator, connect: Clients, status: int
) -> None:
    """Any HTTP status can be used, until the refusal is lifted."""
    sim.refuse_sockets(status, retry_after=7)
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await connect.raw(sim)
    assert error.value.status == status
    assert error.value.headers is not None
    assert error.value.headers["Retry-After"] == "7"
    sim.refuse_sockets(None)
    await connect(sim)
    assert [each.status for each in sim.handshakes] == [status, 101]


async def test_namespace_is_withheld(sim: Simulator, connect: Clients) -> None:
    """For tests of clients that wait for it."""
    sim.wire.connect_packet = None
    client = await connect.raw(sim)
    await client.frame()
    await client.ws.send_str("2")
    assert await client.frame() == "3"


async def test_open_packet_is_replaced(sim: Simulator, connect: Clients) -> None:
    """For tests of clients that read it."""
    sim.wire.open_packet = "0{}"
    assert await (await connect.raw(sim)).frame() == "0{}"


async def test_handshake_is_slow(sim: Simulator, connect: Clients) -> None:
    """For tests of clients with a timeout."""
    sim.timing.handshake_delay = 0.2
    start = asyncio.get_running_loop().time()
    await connect(sim)
    assert asyncio.get_running_loop().time() - start >= 0.2


async def test_sockets_are_dropped(sim: Simulator, connect: Clients) -> None:
    """All sockets, or those of an account, are dropped without a packet."""
    one, two = await connect(sim), await connect(sim)
    first, second = sim.accounts
    await one.subscribe(first)
    await two.subscribe(second)
    assert sim.drop_sockets(first) == 1
    frames = await one.ended()
    assert all("status" in frame for frame in frames)
    assert one.ws.close_code == 1006
    assert sim.subscribed(first) == []
    assert len(sim.sockets) == 1
    assert sim.drop_sockets() == 1
    await two.ended()
    assert sim.sockets == []
    assert [each.close_reason for each in sim.past_sockets] == ["dropped", "dropped"]


@pytest.mark.parametrize(
    ("options", "frames", "code"),
    [
        ({}, ["41", "1"], 1000),
        ({"packet": False}, ["41"], 1000),
        ({"namespace": False}, ["1"], 1000),
        ({"namespace": False, "packet": False, "code": 1012}, [], 1012),
    ],
)
async def test_sockets_are_closed(
    sim: Simulator,
    connect: Clients,
    options: dict[str, Any],
    frames: list[str],
    code: int,
) -> None:
    """Each part of the close is optional."""
    client = await connect(sim)
    assert sim.close_sockets(**options) == 1
    assert await client.ended() == frames
    assert client.ws.close_code == code
    await sim.wait_for(lambda: not sim.sockets)


async def test_close_ends_though_the_client_does_not_answer(
    sim: Simulator, connect: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that does not answer the close does not keep the socket open."""
    monkeypatch.setattr("simulator.engine.CLOSE_TIMEOUT", 0.1)
    await connect(sim)
    sim.close_sockets()
    await sim.wait_for(lambda: not sim.sockets, timeout=1)


async def test_close_ends_though_the_client_reads_nothing(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client with full buffers does not keep the socket open."""
    monkeypatch.setattr("simulator.transport.CLOSE_TIMEOUT", 0.1)
    _, writer = await raw_websocket(sim)
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()
    for _ in range(20):
        sim.inject("4" + "x" * 2_000_000)
    await asyncio.sleep(0.05)
    sim.close_sockets()
    await sim.wait_for(lambda: not sim.sockets, timeout=2)
    assert sim.past_sockets[0].close_reason == "close timed out"
    writer.transport.abort()


async def test_drop_does_not_wait_for_the_queue(sim: Simulator) -> None:
    """The connection is aborted though the client reads nothing."""
    files = open_files()
    _, writer = await raw_websocket(sim)
    assert isinstance(writer.transport, asyncio.Transport)
    writer.transport.pause_reading()
    for _ in range(20):
        sim.inject("4" + "x" * 2_000_000)
    await asyncio.sleep(0.1)
    assert open_files() == files + 2
    sim.drop_sockets()
    assert not sim.sockets
    await sim.wait_for(lambda: open_files() == files + 1, timeout=1)
    writer.transport.abort()


async def test_namespace_is_ended(sim: Simulator, connect: Clients) -> None:
    """After `41` the socket still answers pings, and has no subscription."""
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    assert sim.disconnect_sockets() == 1
    await client.ws.send_str("2")
    frames = [await client.frame()]
    while frames[-1] != "3":
        frames.append(await client.frame())
    assert "41" in frames
    assert not any("42" in frame for frame in frames[frames.index("41") :])
    assert sim.subscribed(sim.account.id) == []


async def test_error_packet_is_sent(sim: Simulator, connect: Clients) -> None:
    """The data can be chosen."""
    client = await connect(sim)
    sim.send_error_packet("no")
    sim.send_error_packet({"message": "no"})
    assert await client.frame() == '44"no"'
    assert await client.frame() == '44{"message":"no"}'


async def test_raw_frames_are_sent(sim: Simulator, connect: Clients) -> None:
    """Any text can be sent, except what a websocket cannot carry."""
    client = await connect(sim)
    assert sim.inject("42{ü") == 1
    assert await client.frame() == "42{ü"
    with pytest.raises(ValueError, match="surrogate"):
        sim.inject("\ud800")


async def test_frozen_servers_answer_nothing(sim: Simulator, connect: Clients) -> None:
    """No pong, response, event or handshake is sent until the servers are unfrozen."""
    sim.timing.ping_interval, sim.timing.ping_timeout = 0.1, 0.1
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    sim.freeze()
    assert sim.frozen
    await client.ws.send_str("2")
    request_id = await client.request("unsubscribe", sim.account.id)
    sim.set_terminal(sim.account.id, False)
    requests = len(sim.requests)
    late = asyncio.create_task(connect.raw(sim))
    # A status that was sent before may still arrive; nobody is dropped in three ping periods.
    while frame := await client.maybe_frame(0.6):
        assert "status" in frame
    assert len(sim.sockets) == 1
    assert len(sim.requests) == requests
    assert sim.sockets[0].pings == 0
    assert not late.done()
    async with connect.session.get(
        sim.url + "/users/current/regions", headers={"auth-token": sim.token}
    ) as response:
        assert response.status == 200
    sim.unfreeze()
    events = []
    while (frame := await client.frame()) != "3":
        events.append(frame)
    assert any("disconnected" in each for each in events)
    assert (await client.until("response"))["requestId"] == request_id
    await (await late).start()


async def test_frozen_rest(sim: Simulator, session: aiohttp.ClientSession) -> None:
    """REST freezes on demand."""
    sim.freeze(rest=True)
    url, headers = sim.url + "/users/current/regions", {"auth-token": sim.token}
    call = asyncio.create_task(session.get(url, headers=headers))
    await asyncio.sleep(0.1)
    assert not call.done()
    sim.unfreeze()
    async with asyncio.timeout(5):
        assert (await call).status == 200


async def test_one_socket_is_frozen(sim: Simulator, connect: Clients) -> None:
    """The other sockets are not frozen."""
    one, two = await connect(sim), await connect(sim)
    sim.sockets[0].freeze()
    await one.ws.send_str("2")
    await two.ws.send_str("2")
    assert await two.frame() == "3"
    assert await one.maybe_frame(0.1) is None
    sim.sockets[0].unfreeze()


async def test_dropping_frozen_sockets(sim: Simulator, connect: Clients) -> None:
    """They are dropped without unfreezing them."""
    client = await connect(sim)
    sim.freeze()
    sim.drop_sockets()
    await client.ended()
    assert not sim.sockets


async def poll(
    session: aiohttp.ClientSession, sim: Simulator, sid: str, **options: Any
) -> str:
    """Poll once, or post."""
    params = {"EIO": "3", "transport": "polling", "sid": sid}
    method = "POST" if options else "GET"
    async with session.request(
        method, sim.url + "/ws/", params=params, **options
    ) as response:
        assert response.status == 200, await response.text()
        return await response.text()


async def test_polling(sim: Simulator, session: aiohttp.ClientSession) -> None:
    """The default transport of clients works, with both forms of payload."""
    sim.set_silent(sim.account.id)
    params = {"EIO": "3", "transport": "polling", "auth-token": sim.token}
    async with session.get(sim.url + "/ws/", params=params) as response:
        text = await response.text()
    assert text.endswith("2:40")
    opened = json.loads(text[text.index("{") : -4])
    assert opened["upgrades"] == ["websocket"]
    sid = opened["sid"]
    request = {"type": "subscribe", "accountId": sim.account.id, "requestId": "ä😀"}
    frame = "42" + json.dumps(["request", request], ensure_ascii=False)
    units = len(frame.encode("utf-16-le")) // 2
    assert await poll(session, sim, sid, data=f"{units}:{frame}1:2".encode()) == "ok"
    answer = await poll(session, sim, sid)
    first = answer.partition(":")[2]
    assert first.startswith('42["response"')
    assert '"requestId":"ä😀"' in first
    assert "authenticated" in answer
    assert answer.endswith("1:3")
    await poll(session, sim, sid, data=b"\0\x01\xff2")
    while "3" not in answer.partition(":")[2][:1]:
        answer = await poll(session, sim, sid)
    assert sim.sockets[0].pings == 2
    sim.close_sockets()
    while not (answer := await poll(session, sim, sid)).endswith("2:411:1"):
        assert "status" in answer
    assert not sim.sockets


async def open_polling(session: aiohttp.ClientSession, sim: Simulator) -> str:
    """Open a polling session; return its id."""
    params = {"EIO": "3", "transport": "polling", "auth-token": sim.token}
    async with session.get(sim.url + "/ws/", params=params) as response:
        assert response.status == 200
    return sim.sockets[-1].sid


async def test_two_polls_at_once(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """As in Engine.IO, this ends the session and the first poll."""
    sid = await open_polling(session, sim)
    first = asyncio.create_task(poll(session, sim, sid))
    await sim.wait_for(lambda: sim.sockets[0].polling)
    params = {"EIO": "3", "transport": "polling", "sid": sid}
    async with session.get(sim.url + "/ws/", params=params) as response:
        assert response.status == 400
    assert sim.past_sockets[0].close_reason == "overlap from client"
    async with asyncio.timeout(5):
        # The first poll is dropped; aiohttp repeats it, and the session is unknown by then.
        with pytest.raises(AssertionError, match="Session ID unknown"):
            await first


async def test_bad_post(sim: Simulator, session: aiohttp.ClientSession) -> None:
    """An invalid payload ends the session."""
    sid = await open_polling(session, sim)
    params = {"EIO": "3", "transport": "polling", "sid": sid}
    async with session.post(sim.url + "/ws/", params=params, data=b"5:ab") as response:
        assert response.status == 400
    assert sim.past_sockets[0].close_reason == "parse error"


async def test_polling_client_that_has_gone(
    sim: Simulator, session: aiohttp.ClientSession
) -> None:
    """It is dropped like any client that does not ping."""
    sim.timing.ping_interval = sim.timing.ping_timeout = 0.05
    await open_polling(session, sim)
    await sim.wait_for(lambda: not sim.sockets, timeout=1)
    assert sim.past_sockets[0].close_reason == "ping timeout"


async def test_upgrade(sim: Simulator, connect: Clients) -> None:
    """An open poll is answered with a noop; then the websocket carries everything."""
    sid = await open_polling(connect.session, sim)
    waiting = asyncio.create_task(poll(connect.session, sim, sid))
    await sim.wait_for(lambda: sim.sockets[0].polling)
    client = await connect.raw(sim, sid=sid)
    await client.ws.send_str("2probe")
    assert await client.frame() == "3probe"
    assert await waiting == "1:6"
    await client.ws.send_str("5")
    await client.subscribe(sim.account.id)
    assert len(sim.handshakes) == 1
    assert sim.sockets[0].upgraded
    params = {"EIO": "3", "transport": "polling", "sid": sid}
    async with connect.session.get(sim.url + "/ws/", params=params) as response:
        assert response.status == 400
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await connect.raw(sim, sid=sid)
    await client.subscribe(sim.account.id)


async def test_session_belongs_to_its_port(sim: Simulator, connect: Clients) -> None:
    """Another server does not know the session."""
    sid = await open_polling(connect.session, sim)
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await connect.raw(sim, url=await sim.listen("london"), sid=sid)


async def test_upgrade_that_fails(sim: Simulator, connect: Clients) -> None:
    """The session continues by polling."""
    sid = await open_polling(connect.session, sim)
    client: Client = await connect.raw(sim, sid=sid)
    await client.ws.send_str("nonsense")
    assert await client.ended() == []
    await poll(connect.session, sim, sid, data="1:2")
    assert await poll(connect.session, sim, sid) == "1:3"

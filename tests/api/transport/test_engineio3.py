"""The socket's engine against a server written by hand, which does wrong what a real one does seldom."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
import logging
import time
from typing import Any, cast, override
from urllib.parse import parse_qsl, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from api.errors import (
    CannotConnectError,
    ConnectionLostError,
    HandshakeEndedError,
    HandshakeRefusedError,
    NotConnectedError,
)
from api.support import SocketCounters
from api.timing import Timing
from api.token import redact
from api.transport.engineio3 import MAX_FRAME_SIZE, EngineIO3
import engineio
from hypothesis import given, settings, strategies as st
import pytest
import socketio

from tests.api.loopback import (
    STRICT,
    TOKEN,
    Events,
    Sockets,
    eventually,
    find_leaks,
    find_logged,
)
from tests.api.raw import (
    BINARY,
    CLOSE,
    CONNECTED,
    PING,
    PONG,
    TEXT,
    Peer,
    Raw,
    Script,
    engine,
    frame,
    opening,
    upgrade,
)

from .dialect import (
    QUICK,
    RANDOM,
    SLACK,
    STAGES,
    fill_send_buffer,
    is_gone,
    loops_of_sockets,
    now,
    saying,
    server_tls,
    silent_after_connect,
    stuck,
)

pytestmark = STRICT

# --- What goes out ---------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/", "/proxy/metaapi", "/proxy/metaapi/"])
async def test_upgrade_request(sockets: Sockets, prefix: str) -> None:
    """Path, query and header are those of today's clients; the path of a base URL is kept."""
    async with Raw(engine()) as server:
        await sockets.connect(server.url + prefix)
        peer = await server.peer()
        parts = urlsplit(peer.target)
        assert parts.path == prefix.rstrip("/") + "/ws/"
        assert parse_qsl(parts.query) == [
            ("transport", "websocket"),
            ("EIO", "3"),
            ("auth-token", TOKEN),
            ("clientId", "0.5"),
            ("protocol", "3"),
        ]
        assert peer.headers["client-id"] == "0.5"
        assert len(server.peers) == 1


async def test_any_token_arrives_as_it_is(sockets: Sockets) -> None:
    """A token with signs that mean something in a URL reaches the server unchanged."""
    token = "a&b=c+d/e f%20g#h?i\u00e9"
    async with Raw(engine()) as server:
        await sockets.connect(server.url, token)
        query = dict(parse_qsl(urlsplit((await server.peer()).target).query))
        assert query["auth-token"] == token


# --- The handshake, and what can be wrong with it --------------------------------------------------

BAD_OPENINGS = {
    "no sid": opening(sid=None),
    "sid no text": opening(sid=7),
    "no interval": opening(pingInterval=None),
    "no timeout": opening(pingTimeout=None),
    "interval zero": opening(pingInterval=0),
    "interval negative": opening(pingInterval=-25000),
    "interval NaN": opening(pingInterval=float("nan")),
    "interval infinite": opening(pingInterval=float("inf")),
    "interval too big for a float": opening().replace("25000", "1e999"),
    "interval huge": opening(pingInterval=10**30),
    "interval of 400 digits": opening().replace("25000", "9" * 400),
    "interval of 9000 digits": opening().replace("25000", "9" * 9000),
    "interval too short to live with": opening(pingInterval=1),
    "interval a text": opening(pingInterval="25000"),
    "interval a word": opening(pingInterval="often"),
    "interval a truth": opening(pingInterval=True),
    "interval a list": opening(pingInterval=[25000]),
    "timeout zero": opening(pingTimeout=0),
    "timeout negative": opening(pingTimeout=-1),
    "timeout NaN": opening(pingTimeout=float("nan")),
    "timeout huge": opening(pingTimeout=10**12),
    "timeout a text": opening(pingTimeout="5000"),
    "not JSON": "0{",
    "nothing after the type": "0",
    "a list": "0[]",
    "a number": "025000",
    "a text": '0"sid"',
    "null": "0null",
    "very deep": "0" + "[" * 100_000,
    "another packet": "40",
    "an event": '42["response",{}]',
    "a close packet": "1",
    "an empty text": "",
    "no packet": "hello",
}


@pytest.mark.parametrize("text", BAD_OPENINGS.values(), ids=BAD_OPENINGS.keys())
async def test_bad_open_packet(sockets: Sockets, text: str) -> None:
    """What is no open packet of Engine.IO 3 ends in an error of ours, at once."""
    async with Raw(saying(text, CONNECTED)) as server:
        start = now()
        with pytest.raises(CannotConnectError, match=r"not an Engine\.IO 3 server"):
            await sockets.connect(server.url)
        assert now() - start < 1
        await is_gone(server)


@pytest.mark.parametrize(
    ("opcode", "payload"),
    [
        (BINARY, opening().encode()),
        (CLOSE, b""),
        (CLOSE, b"\x03\xe8"),
        (TEXT, b"0\xff"),
        (3, b""),
    ],
    ids=["binary", "close", "close with code", "no UTF-8", "reserved opcode"],
)
async def test_bad_first_frame(sockets: Sockets, opcode: int, payload: bytes) -> None:
    """The same goes for frames that hold no text."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send_frame(opcode, payload)
        await peer.serve()

    async with Raw(script) as server:
        with pytest.raises(CannotConnectError):
            await sockets.connect(server.url, timing=QUICK)
        await is_gone(server)


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_control_frames_before_the_open_packet(
    sockets: Sockets, opcode: int
) -> None:
    """A proxy may send them, and expects its pings answered."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        for _ in range(3):
            peer.send_frame(opcode, b"x")
        if opcode == PING:
            assert await peer.receive() == (PONG, b"x")
        peer.send(opening())
        peer.send(CONNECTED)
        await peer.serve()

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        (await server.peer()).send_frame(opcode, b"y")
        await socket.probe()
        assert socket.connected


async def test_ping_of_a_server_that_is_gone(sockets: Sockets) -> None:
    """A pong that cannot be sent any more is no fault of ours: the end is told."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        for _ in range(50):
            peer.send_frame(PING, b"x")
        await peer.writer.drain()
        peer.reset()

    async with Raw(script) as server:
        for _ in range(10):
            with pytest.raises(HandshakeEndedError):
                await sockets.connect(server.url)
        await is_gone(server)


@pytest.mark.parametrize("opcode", [PING, PONG])
async def test_flood_before_the_open_packet(sockets: Sockets, opcode: int) -> None:
    """Control frames without an end are no handshake."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.writer.write(frame(opcode) * 50_000)
        await peer.serve()

    async with Raw(script) as server:
        with pytest.raises(CannotConnectError, match="a flood of frames"):
            await asyncio.wait_for(sockets.connect(server.url), 5)
        await is_gone(server)


@pytest.mark.parametrize(
    "cut", [Peer.reset, lambda peer: peer.writer.close()], ids=["reset", "end"]
)
@pytest.mark.parametrize(
    "after", ["nothing", "request", "upgrade", "opening", "opening, at once"]
)
async def test_connection_cut_in_the_handshake(
    sockets: Sockets, cut: Callable[[Peer], None], after: str
) -> None:
    """A server that hangs up, at whatever stage, is an error of ours."""

    async def script(peer: Peer) -> None:
        if after != "nothing":
            await peer.read_request()
        if after in ("upgrade", "opening", "opening, at once"):
            peer.switch()
        if after.startswith("opening"):
            peer.send(opening())
        if after == "opening":
            await eventually(loops_of_sockets)
        cut(peer)

    async with Raw(script) as server:
        with pytest.raises(CannotConnectError) as caught:
            await sockets.connect(server.url)
        taken = after not in ("nothing", "request")
        assert isinstance(caught.value, HandshakeEndedError) == taken
        await is_gone(server)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 502, 503, 301])
async def test_refused_with_a_status(sockets: Sockets, status: int) -> None:
    """A refusal keeps its HTTP status, and is raised once."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        peer.answer(f"{status} Whatever", body="because")

    async with Raw(script) as server:
        with pytest.raises(HandshakeRefusedError) as caught:
            await sockets.connect(server.url)
        assert caught.value.status == status
        assert len(server.peers) == 1
        await is_gone(server)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "target", ["a server that works", "itself", "nowhere", "no address"]
)
async def test_a_redirect_is_a_refusal(
    sockets: Sockets, status: int, target: str
) -> None:
    """A server that sends us elsewhere has refused: only the user says who gets the token."""
    location = ""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        peer.answer(f"{status} Elsewhere", f"Location: {location}", "Connection: close")

    async with Raw(engine()) as other, Raw(script) as server:
        location = {
            "a server that works": f"{other.url}/ws/?EIO=3&transport=websocket",
            "itself": f"{server.url}/ws/",
            "nowhere": "http://127.0.0.1:1/",
            "no address": "http://[",
        }[target]
        with pytest.raises(CannotConnectError) as caught:
            await sockets.connect(server.url)
        assert isinstance(caught.value, HandshakeRefusedError)
        assert caught.value.status == status
        assert len(server.peers) == 1
        assert not other.peers, "the token went to another host"
        await is_gone(server)
        await is_gone(other)


BAD_ANSWERS = {
    "no HTTP": "SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "a broken status": "HTTP/1.1 abc OK\r\n\r\n",
    "a switch to nothing": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "a switch with a wrong key": (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: bm8=\r\n\r\n"
    ),
    "a huge header": f"HTTP/1.1 200 OK\r\nX: {'x' * 100_000}\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
async def test_answer_that_is_no_handshake(sockets: Sockets, answer: str) -> None:
    """An answer that is neither a WebSocket nor a refusal has no status to act upon."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        peer.writer.write(answer.encode())

    async with Raw(script) as server:
        with pytest.raises(CannotConnectError) as caught:
            await sockets.connect(server.url)
        assert not isinstance(caught.value, HandshakeRefusedError)
        await is_gone(server)


async def test_nobody_listens(sockets: Sockets) -> None:
    """A refused connection is an error of ours."""
    async with Raw(engine()) as server:
        pass
    with pytest.raises(CannotConnectError):
        await sockets.connect(server.url)


async def test_name_unknown(events: Events, nothing_left: None) -> None:
    """A name that nobody knows is an error of ours."""

    class NoNames(AbstractResolver):
        @override
        async def resolve(
            self, host: str, *args: Any, **kwargs: Any
        ) -> list[ResolveResult]:
            raise OSError(f"no address for {host}")

        @override
        async def close(self) -> None:
            pass

    connector = aiohttp.TCPConnector(resolver=NoNames())
    async with aiohttp.ClientSession(connector=connector) as session:
        with pytest.raises(CannotConnectError):
            await Sockets(session, events).connect(
                "https://mt-client-api-v1.example.invalid"
            )


async def test_tls_to_a_plain_port(sockets: Sockets) -> None:
    """A server without TLS where TLS was meant is an error of ours."""

    async def script(peer: Peer) -> None:
        await peer.reader.read(100)
        peer.answer("400 Bad Request")

    async with Raw(script) as server:
        with pytest.raises(CannotConnectError):
            await sockets.connect(server.url.replace("http:", "https:"))
        await is_gone(server)


async def test_certificate_not_trusted(sockets: Sockets) -> None:
    """A certificate that nobody signed is an error of ours, and no token goes out."""
    async with Raw(engine(), server_tls()) as server:
        with pytest.raises(CannotConnectError):
            await sockets.connect(server.url)
        assert not any(peer.target for peer in server.peers)


@pytest.mark.parametrize("stage", STAGES)
async def test_handshake_that_never_ends(sockets: Sockets, stage: str) -> None:
    """A server that stops half-way gives an error in time, and nothing is left."""
    script, _ = stuck(stage)
    timing = Timing(connect=0.3, close=0.2)
    async with Raw(script) as server:
        start = now()
        with pytest.raises(CannotConnectError, match="in time"):
            await sockets.connect(server.url, timing=timing)
        assert now() - start < 0.5 + SLACK
        await is_gone(server)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_upgrade_that_never_comes(sockets: Sockets, scheme: str) -> None:
    """TCP, TLS and upgrade together have 10 s: behind them, packets may be dropped."""

    async def script(peer: Peer) -> None:
        await peer.hold()

    async with Raw(script) as server:
        start = now()
        with pytest.raises(CannotConnectError):
            await sockets.connect(server.url.replace("http", scheme))
        assert now() - start == pytest.approx(10, abs=0.5)


async def test_namespace_that_comes_late(sockets: Sockets) -> None:
    """A busy server may take 12 s from the open packet to the `40`."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening())
        await asyncio.sleep(12)
        peer.send(CONNECTED)
        await peer.serve()

    async with Raw(script) as server:
        start = now()
        socket = await sockets.connect(server.url)
        assert socket.connected
        assert now() - start == pytest.approx(12, abs=0.5)


async def test_namespace_that_never_comes(sockets: Sockets) -> None:
    """A whole connect has 60 s, even with a server that answers pings."""
    async with Raw(saying(opening())) as server:
        start = now()
        with pytest.raises(CannotConnectError, match="in time"):
            await sockets.connect(server.url)
        assert now() - start == pytest.approx(60, abs=0.5)


@pytest.mark.parametrize("stage", STAGES)
async def test_connect_cancelled(sockets: Sockets, stage: str) -> None:
    """A connect that is cancelled before the namespace is up leaves no task and no socket."""
    script, there = stuck(stage)
    async with Raw(script) as server:
        task = asyncio.create_task(sockets.connect(server.url, timing=QUICK))
        await there.wait()
        if stage == "opened":
            await eventually(lambda: len(loops_of_sockets()) == 3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not loops_of_sockets()
        await is_gone(server)


async def test_connect_cancelled_at_every_step(sockets: Sockets) -> None:
    """Wherever in a good handshake the cancel strikes, nothing is left."""
    finished = 0
    async with Raw(engine()) as server:
        for steps in range(400):
            socket = sockets.make(timing=QUICK)
            task = asyncio.create_task(socket.connect(server.url, {}))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
                finished += 1
                await socket.close()
            assert not loops_of_sockets()
            assert not socket.connected
            await is_gone(server)
            if finished > 3:
                break
    assert finished > 3, "the handshake never came to its end"


async def test_connect_cancelled_twice(sockets: Sockets) -> None:
    """A second cancel, while the first is cleaned up, changes nothing."""
    script, _ = stuck("opened")
    async with Raw(script) as server:
        for steps in range(6):
            socket = sockets.make()
            task = asyncio.create_task(socket.connect(server.url, {}))
            await eventually(lambda: len(loops_of_sockets()) == 3)
            task.cancel()
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await is_gone(server)


@pytest.mark.parametrize("stage", STAGES)
async def test_close_while_connecting(sockets: Sockets, stage: str) -> None:
    """A close from elsewhere ends a connect that is under way."""
    script, there = stuck(stage)
    async with Raw(script) as server:
        socket = sockets.make(timing=Timing(connect=0.5, close=0.2))
        task = asyncio.create_task(socket.connect(server.url, {}))
        await there.wait()
        await socket.close()
        with pytest.raises(CannotConnectError) as caught:
            await task
        assert not isinstance(caught.value, HandshakeEndedError)
        await is_gone(server)


async def test_silence_before_the_namespace(sockets: Sockets) -> None:
    """A server that dies in the handshake has refused nothing."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(0.1, 0.1))
        await peer.hold()

    async with Raw(script) as server:
        with pytest.raises(CannotConnectError, match="stopped answering") as caught:
            await sockets.connect(server.url)
        assert not isinstance(caught.value, HandshakeEndedError)
        await is_gone(server)


# --- The token stays inside ------------------------------------------------------------------------


async def test_token_search_would_find_one(
    session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """The searches below find what aiohttp and the library say when the token is in their URL."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        peer.answer("401 Unauthorized")

    async with Raw(script) as server:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await session.ws_connect(f"{server.url}/ws/", params={"auth-token": TOKEN})
        assert find_leaks(TOKEN, caught.value)
        wrapped = CannotConnectError("no")
        wrapped.__context__ = caught.value
        assert find_leaks(TOKEN, wrapped)

        caplog.set_level(logging.DEBUG)
        client = socketio.AsyncClient(
            reconnection=False,
            handle_sigint=False,
            logger=logging.getLogger("socketio.metaapi"),
            engineio_logger=logging.getLogger("engineio.metaapi"),
            http_session=session,
        )
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(
                f"{server.url}?auth-token={TOKEN}", transports=["websocket"]
            )
        assert find_logged(TOKEN, caplog.records)
    caplog.clear()


async def _refuse(peer: Peer) -> None:
    await peer.read_request()
    peer.answer("401 Unauthorized", f"X-You-Said: {peer.target}", body=peer.target)


async def _redirect(peer: Peer) -> None:
    await peer.read_request()
    peer.answer("301 Moved", f"Location: http://127.0.0.1:1{peer.target}")


async def _redirect_to_nonsense(peer: Peer) -> None:
    await peer.read_request()
    peer.answer("301 Moved", f"Location: http://[{peer.target}")


async def _hang_up(peer: Peer) -> None:
    await peer.read_request()


async def _no_http(peer: Peer) -> None:
    await peer.read_request()
    peer.writer.write(f"{peer.target}\r\n\r\n".encode())


async def _nothing(peer: Peer) -> None:
    await peer.read_request()
    await peer.serve()


TELLTALES: dict[str, Script] = {
    "refused": _refuse,
    "redirected": _redirect,
    "redirected to nonsense": _redirect_to_nonsense,
    "hung up": _hang_up,
    "no HTTP": _no_http,
    "silent": _nothing,
    "open packet not JSON": saying(f"0{TOKEN}"),
    "open packet of one text": saying(f'0"{TOKEN}"'),
    "interval is the token": saying(opening(pingInterval=TOKEN)),
    "never a namespace": saying(opening()),
    "error packet": saying(opening(), f'44"bad token {TOKEN}"'),
    "long error packet": saying(opening(), f'44"{"x" * 190}{TOKEN}"'),
    "error packet of an object": saying(
        opening(), f'44{{"message":"bad token {TOKEN}"}}'
    ),
}


@pytest.mark.parametrize("script", TELLTALES.values(), ids=TELLTALES.keys())
async def test_token_in_no_error_and_no_log(
    sockets: Sockets, caplog: pytest.LogCaptureFixture, script: Script
) -> None:
    """Whatever goes wrong in a connect, the token is in no exception and in no log record."""
    caplog.set_level(logging.DEBUG)
    asyncio.get_running_loop().set_debug(True)
    timing = Timing(connect=0.4, close=0.2)
    async with Raw(script) as server:
        with pytest.raises(CannotConnectError) as caught:
            await sockets.connect(
                server.url, timing=timing, redact=partial(redact, token=TOKEN)
            )
        peer = await server.peer()
        assert TOKEN in peer.target
    assert not find_leaks(TOKEN, caught.value)
    assert not find_leaks(TOKEN[:10], caught.value)
    assert not find_logged(TOKEN, caplog.records)


# --- Frames ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload", [b"", b"\x04hello", opening().encode(), b"\xff" * 1000]
)
async def test_binary_frame(sockets: Sockets, events: Events, payload: bytes) -> None:
    """The same goes for binary frames: we asked for none."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        (await server.peer()).send_frame(BINARY, payload)
        await socket.probe()
        assert socket.counters.malformed == 1
        assert not events


async def test_fragmented_event(sockets: Sockets, events: Events) -> None:
    """An event in several WebSocket frames, with a control frame between, is one event."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        peer = await server.peer()
        peer.send_frame(TEXT, b'42["resp', last=False)
        peer.send_frame(PING, b"x")
        peer.send_frame(0, b'onse",{}]')
        await socket.probe()
        assert events == [("response", {})]


@pytest.mark.parametrize(
    ("opcode", "payload"),
    [(TEXT, b"42\xff"), (3, b""), (CLOSE, b"\x00"), (PONG, b"x" * 126)],
    ids=["no UTF-8", "reserved opcode", "broken close", "long control frame"],
)
async def test_websocket_protocol_error(
    sockets: Sockets, opcode: int, payload: bytes
) -> None:
    """What breaks the WebSocket protocol itself ends the socket."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url, timing=QUICK)
        (await server.peer()).send_frame(opcode, payload)
        assert "websocket error" in await socket.wait_closed()
        await is_gone(server)


async def test_large_frame(sockets: Sockets, events: Events) -> None:
    """A frame of 2 MB is handed over whole."""
    text = "x" * 2_000_000
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        (await server.peer()).send(f'42["synchronization","{text}"]')
        await socket.probe()
        assert events == [("synchronization", text)]


@pytest.mark.parametrize("shape", ["one frame", "only announced", "in parts"])
async def test_frame_over_the_limit(
    sockets: Sockets, events: Events, shape: str
) -> None:
    """A frame over the limit ends the socket, before it is taken in."""
    payload = b'42["response","' + b"x" * MAX_FRAME_SIZE + b'"]'
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url, timing=QUICK)
        peer = await server.peer()
        if shape == "one frame":
            peer.send_frame(TEXT, payload)
        elif shape == "only announced":
            peer.writer.write(frame(TEXT, payload)[:20])
        else:
            half = len(payload) // 2
            peer.send_frame(TEXT, payload[:half], last=False)
            peer.send_frame(0, payload[half:])
        assert "websocket error" in await socket.wait_closed()
        await is_gone(server)
        assert not events


async def test_flood_lets_others_work(sockets: Sockets, events: Events) -> None:
    """A server that talks without pause starves neither the pings nor the rest of the program."""
    count = 20_000
    async with Raw(engine(0.05, 5)) as server:
        socket = await sockets.connect(server.url)
        peer = await server.peer()
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while len(events) < count:
                turns += 1
                await asyncio.sleep(0)

        for _ in range(count):
            peer.send('42["synchronization",{"type":"status"}]')
        await asyncio.wait_for(count_turns(), 20)
        assert turns > 5
        await socket.probe()


FLOODS: dict[str, bytes] = {
    "empty": frame(TEXT, b""),
    "a letter": frame(TEXT, b"x"),
    "event without a name": frame(TEXT, b"42[]"),
    "event that is no JSON": frame(TEXT, b"42{"),
    "Socket.IO packet": frame(TEXT, b"4x"),
    "pong unasked": frame(TEXT, b"3"),
    "nothing to do": frame(TEXT, b"6"),
    "binary": frame(BINARY, b""),
    "WebSocket ping": frame(PING, b""),
    "WebSocket pong": frame(PONG, b""),
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
async def test_flood_without_a_meaning(sockets: Sockets, flood: bytes) -> None:
    """Frames that mean nothing, at a rate that no server has, end the socket before many are read."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        peer = await server.peer()
        peer.writer.write(flood * 100_000)
        reason = await asyncio.wait_for(socket.wait_closed(), 5)
        assert reason == "the server sent a flood of frames that mean nothing"
        assert socket.counters.frames <= Timing().nonsense_most + 10
        await is_gone(server)


async def test_frames_without_a_meaning_now_and_then(sockets: Sockets) -> None:
    """A server that says what we do not know, at a rate that harms nobody, is served."""
    timing = Timing(nonsense_most=20, nonsense_window=0.05, ping_timeout_least=0.05)
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url, timing=timing)
        peer = await server.peer()
        for _ in range(10):
            for _ in range(8):
                peer.send("6")
            await socket.probe()
            await asyncio.sleep(0.06)
        assert socket.connected


# --- Alive or not ----------------------------------------------------------------------------------


async def test_pings_at_the_servers_interval(sockets: Sockets) -> None:
    """The client pings every interval, whatever else goes on."""
    times: list[float] = []

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(0.1, 5))
        peer.send(CONNECTED)
        while True:
            _, payload = await peer.receive()
            if payload == b"2":
                times.append(now())
                peer.send("3")

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        start = now()
        await eventually(lambda: len(times) >= 10)
        assert 0.95 <= now() - start < 1 + SLACK
        assert socket.connected


@pytest.mark.parametrize("timeout", [0.1, 0.6], ids=["shorter", "longer"])
async def test_server_that_stops_answering(sockets: Sockets, timeout: float) -> None:
    """A dead server is known within pingInterval + pingTimeout, and no socket stays open."""
    interval = 0.3
    frozen = asyncio.Event()

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(interval, timeout))
        peer.send(CONNECTED)
        with suppress(TimeoutError):
            await asyncio.wait_for(peer.serve(), 0.7)
        frozen.set()
        await peer.hold()

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        await frozen.wait()
        start = now()
        assert socket.connected
        assert await socket.wait_closed() == "the server stopped answering"
        took = now() - start
        assert took < interval + timeout + SLACK
        assert not socket.connected
        await is_gone(server)
        with pytest.raises(NotConnectedError):
            await socket.emit("request", {})
        with pytest.raises(NotConnectedError):
            await socket.probe()
        await socket.close()


async def test_events_are_no_pongs(sockets: Sockets) -> None:
    """A server whose events pass and whose pongs do not come is lost in time: its input may be stuck."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(25, 5))
        peer.send(CONNECTED)
        reading = asyncio.create_task(peer.serve(pong=False))
        while not reading.done():
            await asyncio.sleep(1)
            peer.send('42["synchronization",{}]')

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        start = now()
        assert await socket.wait_closed() == "the server stopped answering"
        assert 29 < now() - start < 31
        assert len(sockets.events) >= 28


async def test_pongs_that_stop(sockets: Sockets) -> None:
    """From the last pong on it takes no longer than pingInterval + pingTimeout."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(25, 5))
        peer.send(CONNECTED)
        with suppress(TimeoutError):
            await asyncio.wait_for(peer.serve(), 130)
        reading = asyncio.create_task(peer.serve(pong=False))
        while not reading.done():
            await asyncio.sleep(0.5)
            peer.send('42["synchronization",{}]')

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        start = now()
        assert await socket.wait_closed() == "the server stopped answering"
        assert now() - start == pytest.approx(155, abs=1)


async def test_frame_that_never_ends(sockets: Sockets) -> None:
    """The clock of a ping stands still while a frame comes, but not for ever."""
    data = frame(TEXT, b'42["synchronization","' + b"x" * 100_000)

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(25, 5))
        peer.send(CONNECTED)
        reading = asyncio.create_task(peer.serve(pong=False))
        for byte in data:
            if reading.done():
                return
            peer.writer.write(bytes([byte]))
            await asyncio.sleep(2)

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        start = now()
        assert await socket.wait_closed() == "the server stopped answering"
        assert 25 + 60 < now() - start < 25 + 5 + 60 + 5


async def test_frames_that_end_let_the_clock_run(sockets: Sockets) -> None:
    """One large frame after the other, each with an end, prove no more than small ones."""
    data = frame(TEXT, b'42["synchronization","' + b"x" * 1000 + b'"]')

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(25, 5))
        peer.send(CONNECTED)
        reading = asyncio.create_task(peer.serve(pong=False))
        while not reading.done():
            peer.writer.write(data)
            await asyncio.sleep(0.1)

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        start = now()
        assert await socket.wait_closed() == "the server stopped answering"
        assert now() - start == pytest.approx(30, abs=1)


@pytest.mark.parametrize(
    ("changes", "dies_after"),
    [
        ({"pingTimeout": 1}, 25 + 2),
        ({"pingTimeout": 0.001}, 25 + 2),
        ({"pingTimeout": 3_600_000}, 25 + 60),
        ({"pingInterval": 3_600_000}, 60 + 5),
        ({"pingInterval": 60_000, "pingTimeout": 60_000}, 60 + 60),
        ({"pingTimeout": 2000}, 25 + 2),
    ],
)
async def test_ping_times_that_make_no_sense(
    sockets: Sockets, changes: dict[str, float], dies_after: float
) -> None:
    """They are bounded, and counted: neither is a good server lost, nor a dead one kept for an hour."""
    lives = asyncio.Event()

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(**changes))
        peer.send(CONNECTED)
        for _ in range(2):
            assert await peer.receive() == (TEXT, b"2")
            await asyncio.sleep(1)  # a slow line
            peer.send("3")
        lives.set()
        await peer.hold()

    async with Raw(script) as server:
        socket = await sockets.connect(server.url, timing=Timing())
        odd = changes not in (
            {"pingTimeout": 2000},
            {"pingInterval": 60_000, "pingTimeout": 60_000},
        )
        assert socket.counters.malformed == odd
        await lives.wait()
        answered = now()
        assert socket.connected
        assert await socket.wait_closed() == "the server stopped answering"
        assert now() - answered == pytest.approx(dies_after - 1, abs=0.5)


async def test_frame_that_takes_many_ping_periods(
    sockets: Sockets, events: Events
) -> None:
    """While a frame trickles in, no pong can; the bytes prove life, and our pings go on."""
    payload = b'42["synchronization","' + b"x" * 300_000 + b'"]'
    data = frame(TEXT, payload)
    slices = 24

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(0.1, 0.15))
        peer.send(CONNECTED)
        reading = asyncio.create_task(peer.serve(pong=False))
        step = len(data) // slices + 1
        for start in range(0, len(data), step):
            peer.writer.write(data[start : start + step])
            await asyncio.sleep(0.05)
        reading.cancel()
        await asyncio.wait([reading])
        for _ in range(peer.pings):
            peer.send("3")
        await peer.serve()

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        await eventually(lambda: events or not socket.connected)
        assert socket.connected
        assert len(events[0][1]) == 300_000
        assert (await server.peer()).pings >= 8
        await socket.probe()


async def test_server_that_dies_within_a_frame(sockets: Sockets) -> None:
    """A server that stops half-way through a frame is as dead as any."""
    data = frame(TEXT, b"42" + b"x" * 1000)

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(0.2, 0.2))
        peer.send(CONNECTED)
        peer.writer.write(data[:500])
        await peer.hold()

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        start = now()
        assert await socket.wait_closed() == "the server stopped answering"
        assert now() - start < 0.4 + SLACK
        await is_gone(server)


async def test_own_stall_is_not_held_against_the_server(sockets: Sockets) -> None:
    """When our own loop stood still with a ping under way, the server gets its time again."""
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(0.2, 0.2))
        peer.send(CONNECTED)
        while True:
            if await peer.receive() == (TEXT, b"2"):
                asked.set()
                await asyncio.sleep(0.1)
                peer.send("3")

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        for _ in range(2):
            asked.clear()
            await asked.wait()
            time.sleep(1)  # noqa: ASYNC251 - that is the point
            await socket.probe()
        assert socket.connected


async def test_library_never_gives_up_an_idle_queue(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own watch over an idle queue cannot end a socket, as after a stall of ours."""
    waits: list[float | None] = []
    wait_for = asyncio.wait_for

    async def spy(awaitable: Awaitable[Any], timeout: float | None) -> Any:
        waits.append(timeout)
        return await wait_for(awaitable, timeout)

    async with Raw(engine(0.1, 0.1)) as server:
        monkeypatch.setattr(asyncio, "wait_for", spy)
        socket = await sockets.connect(server.url)
        await socket.probe()
    assert waits
    assert all(wait is None or wait > 3600 for wait in waits)


async def test_probe_needs_its_own_pong(sockets: Sockets) -> None:
    """Neither a pong that nobody asked for nor that of an older ping answers a probe."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(0.2, 30))
        peer.send(CONNECTED)
        peer.send("3")
        peer.send("3")
        await peer.serve(pong=False)

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        peer = await server.peer()
        await eventually(lambda: socket.counters.malformed == 2)
        await eventually(lambda: peer.pings == 1)
        probe = asyncio.create_task(socket.probe())
        await eventually(lambda: peer.pings >= 2)
        peer.send("3")
        peer.send('42["synchronization",{}]')
        await eventually(lambda: socket.counters.events == 1)
        assert not probe.done()
        peer.send("3")
        await asyncio.wait_for(probe, 1)


async def test_one_probe_at_a_time(sockets: Sockets) -> None:
    """Who asks while a ping is out gets the next one, together; one that was given up does no harm."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening())
        peer.send(CONNECTED)
        await peer.serve(pong=False)

    async def answer(peer: Peer, count: int) -> None:
        peer.send("3")
        peer.send('42["synchronization",{}]')
        await eventually(lambda: socket.counters.events == count)

    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        peer = await server.peer()
        probes = [asyncio.create_task(socket.probe()) for _ in range(100)]
        await eventually(lambda: peer.pings == 1)
        probes[0].cancel()
        probes[7].cancel()
        late = asyncio.create_task(socket.probe())
        await asyncio.sleep(0.05)
        assert peer.pings == 1
        await answer(peer, 1)
        assert not any(probe.done() for probe in probes[1:7] + probes[8:])
        await eventually(lambda: peer.pings == 2)
        await answer(peer, 2)
        await asyncio.gather(late, *probes[1:7], *probes[8:])
        await asyncio.sleep(0.05)
        assert peer.pings == 2
        again = asyncio.create_task(socket.probe())
        await eventually(lambda: peer.pings == 3)
        await answer(peer, 3)
        await again


async def test_input_comes_before_the_answer_to_a_probe(
    sockets: Sockets, events: Events
) -> None:
    """After a stall of ours, whatever lies in the socket is taken before a probe has its answer."""
    many = 30_000

    async def talk(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening())
        peer.send(CONNECTED)
        await peer.serve()

    async with Raw(talk) as server:
        socket = await sockets.connect(server.url)
        peer = await server.peer()
        await socket.probe()
        early = asyncio.create_task(socket.probe())
        await eventually(lambda: peer.pings == 2)
        # its pong is on its way; behind it, what is more than one read's worth
        for number in range(many):
            peer.send(f'42["synchronization",{number}]')
        time.sleep(0.6)  # noqa: ASYNC251 - that is the point
        await socket.probe()
        assert len(events) == many
        await early


@pytest.mark.parametrize("end", ["silence", "reset", "close", "ours"])
async def test_probe_on_a_socket_that_is_lost(sockets: Sockets, end: str) -> None:
    """A probe that can never be answered ends with the socket."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(0.2, 0.2) if end == "silence" else opening())
        peer.send(CONNECTED)
        await peer.serve(pong=False)

    async with Raw(script) as server:
        socket = await sockets.connect(server.url, timing=QUICK)
        peer = await server.peer()
        probe = asyncio.create_task(socket.probe())
        await eventually(lambda: peer.pings)
        if end == "reset":
            peer.reset()
        elif end == "close":
            peer.send("1")
        elif end == "ours":
            await socket.close()
        with pytest.raises(ConnectionLostError):
            await probe


# --- Whatever may come -----------------------------------------------------------------------------


@RANDOM
@settings(max_examples=300, database=None, deadline=None)
@given(st.binary(max_size=60))
def test_any_open_packet(data: bytes) -> None:
    """Whatever follows the `0`, it is an error of ours."""

    async def read() -> None:
        engine_client = EngineIO3(
            cast(Any, None),
            Timing(),
            counters=SocketCounters(),
            on_event=lambda frame: True,
            params={},
            handle_sigint=False,
        )
        text = "0" + data.decode(errors="replace")
        message = aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, text, None)
        with pytest.raises(CannotConnectError):
            engine_client._read_open(message)

    with asyncio.Runner() as runner:
        runner.run(read())


# --- The end ---------------------------------------------------------------------------------------

ENDS: dict[str, tuple[Callable[[Peer], None], str]] = {
    "close packet": (lambda peer: peer.send("1"), "the server closed it"),
    "namespace": (
        lambda peer: peer.send("41"),
        "the server disconnected the namespace",
    ),
    "error packet": (
        lambda peer: peer.send('44"quota"'),
        "the server sent an error packet 'quota'",
    ),
    "error packet of an object": (
        lambda peer: peer.send('44{"message":"quota"}'),
        'the server sent an error packet \'{"message":"quota"}\'',
    ),
    "empty error packet": (
        lambda peer: peer.send("44"),
        "the server sent an error packet ''",
    ),
    "long error packet": (
        lambda peer: peer.send(f'44"{"x" * 100_000}"'),
        f"the server sent an error packet '{'x' * 200}'",
    ),
    "deep error packet": (
        lambda peer: peer.send("44" + "[" * 900 + "]" * 900),
        f"the server sent an error packet '{'[' * 200}'",
    ),
    "websocket close": (
        lambda peer: peer.send_frame(CLOSE, b"\x03\xe9bye"),
        "the server closed it (websocket code 1001)",
    ),
    "websocket close without a code": (
        lambda peer: peer.send_frame(CLOSE),
        "the server closed it",
    ),
    "reset": (Peer.reset, "the connection broke"),
    "end of stream": (lambda peer: peer.writer.close(), "the connection broke"),
}


@pytest.mark.parametrize(("end", "reason"), ENDS.values(), ids=ENDS.keys())
async def test_end_of_a_live_socket(
    sockets: Sockets, end: Callable[[Peer], None], reason: str
) -> None:
    """Each way in which a socket ends is told by a reason of its own, and nothing is left."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url, timing=QUICK)
        peer = await server.peer()
        waiting = [asyncio.create_task(socket.wait_closed()) for _ in range(2)]
        end(peer)
        assert await asyncio.gather(*waiting) == [reason, reason]
        assert not socket.connected
        await is_gone(server)
        await socket.close()
        assert await socket.wait_closed() == reason


async def test_waiting_for_the_end_can_be_given_up(sockets: Sockets) -> None:
    """One who stops waiting does not end the wait of the others."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        first, second = (asyncio.create_task(socket.wait_closed()) for _ in range(2))
        await socket.probe()
        first.cancel()
        with suppress(asyncio.CancelledError):
            await first
        assert not second.done()
        await socket.close()
        assert await second == "closed by us"


async def test_polite_close(sockets: Sockets) -> None:
    """A close says goodbye, is answered, and is quick."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        peer = await server.peer()
        start = now()
        await socket.close()
        assert not loops_of_sockets()
        assert now() - start < 0.2
        await eventually(lambda: peer.close_code == 1000)
        assert await socket.wait_closed() == "closed by us"
        await is_gone(server)
        await socket.close()


async def test_close_outlasts_the_loops(sockets: Sockets) -> None:
    """When a close returns, nothing of the socket runs any more."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        socket._client.engine.lose("for the test")
        assert loops_of_sockets()
        await socket.close()
        assert not loops_of_sockets()
        await is_gone(server)


async def test_close_many_times_at_once(sockets: Sockets) -> None:
    """Whoever closes, and how often, changes nothing."""
    script, _ = silent_after_connect()
    async with Raw(script) as server:
        socket = await sockets.connect(server.url, timing=QUICK)
        await asyncio.gather(*(socket.close() for _ in range(5)))
        await is_gone(server)


async def test_close_while_the_server_closes(sockets: Sockets) -> None:
    """Both sides at once, at every offset."""
    async with Raw(engine()) as server:
        for steps in range(12):
            socket = await sockets.connect(server.url, timing=QUICK)
            peer = server.peers[-1]
            peer.send_frame(CLOSE, b"\x03\xe8")
            for _ in range(steps):
                await asyncio.sleep(0)
            await socket.close()
            await is_gone(server)


@pytest.mark.parametrize("full", [False, True], ids=["idle", "send buffer full"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_close_of_a_half_open_socket(
    any_sockets: Sockets, full: bool, tls: bool
) -> None:
    """A close ends within 2 s, even when the server takes nothing any more."""
    script, _ = silent_after_connect()
    async with Raw(script, server_tls() if tls else None) as server:
        socket = await any_sockets.connect(server.url)
        if full:
            await fill_send_buffer(socket)
        start = now()
        await socket.close()
        assert not loops_of_sockets()
        assert now() - start < 2 + SLACK
        await is_gone(server)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_loss_with_a_full_send_buffer(any_sockets: Sockets, tls: bool) -> None:
    """A dead server is known in time, and its socket freed, even when nothing goes out."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening(0.6, 0.6))
        peer.send(CONNECTED)
        await peer.writer.drain()
        await peer.hold()

    async with Raw(script, server_tls() if tls else None) as server:
        socket = await any_sockets.connect(server.url)
        start = now()
        await fill_send_buffer(socket)
        assert await socket.wait_closed() == "the server stopped answering"
        assert now() - start < 1.2 + 2 * SLACK
        await is_gone(server)


async def test_close_whose_goodbye_hangs(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A goodbye that never comes back is cut."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url, timing=QUICK)
        monkeypatch.setattr(socket._client.engine.ws, "close", asyncio.Event().wait)
        start = now()
        await socket.close()
        assert not loops_of_sockets()
        assert now() - start < QUICK.close + SLACK
        await is_gone(server)


@pytest.mark.parametrize("fault", [RuntimeError("no"), aiohttp.ClientError("no")])
async def test_loop_that_fails(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    """A fault inside one of the socket's loops ends the socket, and is named, not raised."""

    async def fail(data: str) -> None:
        raise fault

    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        monkeypatch.setattr(socket._client.engine.ws, "send_str", fail)
        await socket.emit("request", {})
        reason = await socket.wait_closed()
        assert reason == f"the connection broke ({type(fault).__name__})"
        await is_gone(server)


async def test_close_cancelled(sockets: Sockets) -> None:
    """A close that is itself cancelled still frees everything."""
    script, _ = silent_after_connect()
    async with Raw(script) as server:
        for steps in range(5):
            socket = await sockets.connect(server.url)
            task = asyncio.create_task(socket.close())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            if steps:
                await is_gone(server)
            else:
                await socket.close()


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
async def test_life_and_close(any_sockets: Sockets, events: Events, tls: bool) -> None:
    """Over TLS all is as without."""
    async with Raw(engine(0.1, 1), server_tls() if tls else None) as server:
        socket = await any_sockets.connect(server.url)
        peer = await server.peer()
        peer.send('42["response",{}]')
        await socket.emit("request", {})
        await socket.probe()
        assert events == [("response", {})]
        await eventually(lambda: peer.pings >= 5)
        await socket.close()
        await eventually(lambda: peer.close_code == 1000)
        await is_gone(server)


async def test_session_closed(sockets: Sockets) -> None:
    """On a session that was closed, as when all shuts down, nothing connects."""
    await sockets.session.close()
    with pytest.raises(CannotConnectError):
        await sockets.connect("http://127.0.0.1:1")


async def test_session_stays_open(
    session: aiohttp.ClientSession, events: Events
) -> None:
    """The session belongs to the caller; the library's finalizer would close it."""
    sockets = Sockets(session, events)
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        await socket.close()
    finalizer = type(socket._client.engine).__del__
    assert finalizer is not engineio.AsyncClient.__del__
    # on no running loop, the library's own closes the session
    await asyncio.to_thread(finalizer, socket._client.engine)
    assert not session.closed

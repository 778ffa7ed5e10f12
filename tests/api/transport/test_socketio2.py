"""Test the Socket.IO dialect with a hand-written server."""

import asyncio
from functools import partial
import json
import logging
from typing import Any, cast

from api.errors import HandshakeEndedError, NotConnectedError
from api.timing import Timing
from api.token import redact
from api.transport.socketio2 import Socket
from hypothesis import given, settings, strategies as st
import pytest

from tests.api.loopback import STRICT, TOKEN, Events, Sockets, eventually, find_logged
from tests.api.raw import CONNECTED, TEXT, Raw, engine, opening

from .dialect import (
    ENDING,
    JSON,
    QUICK,
    RANDOM,
    SLACK,
    TEXTS,
    drawn,
    fill_send_buffer,
    is_gone,
    loops_of_sockets,
    now,
    saying,
    silent_after_connect,
    stuck,
)

pytestmark = STRICT

# --- The namespace ---------------------------------------------------------------------------------


async def test_client_sends_no_connect_packet(sockets: Sockets) -> None:
    """The server connects the namespace by itself; a packet of ours would connect it twice."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        await socket.emit("request", {"type": "subscribe", "name": "\u00e9\ud83d"})
        peer = await server.peer()
        await eventually(lambda: peer.texts)
        assert peer.texts == [
            '42["request",{"type":"subscribe","name":"\\u00e9\\ud83d"}]'
        ]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ('44"Not authorized"', "error packet 'Not authorized'"),
        ('44{"message":"Not authorized"}', "Not authorized"),
        ("44", "error packet"),
        ("41", "disconnected the namespace"),
        ("1", "the server closed it"),
    ],
)
async def test_refused_by_a_packet(sockets: Sockets, frame: str, reason: str) -> None:
    """An error packet ends the connect at once, with its reason."""
    async with Raw(saying(opening(), frame)) as server:
        start = now()
        with pytest.raises(HandshakeEndedError, match=reason):
            await sockets.connect(server.url)
        assert now() - start < 1
        await is_gone(server)


async def test_not_connected_before_the_namespace(sockets: Sockets) -> None:
    """A socket without its namespace sends no request."""
    script, _ = stuck("opened")
    async with Raw(script) as server:
        socket = sockets.make(timing=QUICK)
        assert not socket.connected
        with pytest.raises(NotConnectedError):
            await socket.emit("request", {})
        with pytest.raises(NotConnectedError):
            await socket.probe()
        with pytest.raises(NotConnectedError):
            await socket.wait_closed()
        task = asyncio.create_task(socket.connect(server.url, {}))
        await eventually(lambda: len(loops_of_sockets()) == 3)
        assert not socket.connected
        with pytest.raises(NotConnectedError):
            await socket.emit("request", {})
        (await server.peer()).send(CONNECTED)
        await task
        assert socket.connected
        await socket.emit("request", {})


async def test_event_before_connect_returns(sockets: Sockets, events: Events) -> None:
    """An event in the segment of the `40` is not lost."""
    script = saying(opening(), CONNECTED, '42["response",{}]')
    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        await socket.probe()
        assert events == [("response", {})]


# --- Packets ---------------------------------------------------------------------------------------

MALFORMED = {
    "event, broken JSON": "42{",
    "event, an object": '42{"a":1}',
    "event, no list": '42"response"',
    "event, null": "42null",
    "event, nothing": "42",
    "event, only an id": "4217",
    "event, empty list": "42[]",
    "event, name no text": "42[1,{}]",
    "event, name null": "42[null]",
    "event, very deep": "42" + "[" * 200_000,
    "event, very deep and whole": '42["e",' + "[" * 200_000 + "]" * 200_000 + "]",
    "event, a lone surrogate": '42["response","\\ud800"]',
    "event, NaN": '42["response",NaN]',
    "event, of another namespace": '42/other,["response",{}]',
    "event, cut off": '42["response",{"type":"resp',
    "message without a type": "4",
    "message of type 7": "47",
    "message of type 9": "49[]",
    "message, no digit": "4x",
    "message, a digit of another script": "4\u00b2",
    "connect of another namespace": "40/other,",
    "disconnect of another namespace": "41/other,",
    "error of another namespace": '44/other,"no"',
    "error, broken JSON": "44{",
    "error, very deep": "44" + "[" * 200_000,
    "acknowledgment of nothing": "431[]",
    "binary event": '451-["response",{"_placeholder":true,"num":0}]',
    "binary event, too many parts": "45" + "9" * 50 + "-[]",
    "binary acknowledgment": "461-1[]",
    "id too long": "43" + "1" * 200,
    "pong unasked": "3",
    "open packet again": opening(),
    "open packet, broken": "0{",
    "ping, which is the client's to send": "2",
    "ping with data": "2probe",
    "upgrade": "5",
    "no such packet": "9x",
    "empty": "",
    "text": "hello",
    "HTML": "<html>",
    "base64": "b4AAAA",
    "blank": " ",
    "a minus": "-1",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_frame(sockets: Sockets, events: Events, text: str) -> None:
    """It is counted and ignored, and the socket stays open."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        peer = await server.peer()
        frames = socket.counters.frames
        peer.send(text)
        await eventually(lambda: socket.counters.frames > frames)
        assert socket.counters.malformed == 1
        assert not events
        peer.send('42["response",{}]')
        await socket.probe()
        assert events == [("response", {})]
        assert socket.connected


@pytest.mark.parametrize("text", [CONNECTED, '40{"sid":"x"}', "40/", "6"])
async def test_harmless_frame(sockets: Sockets, events: Events, text: str) -> None:
    """Valid frames that we do not use are not counted as malformed."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        (await server.peer()).send(text)
        await socket.probe()
        assert socket.counters.malformed == 0
        assert not events


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ('42["response",{"a":[1,null]}]', ("response", {"a": [1, None]})),
        ('42["synchronization","{\\"a\\":1}"]', ("synchronization", '{"a":1}')),
        ('42["processingError"]', ("processingError", None)),
        ('42["response",1,2,3]', ("response", 1)),
        ('42 \n["response" , {} ]\t', ("response", {})),
        ('42["",{}]', ("", {})),
        ('42["connect",{}]', ("connect", {})),
        ('42["disconnect",{}]', ("disconnect", {})),
        ('4217["response",{}]', ("response", {})),
        ('42["r\u00e9ponse","\U0001f600"]', ("r\u00e9ponse", "\U0001f600")),
        ('42["response",18446744073709551615]', ("response", 18446744073709551615)),
    ],
)
async def test_event(
    sockets: Sockets, events: Events, text: str, event: tuple[str, Any]
) -> None:
    """An event arrives with its first argument, unchanged."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        (await server.peer()).send(text)
        await socket.probe()
        assert events == [event]
        assert socket.counters.events == 1
        assert socket.counters.malformed == 0


async def test_huge_number(sockets: Sockets) -> None:
    """A number that does not fit into a machine word only affects its own frame."""
    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url)
        (await server.peer()).send(f'42["response",{"9" * 5000}]')
        (await server.peer()).send(f'42["response",{"9" * 30}]')
        await socket.probe()
        assert socket.counters.events + socket.counters.malformed == 2


async def test_handler_that_fails(
    sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    """The error is logged, and the socket stays open."""
    taken = []

    def fail(name: str, argument: Any) -> None:
        taken.append(argument)
        if argument == 1:
            raise KeyError("handler")

    async with Raw(engine()) as server:
        socket = await sockets.connect(server.url, on_event=fail)
        peer = await server.peer()
        peer.send('42["response",1]')
        peer.send('42["response",2]')
        await socket.probe()
        assert taken == [1, 2]
        assert socket.connected
    (record,) = [
        record for record in caplog.records if record.levelno >= logging.WARNING
    ]
    assert record.name == "socketio.metaapi"
    assert record.exc_info
    assert "'response'" in record.getMessage()
    caplog.clear()


# --- Random input ----------------------------------------------------------------------------------


@RANDOM
@pytest.mark.parametrize(
    "strategy",
    [
        TEXTS.filter(lambda text: not text.startswith(ENDING)),
        st.lists(JSON, max_size=4).map(lambda value: "42" + json.dumps(value)),
        JSON.map(lambda value: "42" + json.dumps(["response", value])),
    ],
    ids=["texts", "lists as events", "arguments"],
)
async def test_any_frame(sockets: Sockets, strategy: st.SearchStrategy[str]) -> None:
    """Any frame that does not close the socket is only counted."""
    texts = drawn(strategy)
    assert len(texts) >= 200
    async with Raw(engine(0.2, 20)) as server:
        socket = await sockets.connect(server.url)
        peer = await server.peer()
        for text in texts:
            frames = socket.counters.frames
            peer.send_frame(TEXT, text.encode(errors="ignore"))
            await socket.probe()
            assert socket.connected, text
            assert socket.counters.frames > frames
        assert socket.counters.events + socket.counters.malformed <= len(texts)


@RANDOM
@settings(max_examples=300, database=None, deadline=None)
@given(TEXTS | st.lists(JSON).map(json.dumps))
def test_any_event(text: str) -> None:
    """Any text after `42` is an event, or is counted."""
    taken: list[tuple[str, Any]] = []
    socket = Socket(
        cast(Any, None),
        lambda name, argument: taken.append((name, argument)),
        timing=Timing(),
    )
    socket.dispatch("42" + text)
    assert socket.counters.malformed + len(taken) == 1
    assert socket.counters.events == len(taken)
    assert all(isinstance(name, str) for name, _ in taken)


# --- The end ---------------------------------------------------------------------------------------


async def test_error_packet_with_a_full_send_buffer(sockets: Sockets) -> None:
    """A server that refuses and stops reading leaves no socket open."""
    script, _ = silent_after_connect()
    async with Raw(script) as server:
        socket = await sockets.connect(server.url)
        await fill_send_buffer(socket)
        start = now()
        (await server.peer()).send('44"quota"')
        assert "error packet" in await socket.wait_closed()
        await is_gone(server)
        assert now() - start < SLACK


async def test_no_log_contains_the_token(
    sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither connecting, working, a failing handler nor a loss logs the token."""
    caplog.set_level(logging.DEBUG)

    def fail(name: str, argument: Any) -> None:
        raise ValueError("handler")

    async with Raw(engine(0.1, 5)) as server:
        socket = await sockets.connect(
            server.url, on_event=fail, redact=partial(redact, token=TOKEN)
        )
        peer = await server.peer()
        await socket.emit("request", {"type": "subscribe"})
        await socket.probe()
        peer.send(f'42["{TOKEN}",{{}}]')
        peer.send(f'42["{"x" * 90}{TOKEN}",{{}}]')
        await eventually(lambda: socket.counters.events == 2)
        peer.send(f'44"{TOKEN}"')
        reason = await socket.wait_closed()
    assert TOKEN[:30] not in reason
    assert any(record.exc_info for record in caplog.records)
    assert not find_logged(TOKEN, caplog.records)
    assert not find_logged(TOKEN[:9], caplog.records)
    caplog.clear()


async def test_close_of_a_socket_that_never_connected(sockets: Sockets) -> None:
    """There is nothing to close."""
    await sockets.make().close()

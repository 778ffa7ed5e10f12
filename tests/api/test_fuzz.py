"""Fuzz the whole client with invalid frames: they must not stop it, fill its memory or its log.

A real monitor watches a real account on a real connection, channel, socket and engine; only the websocket below
them is made of a list. The default suite runs a part of the examples;
`scripts/test tests/api/test_fuzz.py --examples 10000` runs so many, and the summary says how many they were.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
import json
import logging
from math import ceil
from types import SimpleNamespace
from typing import Any, cast, override

import aiohttp
from api.endpoints import Endpoints
from api.monitor import Monitor
from api.timing import Timing
from api.transport.connection import Connection, ConnectionState, make_channel
from api.transport.engineio3 import EngineIO3
from api.transport.socketio2 import Socket, _SocketIO2
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
import pytest

from .conftest import Fuzzed
from .loopback import OURS, TOKEN, eventually
from .raw import CLOSE, CONNECTED, TEXT, Peer, Raw, opening

ACCOUNT = "11111111-aaaa-4bbb-8ccc-000000000001"
PENDING = "the id of a request that waits"
ENDING = ("1", "41", "44")
"""Frames with which a server closes."""

SHARES = 3500
"""The sum of the shares below: each test runs its share of the wanted examples."""

pytestmark = pytest.mark.timeout(900)


# -- frames ----------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        ACCOUNT,
        PENDING,
        "",
        "MetaApi",
        "ps-1",
        "ps-2",
        "h" * 300,
        TOKEN,
        "authenticated",
        "status",
        "disconnected",
        "keepalive",
        "UnauthorizedError",
        "TooManyRequestsError",
        "NotFoundError",
        "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER",
        "LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_SERVER",
        "2026-01-05T10:00:20.000Z",
        "9999-99-99T99:99:99Z",
        "0001-01-01T00:00:00+23:59",
    ]
)
NUMBERS = st.sampled_from(
    [0, 1, -1, 2, 2**31, 2**53, 2**64, -(2**64), 10**40, 0.5, 1e308, -0.0]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    NUMBERS,
    WORDS,
    st.text(max_size=6),
    st.floats(allow_nan=True),
)
KEYS = st.sampled_from(
    [
        "type",
        "accountId",
        "host",
        "instanceIndex",
        "sessionId",
        "connected",
        "authenticated",
        "replicas",
        "requestId",
        "error",
        "message",
        "details",
        "metadata",
        "recommendedRetryTime",
        "retryAfter",
        "",
    ]
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Put values into lists and objects."""
    return st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6)


JSON = st.recursive(SCALARS, nested, max_leaves=8)


def deep(depth: int) -> Any:
    """Return a deeply nested object."""
    value: Any = []
    for _ in range(depth):
        value = {"metadata": [value]}
    return value


PAYLOADS = st.one_of(
    JSON,
    st.dictionaries(KEYS, SCALARS, max_size=10),
    # for our account, and of a kind we know: as near to good as it gets
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["authenticated", "status", "disconnected"]),
            "accountId": st.just(ACCOUNT),
        },
        optional=dict.fromkeys(
            (
                "host",
                "instanceIndex",
                "sessionId",
                "connected",
                "authenticated",
                "replicas",
            ),
            JSON,
        ),
    ),
    st.fixed_dictionaries(
        {"requestId": st.just(PENDING)},
        optional=dict.fromkeys(("error", "message", "details", "metadata"), JSON),
    ),
    st.fixed_dictionaries(
        {
            "requestId": st.just(PENDING),
            "error": st.sampled_from(
                ["TooManyRequestsError", "UnauthorizedError", "ForbiddenError"]
            ),
            "metadata": st.dictionaries(KEYS, SCALARS, max_size=4),
        }
    ),
    st.sampled_from([30, 130, 300, 500]).map(
        lambda depth: {"requestId": PENDING, "error": "x", "details": deep(depth)}
    ),
)
NAMES = st.sampled_from(
    ["synchronization", "response", "processingError", "metadata", "connect", ""]
)


def event(name: Any, payload: Any, *, text: bool) -> str:
    """Return an event frame; its payload may be JSON in a string."""
    argument = json.dumps(payload) if text else payload
    return "42" + json.dumps([name, argument])


EVENTS = st.one_of(
    st.builds(event, NAMES, PAYLOADS, text=st.booleans()),
    st.builds(event, NAMES | SCALARS, PAYLOADS, text=st.booleans()),
    JSON.map(lambda value: "42" + json.dumps(value)),
)
STARTS = st.sampled_from(
    [
        *("", "0", "1", "2", "3", "4", "5", "6", "40", "41", "42", "43", "44", "45"),
        *("46", "40/x,", "42/x,", "421", "42[", "451-", "42999", '0{"sid":'),
        *('42["synchronization",', '42["response",{"requestId":"', '42["', "44{"),
    ]
)
TEXTS = st.one_of(
    st.builds(lambda start, rest: start + rest, STARTS, st.text(max_size=12)),
    st.builds(
        lambda start, rest: start + rest.decode(errors="replace"),
        STARTS,
        st.binary(max_size=24),
    ),
    # a good frame that is cut, or has something in its middle
    st.builds(
        lambda frame, cut, junk: frame[:cut] + junk + frame[cut + len(junk) :],
        EVENTS,
        st.integers(0, 60),
        st.text(max_size=3),
    ),
)


# -- the client with a websocket that is a list ----------------------------------------------------


class ListWebSocket:
    """A websocket whose messages come from a list."""

    def __init__(self) -> None:
        """Start empty."""
        self.messages: list[aiohttp.WSMessage] = []
        self._response = SimpleNamespace(close=lambda: None)

    async def receive(self) -> aiohttp.WSMessage:
        """Return the next message; at the end of the list the connection closes."""
        if self.messages:
            return self.messages.pop(0)
        return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)


class Unreachable:
    """An HTTP session without a network."""

    def __init__(self) -> None:
        """Start without calls."""
        self.calls = 0

    def get(self, *_: Any, **__: Any) -> Any:
        """Fail, as without a network."""
        self.calls += 1
        raise aiohttp.ClientConnectionError


class Records(logging.Handler):
    """Keeps warnings and errors in the log."""

    def __init__(self) -> None:
        """Start without records."""
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        if record.name.startswith((*OURS, "api")):
            self.texts.append(record.getMessage())


def run_on(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that yields once at most; raises StopIteration at its end."""
    for _ in range(2):
        coroutine.send(None)


class Client:
    """A monitor with one account, to which a test passes frames."""

    def __init__(self) -> None:
        """Create the parts and connect them, as a connect does."""
        timing = Timing(
            close=0.01,
            response=0.5,
            refused_floor=0.05,
            sweep=0.01,
            nonsense_most=1_000_000,
        )
        session = cast(aiohttp.ClientSession, Unreachable())
        self.monitor = Monitor(
            session,
            TOKEN,
            endpoints=Endpoints(api_url="http://127.0.0.1:9"),
            timing=timing,
        )
        self.monitor.add_account(ACCOUNT)
        (self.connection,) = self.monitor._pool
        self.channel = make_channel(
            session,
            TOKEN,
            application="MetaApi",
            on_synchronization=self.connection._event,
            on_unauthorized=lambda: self.monitor.connection_unauthorized(
                self.connection, said=True
            ),
            timing=timing,
        )
        owner = cast(Socket, self.channel._socket)
        self.socket = _SocketIO2(owner, owner._make_engine, {})
        owner._client = self.socket
        vars(self.socket)["_connect_event"] = asyncio.Event()
        self.websocket = ListWebSocket()
        self.examples = self.frames = 0
        self.more = 1.0
        """The number of examples per share."""
        self.open()
        self.connection._channel = self.channel
        self.connection._enter(ConnectionState.OPEN)
        self.monitor.connection_up(self.connection)

    def open(self) -> None:
        """Connect, for the first time or again."""
        engine_client = cast(EngineIO3, self.socket.engine)
        engine_client.ws = cast(aiohttp.ClientWebSocketResponse, self.websocket)
        engine_client.state = "connected"
        with pytest.raises(StopIteration):
            self.socket._handle_connect("/", None).send(None)
        cast(Socket, self.channel._socket)._release()
        while not engine_client.queue.empty():
            engine_client.queue.get_nowait()

    def feed(self, *messages: aiohttp.WSMessage) -> None:
        """Pass messages; the loop must handle all of them without waiting."""
        self.examples += 1
        counters = self.channel.counters
        before = counters.frames
        self.websocket.messages = list(messages)
        loop = cast(EngineIO3, self.socket.engine)._read_loop_websocket()
        with pytest.raises(StopIteration):
            run_on(loop)
        taken = counters.frames - before
        self.frames += min(taken, len(messages))
        if taken <= len(messages):
            last = messages[taken - 1]
            assert last.type is aiohttp.WSMsgType.TEXT
            assert last.data.startswith(ENDING), last.data
        self.open()

    def feed_text(self, *frames: str) -> None:
        """Pass text frames."""
        waiting = next(iter(self.channel._pending), "nobody")
        self.feed(
            *(
                aiohttp.WSMessage(
                    aiohttp.WSMsgType.TEXT, frame.replace(PENDING, waiting), None
                )
                for frame in frames
            )
        )

    def check(self) -> None:
        """Check that nothing has grown."""
        assert list(self.monitor._accounts) == [ACCOUNT]
        assert len(self.monitor._pool) <= 2
        assert len(self.channel._pending) <= 4
        assert len(self.monitor._shared.tasks) <= 8
        assert self.monitor.state(ACCOUNT) is not None
        (zone,) = self.monitor._accounts[ACCOUNT].terminal._places.values()
        assert len(zone.sight.hosts) <= 16
        assert len(self.monitor._accounts[ACCOUNT].terminal.pending) == 0


@pytest.fixture
def records() -> Iterator[Records]:
    """Return the warnings and errors; a test that leaves any fails."""
    handler = Records()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)
    assert handler.texts == []


@pytest.fixture
async def client(
    records: Records, monkeypatch: pytest.MonkeyPatch, fuzzed: Fuzzed
) -> AsyncIterator[Client]:
    """Return a client that cannot connect by itself."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda loop, context: faults.append(context)
    )
    monkeypatch.setattr(Connection, "start", lambda self: None)
    made = Client()
    made.more = fuzzed.wanted / SHARES
    yield made
    made.connection._channel = None
    made.channel.fail_pending()
    await made.monitor.close()
    assert faults == []
    fuzzed.examples += made.examples
    fuzzed.frames += made.frames


async def run(
    client: Client,
    strategy: st.SearchStrategy[Any],
    take: Callable[[Any], None],
    count: int,
) -> None:
    """Pass examples in several batches, between which the client can work."""
    wanted = ceil(count * client.more)
    batches = max(1, wanted // 250)

    @settings(
        max_examples=wanted // batches,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def batch(value: Any) -> None:
        take(value)
        client.check()

    while client.examples < wanted:
        before = client.examples
        batch()
        assert client.examples > before
        await asyncio.sleep(0.01)
        client.check()


async def test_frames_of_any_text(client: Client) -> None:
    """Test texts that are no packets, or similar to packets."""
    await run(
        client,
        st.lists(TEXTS, min_size=1, max_size=4),
        lambda frames: client.feed_text(*frames),
        750,
    )


async def test_frames_of_any_kind(client: Client) -> None:
    """Test binary frames, websocket pings, and text between them."""

    def message(drawn: tuple[aiohttp.WSMsgType, bytes]) -> aiohttp.WSMessage:
        kind, data = drawn
        if kind is aiohttp.WSMsgType.TEXT:
            return aiohttp.WSMessage(kind, data.decode(errors="replace"), None)
        return aiohttp.WSMessage(kind, data, None)

    kinds = st.sampled_from([aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY])
    messages = st.tuples(kinds, st.binary(max_size=40)).map(message)
    await run(
        client,
        st.lists(messages, min_size=1, max_size=4),
        lambda drawn: client.feed(*drawn),
        500,
    )


async def test_events_of_the_wrong_shape(client: Client) -> None:
    """Test valid JSON with unexpected content."""
    await run(
        client,
        st.lists(EVENTS, min_size=1, max_size=3),
        lambda frames: client.feed_text(*frames),
        1000,
    )


async def test_channel_takes_any_event(client: Client) -> None:
    """Test any name and argument of an event."""

    def take(drawn: tuple[Any, Any]) -> None:
        client.examples += 1
        client.channel._event(*drawn)

    await run(client, st.tuples(NAMES | st.text(), PAYLOADS | st.text()), take, 500)


async def test_monitor_takes_any_event(client: Client) -> None:
    """Test any content of a `synchronization`."""

    def take(drawn: dict[str, Any]) -> None:
        client.examples += 1
        client.monitor.connection_event(client.connection, drawn)

    payloads = PAYLOADS.filter(lambda value: isinstance(value, dict))
    await run(client, payloads, take, 500)


async def test_still_works_after_all_that(client: Client) -> None:
    """After invalid frames the client still shows a terminal that comes up."""
    await run(
        client,
        st.lists(EVENTS | TEXTS, min_size=1, max_size=3),
        lambda frames: client.feed_text(*frames),
        250,
    )
    good = {"type": "authenticated", "accountId": ACCOUNT}
    client.feed_text(event("synchronization", good, text=True))
    assert client.monitor._accounts[ACCOUNT].terminal.up


async def test_servers_that_make_no_sense(records: Records, fuzzed: Fuzzed) -> None:
    """With real sockets, several servers send invalid data, and the last one is good."""
    servers = ceil(40 * fuzzed.wanted / SHARES)
    nonsense: list[list[tuple[str, Any]]] = []

    @settings(
        max_examples=servers,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("text"), TEXTS | EVENTS),
                st.tuples(st.just("frame"), st.tuples(st.integers(0, 15), st.binary())),
                st.tuples(st.just("bytes"), st.binary(max_size=60)),
            ),
            max_size=5,
        )
    )
    def draw(acts: list[tuple[str, Any]]) -> None:
        nonsense.append(acts)

    draw()
    left = iter(nonsense)

    async def script(peer: Peer) -> None:
        await peer.read_request()
        if "sec-websocket-key" not in peer.headers:  # REST, which checks the token
            peer.answer("503 Service Unavailable")
            return
        peer.switch()
        acts = next(left, None)
        if acts is None:
            peer.send(opening(0.2, 5.0))
            peer.send(CONNECTED)
            await peer.serve()
            return
        if len(acts) % 2:
            peer.send(opening())
            peer.send(CONNECTED)
        for kind, value in acts:
            if kind == "text":
                peer.send_frame(TEXT, value.encode(errors="ignore"))
            elif kind == "frame":
                peer.send_frame(*value)
            else:
                peer.writer.write(value)
        peer.send_frame(CLOSE, b"\x03\xe8")

    async with Raw(script) as server, aiohttp.ClientSession() as session:
        monitor = Monitor(
            session,
            TOKEN,
            endpoints=Endpoints(api_url=server.url),
            timing=Timing(
                backoff_first=0.001,
                backoff_max=0.002,
                backoff_short=0.002,
                connect=1.0,
                ping_timeout_least=0.05,
                close=0.1,
                sweep=0.01,
            ),
        )
        try:
            monitor.add_account(ACCOUNT)
            await eventually(lambda: len(server.peers) > servers, 60)
            await eventually(lambda: monitor.connected, 60)
            assert next(left, None) is None
        finally:
            await monitor.close()
    fuzzed.servers += len(nonsense)

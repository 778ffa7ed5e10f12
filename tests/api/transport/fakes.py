"""A fake socket that a test controls, and recorders of a channel and a connection that use it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
import itertools
from typing import Any, cast

import aiohttp
from api.endpoints import Zone
from api.errors import MetaApiError
from api.support import SocketCounters
from api.timing import Timing
from api.transport import connection as module
from api.transport.connection import Connection, ConnectionState, make_channel
import pytest

from tests.api.loopback import TOKEN, eventually

SESSION = cast(aiohttp.ClientSession, object())
URL = "https://a.example"
ZONE = Zone(URL, "london", 0)
TIMING = Timing()
HIDDEN = "**REDACTED**"

type Act = BaseException | Callable[[], Awaitable[None]] | None


async def hang() -> None:
    """Never return."""
    await asyncio.Event().wait()


def now() -> float:
    """Return the event loop's time."""
    return asyncio.get_running_loop().time()


class FakeSocket:
    """A fake socket: connects follow a list of acts, and a test closes it."""

    made: list[FakeSocket]
    acts: list[Act]
    otherwise: Act
    """The act after the list is empty; None means success."""
    answers: dict[str, dict[str, Any]]
    """Answers by type of request."""
    tried: list[float]
    """When connects began."""
    connected = False

    def __init__(
        self,
        make_engine: partial[Any],
        on_event: Callable[[str, Any], None],
        *,
        timing: Timing,
        redact: Callable[[str], str] = str,
    ) -> None:
        """Store the arguments of the real socket."""
        self.session, self.engine_timing = make_engine.args
        self.timing = timing
        self.redact = redact
        self.on_event = on_event
        self.counters = SocketCounters(frames=7)
        self.connects: list[tuple[str, dict[str, str], dict[str, str] | None]] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.closes = 0
        self.probes = 0
        self.refuse_emit: MetaApiError | None = None
        FakeSocket.made.append(self)

    async def connect(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Do the next act."""
        FakeSocket.tried.append(now())
        self.connects.append(
            (url, dict(params), None if headers is None else dict(headers))
        )
        act = FakeSocket.acts.pop(0) if FakeSocket.acts else FakeSocket.otherwise
        if isinstance(act, BaseException):
            raise act
        if act is not None:
            await act()
        self.connected = True

    async def emit(self, event: str, payload: Mapping[str, Any]) -> None:
        """Store a request, and answer it if the test set an answer."""
        if self.refuse_emit is not None:
            raise self.refuse_emit
        self.sent.append((event, dict(payload)))
        if (answer := FakeSocket.answers.get(payload["type"])) is not None:
            said = {"requestId": payload["requestId"]} | answer
            name = "processingError" if "error" in answer else "response"
            asyncio.get_running_loop().call_soon(self.on_event, name, said)

    async def probe(self) -> None:
        """Count the call."""
        self.probes += 1

    async def wait_closed(self) -> str:
        """Wait until a test closes the socket."""
        return await asyncio.shield(self.closed)

    async def close(self) -> None:
        """Count the call."""
        self.closes += 1
        self.connected = False

    @property
    def last(self) -> dict[str, Any]:
        """Return the last request."""
        return self.sent[-1][1]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use fake sockets, and make every random pause as long as possible."""
    FakeSocket.made = []
    FakeSocket.acts = []
    FakeSocket.otherwise = None
    FakeSocket.answers = {}
    FakeSocket.tried = []
    monkeypatch.setattr(module, "Socket", FakeSocket)
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)


class RecordingChannel:
    """A channel that records what it reports."""

    def __init__(self, **options: Any) -> None:
        """Create a channel with a working socket."""
        self.events: list[Mapping[str, Any]] = []
        self.unauthorized = 0
        given: dict[str, Any] = {"application": "MetaApi", "timing": TIMING}
        self.channel = make_channel(
            SESSION,
            TOKEN,
            on_synchronization=self.events.append,
            on_unauthorized=self._count,
            **given | options,
        )
        self.socket = FakeSocket.made[-1]

    def _count(self) -> None:
        self.unauthorized += 1

    async def ask(
        self, kind: str = "subscribe", **options: Any
    ) -> asyncio.Task[Mapping[str, Any]]:
        """Send a request and return its task."""
        sent = len(self.socket.sent)
        task = asyncio.create_task(self.channel.request(kind, "acc", **options))
        await eventually(lambda: len(self.socket.sent) > sent or task.done())
        return task

    def receive(self, name: str, **fields: Any) -> None:
        """Receive an event from the server."""
        self.socket.on_event(name, fields)

    def answer(self, name: str = "response", number: int = -1, **fields: Any) -> None:
        """Receive the server's answer to a request."""
        self.receive(name, requestId=self.socket.sent[number][1]["requestId"], **fields)


class Rig:
    """A connection that records what it reports; pauses have their maximum, and take no time."""

    def __init__(self, **timing: float) -> None:
        """Create a connection that is not started."""
        self.sound = True
        """Whether every report was true at its time; an assertion would not leave the loop."""
        self.reports: list[str] = []
        self.events: list[Mapping[str, Any]] = []
        self.fault: Exception | None = None
        self.timing = Timing(**{"backoff_short": 8.0} | timing)
        self.connection = Connection(
            SESSION, ZONE, TOKEN, self, application="Mine", timing=self.timing
        )

    def connection_up(self, connection: Connection) -> None:
        """Record the call."""
        self.sound &= connection.connected and connection.opened_at == pytest.approx(
            now()
        )
        self.reports.append(f"up {connection.session_id}")

    def connection_down(self, connection: Connection, reason: str) -> None:
        """Record the call."""
        self.sound &= connection.state is ConnectionState.BACKING_OFF
        self.sound &= not connection.connected and connection.opened_at is None
        self.reports.append(f"down {reason}")
        if self.fault is not None:
            raise self.fault

    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> None:
        """Record the call."""
        self.sound &= connection is self.connection
        self.events.append(event)

    def connection_unauthorized(self, connection: Connection, *, said: bool) -> None:
        """Record the call."""
        self.sound &= connection is self.connection
        self.reports.append(f"unauthorized {said}")

    @property
    def gaps(self) -> list[float]:
        """Return the seconds between the attempts to connect."""
        return [round(b - a, 1) for a, b in itertools.pairwise(FakeSocket.tried)]

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Return the tasks of the connection."""
        return [task for task in asyncio.all_tasks() if "socket" in task.get_name()]

    async def socket(self, number: int = 1) -> FakeSocket:
        """Return the socket of the n-th connect, once it is open."""
        for poll in range(200):
            if len(FakeSocket.made) >= number and FakeSocket.made[number - 1].connected:
                assert self.connection.connected
                return FakeSocket.made[number - 1]
            await asyncio.sleep(0.1 if poll < 100 else 20.0)
        raise AssertionError(f"no socket {number}")

    async def lose(
        self, socket: FakeSocket, lived: float = 0.0, reason: str = "x"
    ) -> None:
        """Lose a socket after some seconds."""
        await asyncio.sleep(lived)
        socket.closed.set_result(reason)
        await eventually(lambda: socket.closes)


@asynccontextmanager
async def running(
    *acts: Act, start: bool = True, **timing: float
) -> AsyncIterator[Rig]:
    """Run a connection whose connects follow a list of acts, and then succeed."""
    FakeSocket.acts = list(acts)
    rig = Rig(**timing)
    if start:
        rig.connection.start()
    try:
        yield rig
    finally:
        await rig.connection.close()
    assert rig.sound
    assert not rig.tasks

"""Channel and connection over a wire that does what a test says: requests, back-off, floors, suspicion, closing."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, tzinfo
import itertools
import json
import logging
from typing import Any, cast

import aiohttp
from api.endpoints import Zone
from api.errors import (
    CannotConnectError,
    ConnectionLostError,
    ForbiddenError,
    HandshakeEndedError,
    HandshakeRefusedError,
    InternalError,
    MetaApiError,
    NoResponseError,
    NotConnectedError,
    NotFoundError,
    TerminalTimeoutError,
    TooManyPendingError,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from api.timing import Timing
from api.token_check import try_subscribe
from api.transport import channel, connection as module
from api.transport.channel import Channel, new_request_id
from api.transport.connection import Connection
from api.transport.socketio2 import SocketCounters
import pytest

from simulator import Simulator

from .faults.warp import warped
from .loopback import TOKEN, eventually

SESSION = cast(aiohttp.ClientSession, object())
URL = "https://a.example"
ZONE = Zone(URL, "london", 0)
TIMING = Timing()
HIDDEN = "**REDACTED**"

ENDED = HandshakeEndedError("ended")
FAILED = CannotConnectError("no")
BROKEN = HandshakeRefusedError(502)

type Act = BaseException | Callable[[], Awaitable[None]] | None


async def hang() -> None:
    """Never come to an end."""
    await asyncio.Event().wait()


class Noon:
    """A calendar in which it is always the same noon."""

    @staticmethod
    def now(zone: tzinfo | None = None) -> datetime:
        """Return the time."""
        return datetime(2026, 1, 1, 12, tzinfo=zone)


def now() -> float:
    """Return the loop's clock."""
    return asyncio.get_running_loop().time()


class FakeWire:
    """A wire whose connects do what is next in a list, and which is closed when a test says so."""

    made: list[FakeWire]
    acts: list[Act]
    otherwise: Act
    """What is done once the list is empty; nothing means to work."""
    answers: dict[str, dict[str, Any]]
    """Answers by type of request."""
    tried: list[float]
    """When connects began."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        on_event: Callable[[str, Any], None],
        *,
        timing: Timing,
        redact: Callable[[str], str],
    ) -> None:
        """Take what the real one takes."""
        self.session = session
        self.timing = timing
        self.redact = redact
        self.on_event = on_event
        self.counters = SocketCounters(frames=7)
        self.connects: list[tuple[str, dict[str, str], dict[str, str] | None]] = []
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.connected = False
        self.closes = 0
        self.probes = 0
        self.refuse_emit: MetaApiError | None = None
        FakeWire.made.append(self)

    async def connect(
        self,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Do what is next."""
        FakeWire.tried.append(now())
        self.connects.append(
            (url, dict(params), None if headers is None else dict(headers))
        )
        act = FakeWire.acts.pop(0) if FakeWire.acts else FakeWire.otherwise
        if isinstance(act, BaseException):
            raise act
        if act is not None:
            await act()
        self.connected = True

    async def emit(self, name: str, payload: Mapping[str, Any]) -> None:
        """Keep what is sent; answer it where a test said how."""
        if self.refuse_emit is not None:
            raise self.refuse_emit
        self.sent.append((name, dict(payload)))
        if (answer := FakeWire.answers.get(payload["type"])) is not None:
            said = {"requestId": payload["requestId"]} | answer
            name = "processingError" if "error" in answer else "response"
            asyncio.get_running_loop().call_soon(self.on_event, name, said)

    async def probe(self) -> None:
        """Count."""
        self.probes += 1

    async def wait_closed(self) -> str:
        """Wait until a test closes it."""
        return await asyncio.shield(self.closed)

    async def close(self) -> None:
        """Count."""
        self.closes += 1
        self.connected = False

    @property
    def last(self) -> dict[str, Any]:
        """Return the last request."""
        return self.sent[-1][1]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Use wires that are none, and let every pause be the longest that it may be."""
    if "real" in request.fixturenames:
        return
    FakeWire.made = []
    FakeWire.acts = []
    FakeWire.otherwise = None
    FakeWire.answers = {}
    FakeWire.tried = []
    monkeypatch.setattr(channel, "Socket", FakeWire)
    monkeypatch.setattr(module.random, "uniform", lambda low, high: high)


@pytest.fixture
def real() -> None:
    """Keep the real wire."""


# -- the channel -----------------------------------------------------------------------------------


class Line:
    """A channel, and what it told."""

    def __init__(self, **options: Any) -> None:
        """Make a channel; its socket works already."""
        self.events: list[Mapping[str, Any]] = []
        self.unauthorized = 0
        given: dict[str, Any] = {"application": "MetaApi", "timing": TIMING}
        self.channel = Channel(
            SESSION,
            TOKEN,
            on_synchronization=self.events.append,
            on_unauthorized=self._count,
            **given | options,
        )
        self.wire = FakeWire.made[-1]

    def _count(self) -> None:
        self.unauthorized += 1

    async def ask(
        self, kind: str = "subscribe", **options: Any
    ) -> asyncio.Task[Mapping[str, Any]]:
        """Send a request and return it while it waits."""
        sent = len(self.wire.sent)
        task = asyncio.create_task(self.channel.request(kind, "acc", **options))
        await eventually(lambda: len(self.wire.sent) > sent or task.done())
        return task

    def say(self, name: str, **fields: Any) -> None:
        """Let the server say something."""
        self.wire.on_event(name, fields)

    def answer(self, name: str = "response", number: int = -1, **fields: Any) -> None:
        """Let the server answer a request."""
        self.say(name, requestId=self.wire.sent[number][1]["requestId"], **fields)


@warped
async def test_request_and_its_response() -> None:
    """The fields of a request, and the answer as it came."""
    line = Line(application="Mine")
    task = await line.ask(sessionId="s")
    name, payload = line.wire.sent[0]
    assert name == "request"
    line.answer(more=1)
    request_id = payload.pop("requestId")
    assert payload == {
        "type": "subscribe",
        "accountId": "acc",
        "application": "Mine",
        "sessionId": "s",
    }
    assert await task == {"requestId": request_id, "more": 1}
    assert line.channel.unexpected == 0


@pytest.mark.parametrize("instance", [0, 1])
@warped
async def test_instance_goes_into_every_request(instance: int) -> None:
    """Also the first one, whose number is 0."""
    line = Line(instance=instance)
    task = await line.ask()
    assert line.wire.last["instanceIndex"] == instance
    task.cancel()


@warped
async def test_ids_are_long_and_random() -> None:
    """32 characters, never the same: those of requests and those of sockets."""
    for ids in (
        {new_request_id() for _ in range(20)},
        {Line().channel.session_id for _ in range(20)},
    ):
        assert len(ids) == 20
        assert {len(one) for one in ids} == {32}


@warped
async def test_answers_find_their_requests() -> None:
    """Two at once, answered the other way round; what nobody asked for is counted."""
    line = Line()
    one, two = await line.ask("a"), await line.ask("b")
    first, second = (payload["requestId"] for _, payload in line.wire.sent)
    line.say("response", requestId=second)
    assert (await two)["requestId"] == second
    assert not one.done()
    line.say("response", requestId="nobody's")
    line.say("response", requestId=[first])
    line.say("response")
    assert line.channel.unexpected == 3
    line.say("response", requestId=first)
    line.say("response", requestId=first)
    assert line.channel.unexpected == 4
    assert (await one)["requestId"] == first


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("ValidationError", ValidationError),
        ("ForbiddenError", ForbiddenError),
        ("NotFoundError", NotFoundError),
        ("TimeoutError", TerminalTimeoutError),
        ("TooManyRequestsError", TooManyRequestsError),
        ("UnauthorizedError", UnauthorizedError),
        ("Odd", InternalError),
    ],
)
@warped
async def test_an_error_reaches_who_asked(name: str, error: type[MetaApiError]) -> None:
    """As the exception of its name, with all that the server said but the token."""
    line = Line()
    task = await line.ask()
    line.answer(
        "processingError",
        error=name,
        message=f"no {TOKEN}",
        details=[{"parameter": "x", TOKEN: [TOKEN, 5, None]}],
        metadata={"type": "y", "echo": TOKEN},
    )
    with pytest.raises(error) as caught:
        await task
    said: Any = caught.value
    assert said.name == name
    assert said.message == f"no {HIDDEN}"
    assert said.details == [{"parameter": "x", HIDDEN: [HIDDEN, 5, None]}]
    assert said.metadata == {"type": "y", "echo": HIDDEN}
    assert line.unauthorized == (name == "UnauthorizedError")
    assert line.channel.unexpected == 0


@warped
async def test_unauthorized_of_nobodys_request_is_told_as_well() -> None:
    """The token is what it is about, not the request."""
    line = Line()
    line.say("processingError", error="UnauthorizedError")
    assert line.unauthorized == 1
    assert line.channel.unexpected == 1
    line.say("processingError", error="ForbiddenError")
    assert line.unauthorized == 1


@pytest.mark.parametrize("depth", [1, 7, 8, 2000])
@pytest.mark.parametrize("wrap", [lambda one: [one], lambda one: {"x": one}])
@warped
async def test_an_error_is_read_so_deep_and_no_deeper(
    depth: int, wrap: Callable[[Any], Any]
) -> None:
    """Seven containers around a text in `details` are read; a server cannot make us recurse."""
    line = Line()
    task = await line.ask()
    nest: Any = "core"
    for _ in range(depth):
        nest = wrap(nest)
    line.answer("processingError", error="Odd", details=nest)
    with pytest.raises(InternalError) as caught:
        await task
    said = json.dumps(caught.value.details)
    assert said.count("[") + said.count("{") == min(depth, 7)
    assert ("core" if depth < 8 else "null") in said


@warped
async def test_events_as_objects_and_as_text() -> None:
    """Both forms are read; what is neither is counted."""
    line = Line()
    line.say("synchronization", type="status")
    line.wire.on_event("synchronization", '{"type": "status"}')
    assert line.events == [{"type": "status"}] * 2
    assert line.channel.unexpected == 0
    nonsense: list[Any] = ["no json", "[1]", "5", None, 5, [{}]]
    for count, argument in enumerate(nonsense, 1):
        line.wire.on_event("synchronization", argument)
        assert line.channel.unexpected == count
    line.say("metadata", x=1)
    assert line.channel.unexpected == 7
    assert len(line.events) == 2


@pytest.mark.parametrize(
    ("options", "patience"), [({}, 60), ({"timeout": 90}, 90), ({"timeout": 0}, 0)]
)
@warped
async def test_no_response_in_time(options: dict[str, Any], patience: float) -> None:
    """Each request has its own patience, or the usual one; a late answer finds nobody."""
    line = Line()
    started = now()
    with pytest.raises(NoResponseError) as caught:
        await line.channel.request("subscribe", "acc", **options)
    assert now() - started == pytest.approx(patience, abs=0.1)
    assert str(caught.value) == "MetaApi did not answer the subscribe request in time"
    assert caught.value.__suppress_context__
    line.answer()
    assert line.channel.unexpected == 1


@warped
async def test_too_many_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may wait is refused, until one has its answer."""
    monkeypatch.setattr(channel, "MAX_PENDING", 2)
    line = Line()
    one, two = await line.ask(), await line.ask()
    with pytest.raises(TooManyPendingError) as caught:
        await line.channel.request("subscribe", "acc")
    assert str(caught.value) == "Too many requests wait for an answer"
    assert len(line.wire.sent) == 2
    line.answer()
    await two
    three = await line.ask()
    assert len(line.wire.sent) == 3
    one.cancel()
    three.cancel()


def test_a_thousand_may_wait() -> None:
    """The bound itself."""
    assert channel.MAX_PENDING == 1000


@warped
async def test_what_failed_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not sent, not answered, answered, refused: each makes room for the next request."""
    monkeypatch.setattr(channel, "MAX_PENDING", 1)
    line = Line()
    line.wire.refuse_emit = NotConnectedError("No socket")
    with pytest.raises(NotConnectedError):
        await line.channel.request("subscribe", "acc")
    line.wire.refuse_emit = None
    with pytest.raises(NoResponseError):
        await line.channel.request("subscribe", "acc", timeout=0)
    FakeWire.answers = {"a": {}, "b": {"error": "NotFoundError"}}
    await line.channel.request("a", "acc")
    with pytest.raises(NotFoundError):
        await line.channel.request("b", "acc")
    await line.channel.request("a", "acc")


@warped
async def test_closing_tells_who_waits() -> None:
    """Also when one of them has its answer already."""
    line = Line()
    one, two = await line.ask("a"), await line.ask("b")
    line.answer(number=0)
    await line.channel.close()
    assert line.wire.closes == 1
    await one
    with pytest.raises(ConnectionLostError) as caught:
        await two
    assert str(caught.value) == "The connection to MetaApi was lost"


@warped
async def test_connects_as_todays_clients_do() -> None:
    """Query and header of the SDKs, a new client id each time."""
    line = Line()
    await line.channel.connect(URL)
    await line.channel.connect(URL)
    (url, params, headers), (_, again, _) = line.wire.connects
    assert url == URL
    assert params["clientId"] != again["clientId"]
    assert params == {
        "auth-token": TOKEN,
        "clientId": params["clientId"],
        "protocol": "3",
    }
    assert headers == {"Client-Id": params["clientId"]}


@warped
async def test_connects_as_the_seed_page_does() -> None:
    """Nothing but the token."""
    line = Line()
    await line.channel.connect(URL, seed_page=True)
    assert line.wire.connects == [(URL, {"auth-token": TOKEN}, None)]


@warped
async def test_channel_hands_on_what_its_wire_knows() -> None:
    """Whether it is open, what it counted, pings, why it closed, without the token."""
    line = Line()
    assert not line.channel.connected
    await line.channel.connect(URL)
    assert line.channel.connected
    assert line.channel.counters is line.wire.counters
    await line.channel.probe()
    assert line.wire.probes == 1
    line.wire.closed.set_result(f"because of {TOKEN}")
    assert await line.channel.wait_closed() == f"because of {HIDDEN}"
    assert line.wire.redact(TOKEN) == HIDDEN
    assert line.wire.timing is TIMING
    assert line.wire.session is SESSION


# -- the connection --------------------------------------------------------------------------------


class Rig:
    """A connection, and what it told; pauses are as long as they may be, and cost no time."""

    def __init__(self, **timing: float) -> None:
        """Make a connection that is not started."""
        self.sound = True
        """Whether what is told is true at that moment; an assertion would not get out of the loop."""
        self.told: list[str] = []
        self.events: list[Mapping[str, Any]] = []
        self.fault: Exception | None = None
        self.timing = Timing(**timing)
        self.connection = Connection(
            SESSION, ZONE, TOKEN, self, application="Mine", timing=self.timing
        )

    def connection_up(self, connection: Connection) -> None:
        """Note it."""
        self.sound &= connection.connected and connection.opened_at == pytest.approx(
            now()
        )
        self.told.append(f"up {connection.session_id}")

    def connection_down(self, connection: Connection, reason: str) -> None:
        """Note it."""
        self.sound &= not connection.connected and connection.opened_at is None
        self.told.append(f"down {reason}")
        if self.fault is not None:
            raise self.fault

    def connection_event(
        self, connection: Connection, event: Mapping[str, Any]
    ) -> None:
        """Note it."""
        self.sound &= connection is self.connection
        self.events.append(event)

    def connection_unauthorized(self, connection: Connection, *, said: bool) -> None:
        """Note it."""
        self.sound &= connection is self.connection
        self.told.append(f"unauthorized {said}")

    @property
    def gaps(self) -> list[float]:
        """Return how long it was from each try to connect to the next."""
        return [round(b - a, 1) for a, b in itertools.pairwise(FakeWire.tried)]

    @property
    def tasks(self) -> list[asyncio.Task[Any]]:
        """Return the tasks of the connection."""
        return [task for task in asyncio.all_tasks() if "socket" in task.get_name()]

    async def socket(self, number: int = 1) -> FakeWire:
        """Return the wire of the connect of a number, once it is open."""
        for poll in range(200):
            if len(FakeWire.made) >= number and FakeWire.made[number - 1].connected:
                assert self.connection.connected
                return FakeWire.made[number - 1]
            await asyncio.sleep(0.1 if poll < 100 else 20.0)
        raise AssertionError(f"no socket {number}")

    async def lose(self, wire: FakeWire, lived: float = 0.0, reason: str = "x") -> None:
        """Lose a socket after a while."""
        await asyncio.sleep(lived)
        wire.closed.set_result(reason)
        await eventually(lambda: wire.closes)


@asynccontextmanager
async def running(
    *acts: Act, start: bool = True, **timing: float
) -> AsyncIterator[Rig]:
    """Run a connection whose connects do as told, and then work."""
    FakeWire.acts = list(acts)
    rig = Rig(**timing)
    if start:
        rig.connection.start()
    try:
        yield rig
    finally:
        await rig.connection.close()
    assert rig.sound
    assert not rig.tasks


@warped
async def test_a_socket_comes_and_goes() -> None:
    """Each has a session id of its own; who listens hears of both, and why."""
    async with running(start=False) as rig:
        connection = rig.connection
        assert not connection.connected
        assert connection.session_id == ""
        assert connection.counters == SocketCounters()
        assert connection.opened_at is None
        assert connection.zone is ZONE
        connection.start()
        wire = await rig.socket()
        assert [task.get_name() for task in rig.tasks] == ["metaapi socket london-a"]
        session_id = connection.session_id
        assert len(session_id) == 32
        assert rig.told == [f"up {session_id}"]
        assert connection.counters is wire.counters
        assert connection.attempts == 1
        await rig.lose(wire, reason="the server closed it")
        second = await rig.socket(2)
        assert wire.closes == 1
        assert rig.told == [
            f"up {session_id}",
            "down the server closed it",
            f"up {connection.session_id}",
        ]
        assert connection.session_id != session_id
        assert connection.attempts == 2
        assert second.connects[0][0] == URL


@warped
async def test_requests_and_pings_go_over_the_open_socket() -> None:
    """With what the connection knows of itself; without a socket there is an error."""
    async with running(start=False) as rig:
        for call in (rig.connection.request("x", "acc"), rig.connection.probe()):
            with pytest.raises(NotConnectedError) as caught:
                await call
            assert str(caught.value) == "No socket to MetaApi is open"
        rig.connection.start()
        wire = await rig.socket()
        FakeWire.answers = {"subscribe": {"ok": 1}}
        answer = await rig.connection.request("subscribe", "acc", sessionId="s")
        assert answer["ok"] == 1
        payload = wire.last
        del payload["requestId"]
        assert payload == {
            "type": "subscribe",
            "accountId": "acc",
            "application": "Mine",
            "instanceIndex": 0,
            "sessionId": "s",
        }
        await rig.connection.probe()
        assert wire.probes == 1
        started = now()
        with pytest.raises(NoResponseError):
            await rig.connection.request("other", "acc", timeout=7)
        assert now() - started == pytest.approx(7, abs=0.1)


@warped
async def test_what_a_socket_tells() -> None:
    """Events and a refused token reach who listens."""
    async with running() as rig:
        wire = await rig.socket()
        wire.on_event("synchronization", {"type": "status"})
        assert rig.events == [{"type": "status"}]
        wire.on_event("processingError", {"error": "UnauthorizedError"})
        assert rig.told[1:] == ["unauthorized True"]
        assert wire.timing is rig.timing
        assert wire.session is SESSION
        assert wire.redact(TOKEN) == HIDDEN


@warped
async def test_loss_ends_the_requests_that_wait() -> None:
    """Before who listens hears of it, so that nobody asks again on a dead socket."""
    async with running() as rig:
        wire = await rig.socket()
        task = asyncio.create_task(rig.connection.request("subscribe", "acc"))
        await eventually(lambda: wire.sent)
        await rig.lose(wire)
        with pytest.raises(ConnectionLostError):
            await task


@warped
async def test_a_listener_that_fails_costs_no_socket(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The socket is closed, the loop goes on, and the log does not hold the fault's text."""
    async with running() as rig:
        rig.fault = RuntimeError(f"secret {TOKEN}")
        wire = await rig.socket()
        await rig.lose(wire)
        rig.fault = None
        await rig.socket(2)
        assert rig.gaps == [pytest.approx(1, abs=0.2)]
    (record,) = [one for one in caplog.records if one.name.startswith("api.")]
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "Unexpected RuntimeError on the socket to london-a"
    assert record.exc_info is None


@pytest.mark.parametrize("error", [FAILED, ENDED, BROKEN])
@warped
async def test_last_error(error: MetaApiError) -> None:
    """What went wrong last is kept, for a person to read."""
    async with running(error) as rig:
        assert rig.connection.last_error is None
        await asyncio.sleep(0.5)
        assert rig.connection.last_error is error
        await rig.socket(2)
        assert rig.connection.last_error is error


@warped
async def test_what_a_person_is_told() -> None:
    """Not started, connecting, pausing, open, lost, closed; what was counted outlives a socket."""
    async with running(FAILED, hang, start=False) as rig:
        connection = rig.connection
        told: dict[str, Any] = {
            "zone": "london-a",
            "region": "london",
            "state": "closed",
            "attempts_since_reset": 0,
            "connects": 0,
            "losses": 0,
            "last_loss": None,
            "last_error": None,
            **dict.fromkeys(("frames", "sent", "events", "malformed", "unexpected"), 0),
        }

        def check(**news: Any) -> None:
            told.update(news)
            shown = {k: v for k, v in told.items() if v is not ...}
            assert connection.diagnostics(now()) == shown

        check()
        connection.start()
        check(state="connecting")
        await asyncio.sleep(0.33)
        check(
            state="backing off",
            pause=1.0,
            next_attempt_in=0.7,
            attempts_since_reset=1,
            last_error="CannotConnectError: no",
        )
        await asyncio.sleep(10)
        check(
            state="connecting", pause=..., next_attempt_in=..., attempts_since_reset=2
        )
        connection.wake()
        await asyncio.sleep(5)
        check(
            state="open",
            open_for=5.0,
            attempts_since_reset=1,
            connects=1,
            last_error="CannotConnectError: The connect hung, and somebody asked",
            frames=7,
        )
        wire = FakeWire.made[-1]
        wire.on_event("response", {})
        wire.on_event("response", {})
        check(unexpected=2)
        await rig.lose(wire, reason="the server closed it")
        await asyncio.sleep(0.2)
        check(
            state="backing off",
            open_for=...,
            pause=1.0,
            next_attempt_in=0.8,
            losses=1,
            last_loss="the server closed it",
        )
        await asyncio.sleep(2)
        FakeWire.made[-1].on_event("response", {})
        check(
            state="open",
            open_for=1.2,
            pause=...,
            next_attempt_in=...,
            attempts_since_reset=2,
            connects=2,
            frames=14,
            unexpected=3,
        )
        await rig.lose(FakeWire.made[-1], reason="it broke")
        (task,) = rig.tasks
        connection.stop()
        await eventually(task.done)
        check(state="closed", open_for=..., losses=2, last_loss="it broke")
        await connection.close()
        check()


# -- pauses ----------------------------------------------------------------------------------------


@warped
async def test_back_off_doubles() -> None:
    """From the first pause to the longest; the first two minutes know no long one."""
    async with running() as rig:
        FakeWire.otherwise = FAILED
        await asyncio.sleep(1000)
        assert rig.gaps == [1, 2, 4, *[8] * 15, 300, 300]


@warped
async def test_back_off_has_full_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause is drawn by lot from nothing to its bound; so is what comes on top of a floor."""
    drawn = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return high / 5

    monkeypatch.setattr(module.random, "uniform", uniform)
    async with running(FAILED, FAILED, HandshakeRefusedError(403)) as rig:
        await rig.socket(4)
        assert drawn == [(0, 1.0), (0, 2.0), (0, 4.0)]
        assert rig.gaps == [0.2, 0.4, 300.8]


@pytest.mark.parametrize(
    ("before", "longest"),
    [(0, 1.0), (1, 2.0), (29, 2.0**29), (30, 2.0**30), (5000, 2.0**30)],
)
@warped
async def test_back_off_doubles_thirty_times_at_most(
    monkeypatch: pytest.MonkeyPatch, before: int, longest: float
) -> None:
    """However long an outage lasts, no number gets too large."""
    drawn = []

    def uniform(low: float, high: float) -> float:
        drawn.append(high)
        return 1.0

    monkeypatch.setattr(module.random, "uniform", uniform)
    async with running(FAILED, backoff_max=1e30, backoff_patience=0.0) as rig:
        rig.connection.attempts = before
        await rig.socket(2)
        assert drawn == [longest]


@pytest.mark.parametrize(
    ("lived", "proven", "pauses"),
    [
        (1.0, False, [2, 4, 8, 8]),
        (59.0, True, [2, 4, 8, 8]),
        (61.0, True, [1, 1, 2, 4]),
        (61.0, False, [2, 4, 8, 8]),
        (150.0, False, [2, 4, 8, 16]),
        (299.0, False, [2, 4, 8, 16]),
        (301.0, False, [1, 1, 2, 4, *[8] * 14, 300]),
        (301.0, True, [1, 1, 2, 4]),
    ],
)
@warped
async def test_what_starts_the_back_off_afresh(
    lived: float, proven: bool, pauses: list[float]
) -> None:
    """Five minutes of open socket, or one minute of one that showed a terminal."""
    async with running(FAILED) as rig:
        wire = await rig.socket(2)
        if proven:
            rig.connection.prove()
        FakeWire.otherwise = FAILED
        opened = len(FakeWire.tried)
        await rig.lose(wire, lived)
        lost = now()
        assert rig.connection.attempts == (0 if pauses[0] == 1 else 2)
        await asyncio.sleep(sum(pauses) + 0.5)
        first = round(FakeWire.tried[opened] - lost, 1)
        assert [first, *rig.gaps[opened:]][: len(pauses)] == pauses


@warped
async def test_what_one_socket_proved_is_not_the_next_ones() -> None:
    """Each has to show a terminal itself."""
    async with running() as rig:
        wire = await rig.socket()
        rig.connection.prove()
        await rig.lose(wire, lived=1)
        wire = await rig.socket(2)
        await rig.lose(wire, lived=100)
        await rig.socket(3)
        assert rig.connection.attempts == 3


@pytest.mark.parametrize(
    ("status", "retry_after", "floor"),
    [
        (401, None, 300.0),
        (403, None, 300.0),
        (429, None, 300.0),
        (429, "20", 300.0),
        (429, "400", 400.0),
        (403, "400", 400.0),
        (429, "soon", 300.0),
        (429, "Thu, 01 Jan 2026 12:10:00 GMT", 600.0),
        (301, "400", 0.0),
        (400, None, 0.0),
        (404, "400", 0.0),
        (502, "400", 0.0),
        (503, "400", 0.0),
    ],
)
@warped
async def test_floor_after_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    retry_after: str | None,
    floor: float,
) -> None:
    """300 s, or longer where the server says so, and jitter; a server in trouble has none."""
    monkeypatch.setattr(module, "datetime", Noon)
    async with running(HandshakeRefusedError(status, retry_after), FAILED) as rig:
        await rig.socket(3)
        # the failure after it is judged by itself
        assert rig.gaps == [floor + 1.0, 2.0]
        assert rig.told[:-1] == ["unauthorized True"] * (status == 401)


@pytest.mark.parametrize(
    ("acts", "told"),
    [
        ([ENDED, ENDED], 0),
        ([ENDED, ENDED, ENDED], 1),
        ([ENDED] * 5, 1),
        ([ENDED] * 6, 2),
        ([ENDED, ENDED, FAILED, ENDED, ENDED], 0),
        ([ENDED, ENDED, BROKEN, ENDED, ENDED], 0),
        ([FAILED] * 6, 0),
        ([BROKEN] * 6, 0),
    ],
)
@warped
async def test_sockets_that_end_at_once_are_suspicious(
    acts: list[Act], told: int
) -> None:
    """Three in a row may mean a refused token; nobody said so."""
    async with running(*acts) as rig:
        await rig.socket(len(acts) + 1)
        assert rig.told[:-1] == ["unauthorized False"] * told


@pytest.mark.parametrize(("lived", "told"), [(4.8, 1), (5.2, 0)])
@warped
async def test_sockets_that_live_a_moment_are_suspicious(
    lived: float, told: int
) -> None:
    """A socket that opens and is closed within five seconds counts as well."""
    async with running() as rig:
        for number in range(1, 4):
            await rig.lose(await rig.socket(number), lived)
        await rig.socket(4)
        assert rig.told.count("unauthorized False") == told


@warped
async def test_a_socket_that_lived_ends_the_suspicion() -> None:
    """Only those in a row count."""
    async with running(ENDED, ENDED) as rig:
        wire = await rig.socket(3)
        FakeWire.acts = [ENDED, ENDED]
        await rig.lose(wire, lived=6)
        await rig.socket(6)
        assert "unauthorized False" not in rig.told


# -- a person's wish, and the end ------------------------------------------------------------------


@warped
async def test_a_person_cuts_one_pause_short() -> None:
    """The one that is, not the one after it; and what they begin is no longer an old outage."""
    async with running(*[FAILED] * 5) as rig:
        await asyncio.sleep(10)
        assert rig.gaps == [1, 2, 4]
        rig.connection.wake()
        assert rig.connection.attempts == 0
        await rig.socket(6)
        assert rig.gaps == [1, 2, 4, 3, 1]


@warped
async def test_nobody_cuts_a_floor_short() -> None:
    """However often a person asks; nor does what they asked cut the pause after it."""
    async with running(HandshakeRefusedError(403), FAILED) as rig:
        for _ in range(5):
            await asyncio.sleep(10)
            rig.connection.wake()
        await rig.socket(3)
        assert rig.gaps[0] == 301


@warped
async def test_a_connect_that_hangs_ends_when_somebody_asks() -> None:
    """But not one that only just began; nor is anything left for the one after it."""
    async with running(hang, hang) as rig:
        await asyncio.sleep(rig.timing.connect_hung - 0.5)
        rig.connection.wake()
        await asyncio.sleep(30)
        assert len(FakeWire.made) == 1
        rig.connection.wake()
        await asyncio.sleep(2)
        assert len(FakeWire.made) == 2
        error = rig.connection.last_error
        assert isinstance(error, CannotConnectError)
        assert str(error) == "The connect hung, and somebody asked"
        assert error.__suppress_context__
        rig.connection.wake()
        await asyncio.sleep(30)
        assert len(FakeWire.made) == 2


@pytest.mark.parametrize(
    ("act", "closes"),
    [(hang, 0), (None, 1), (FAILED, 0), (HandshakeRefusedError(403), 0)],
    ids=["connecting", "open", "pausing", "under a floor"],
)
@warped
async def test_close_ends_it_in_every_state(act: Act, closes: int) -> None:
    """Also before it started, and twice."""
    async with running(act, start=False) as rig:
        await rig.connection.close()
        rig.connection.stop()
        rig.connection.start()
        await asyncio.sleep(0.5)
        (task,) = rig.tasks
        await rig.connection.close()
        assert task.cancelled()
        assert not rig.connection.connected
        assert FakeWire.made[0].closes == closes
        assert rig.told[1:] == ["down closed by us"] * closes
        await rig.connection.close()
        rig.connection.stop()
        await asyncio.sleep(1000)
        assert len(FakeWire.made) == 1


@warped
async def test_stop_begins_the_end() -> None:
    """Without waiting for it."""
    async with running() as rig:
        wire = await rig.socket()
        (task,) = rig.tasks
        rig.connection.stop()
        assert not task.done()
        await eventually(task.done)
        assert wire.closes == 1


# -- judging a token -------------------------------------------------------------------------------


async def judge(answers: dict[str, dict[str, Any]], **options: Any) -> FakeWire:
    """Try a subscribe against a wire that answers; return the wire."""
    FakeWire.answers = answers
    try:
        await try_subscribe(SESSION, TOKEN, ZONE, "acc", application="Mine", **options)
    finally:
        (wire,) = FakeWire.made
        assert wire.closes == 1
    return wire


@warped
async def test_a_good_token_is_judged_and_leaves_nothing() -> None:
    """Subscribe, unsubscribe, close."""
    wire = await judge({"subscribe": {}, "unsubscribe": {}})
    subscribe, unsubscribe = (payload for _, payload in wire.sent)
    assert (subscribe["type"], unsubscribe["type"]) == ("subscribe", "unsubscribe")
    for payload in (subscribe, unsubscribe):
        assert payload["accountId"] == "acc"
        assert payload["application"] == "Mine"
        assert payload["instanceIndex"] == 0
    assert len(subscribe["sessionId"]) == 32
    assert "sessionId" not in unsubscribe
    assert wire.connects[0][0] == URL
    assert wire.connects[0][1]["auth-token"] == TOKEN
    assert wire.session is SESSION
    assert wire.timing == Timing()


@warped
async def test_what_else_a_server_says_meanwhile_is_no_verdict() -> None:
    """Events of the account arrive before the answer to the subscribe, or after it."""
    task = asyncio.create_task(judge({"unsubscribe": {}}))
    await eventually(lambda: FakeWire.made and FakeWire.made[0].sent)
    (wire,) = FakeWire.made
    wire.on_event("synchronization", {"type": "authenticated"})
    wire.on_event("processingError", {"error": "UnauthorizedError"})
    wire.on_event("response", {"requestId": wire.last["requestId"]})
    await task


@warped
async def test_a_terminal_that_is_away_is_no_verdict_on_the_token() -> None:
    """Nothing was subscribed, so nothing is given back."""
    wire = await judge({"subscribe": {"error": "TimeoutError"}})
    assert [payload["type"] for _, payload in wire.sent] == ["subscribe"]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("UnauthorizedError", UnauthorizedError),
        ("ForbiddenError", ForbiddenError),
        ("NotFoundError", NotFoundError),
        ("ValidationError", ValidationError),
    ],
)
@warped
async def test_a_refused_token_is_told(name: str, error: type[MetaApiError]) -> None:
    """As what MetaApi called it."""
    with pytest.raises(error):
        await judge({"subscribe": {"error": name}})


@pytest.mark.parametrize(
    ("answers", "takes"),
    [
        ({"unsubscribe": {}}, 0),
        ({"unsubscribe": {"error": "InternalError"}}, 0),
        ({}, 2),
    ],
)
@warped
async def test_a_goodbye_that_fails_is_no_verdict(
    answers: dict[str, dict[str, Any]], takes: float
) -> None:
    """Also one that nobody answers, for a bounded time."""
    started = now()
    wire = await judge({"subscribe": {}} | answers)
    assert len(wire.sent) == 2
    assert now() - started == pytest.approx(takes, abs=0.1)


@warped
async def test_a_person_does_not_wait_for_long() -> None:
    """A subscribe that only judges has a patience of its own."""
    started = now()
    with pytest.raises(NoResponseError):
        await judge({}, timing=Timing(try_response=11.0))
    assert now() - started == pytest.approx(11, abs=0.1)


@warped
async def test_a_socket_that_does_not_open_is_told() -> None:
    """And closed all the same."""
    FakeWire.acts = [HandshakeRefusedError(401)]
    with pytest.raises(HandshakeRefusedError):
        await judge({})


@pytest.mark.parametrize(
    ("grant", "error"),
    [
        ({}, None),
        ({"streaming": False}, MetaApiError),
        ({"accounts": ["another"]}, MetaApiError),
    ],
)
async def test_judging_over_a_real_socket(
    real: None, grant: dict[str, Any], error: type[MetaApiError] | None
) -> None:
    """Against the simulator, where the token may not use REST."""
    async with Simulator() as sim, aiohttp.ClientSession() as session:
        token = sim.grant(provisioning=False, **grant)
        judged = try_subscribe(
            session, token, Zone(sim.url), sim.account.id, application="MetaApi"
        )
        if error is None:
            await judged
            types = [request.type for request in sim.requests]
            assert types == ["subscribe", "unsubscribe"]
        else:
            with pytest.raises(error):
                await judged
        await eventually(lambda: not sim.sockets)

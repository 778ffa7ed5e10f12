"""The channel over a socket that does what a test says: requests, answers, events."""

from collections.abc import Callable
import json
from typing import Any

from api.errors import (
    ConnectionLostError,
    ForbiddenError,
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
from api.transport import channel
from api.transport.channel import (
    new_client_id,
    new_request_id,
    seed_page_params,
    socket_headers,
    socket_params,
)
import pytest

from tests.api.loopback import TOKEN

from .fakes import HIDDEN, SESSION, TIMING, URL, FakeSocket, RecordingChannel, now

pytestmark = pytest.mark.usefixtures("fake")


async def test_request_and_its_response() -> None:
    """The fields of a request, and the answer as it came."""
    recorder = RecordingChannel(application="Mine")
    task = await recorder.ask(sessionId="s")
    name, payload = recorder.socket.sent[0]
    assert name == "request"
    recorder.answer(more=1)
    request_id = payload.pop("requestId")
    assert payload == {
        "type": "subscribe",
        "accountId": "acc",
        "application": "Mine",
        "sessionId": "s",
    }
    assert await task == {"requestId": request_id, "more": 1}
    assert recorder.channel.unexpected == 0


@pytest.mark.parametrize("instance", [0, 1])
async def test_instance_goes_into_every_request(instance: int) -> None:
    """Also the first one, whose number is 0."""
    recorder = RecordingChannel(instance=instance)
    task = await recorder.ask()
    assert recorder.socket.last["instanceIndex"] == instance
    task.cancel()


async def test_ids_are_long_and_random() -> None:
    """32 characters, never the same: those of requests and those of sockets."""
    for ids in (
        {new_request_id() for _ in range(20)},
        {RecordingChannel().channel.session_id for _ in range(20)},
    ):
        assert len(ids) == 20
        assert {len(one) for one in ids} == {32}


async def test_answers_find_their_requests() -> None:
    """Two at once, answered the other way round; what nobody asked for is counted."""
    recorder = RecordingChannel()
    one, two = await recorder.ask("a"), await recorder.ask("b")
    first, second = (payload["requestId"] for _, payload in recorder.socket.sent)
    recorder.say("response", requestId=second)
    assert (await two)["requestId"] == second
    assert not one.done()
    recorder.say("response", requestId="nobody's")
    recorder.say("response", requestId=[first])
    recorder.say("response")
    assert recorder.channel.unexpected == 3
    recorder.say("response", requestId=first)
    recorder.say("response", requestId=first)
    assert recorder.channel.unexpected == 4
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
async def test_an_error_reaches_who_asked(name: str, error: type[MetaApiError]) -> None:
    """As the exception of its name, with all that the server said but the token."""
    recorder = RecordingChannel()
    task = await recorder.ask()
    recorder.answer(
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
    assert recorder.unauthorized == (name == "UnauthorizedError")
    assert recorder.channel.unexpected == 0


async def test_unauthorized_of_nobodys_request_is_told_as_well() -> None:
    """The token is what it is about, not the request."""
    recorder = RecordingChannel()
    recorder.say("processingError", error="UnauthorizedError")
    assert recorder.unauthorized == 1
    assert recorder.channel.unexpected == 1
    recorder.say("processingError", error="ForbiddenError")
    assert recorder.unauthorized == 1


@pytest.mark.parametrize("depth", [1, 7, 8, 2000])
@pytest.mark.parametrize("wrap", [lambda one: [one], lambda one: {"x": one}])
async def test_an_error_is_read_so_deep_and_no_deeper(
    depth: int, wrap: Callable[[Any], Any]
) -> None:
    """Seven containers around a text in `details` are read; a server cannot make us recurse."""
    recorder = RecordingChannel()
    task = await recorder.ask()
    nest: Any = "core"
    for _ in range(depth):
        nest = wrap(nest)
    recorder.answer("processingError", error="Odd", details=nest)
    with pytest.raises(InternalError) as caught:
        await task
    said = json.dumps(caught.value.details)
    assert said.count("[") + said.count("{") == min(depth, 7)
    assert ("core" if depth < 8 else "null") in said


async def test_events_as_objects_and_as_text() -> None:
    """Both forms are read; what is neither is counted."""
    recorder = RecordingChannel()
    recorder.say("synchronization", type="status")
    recorder.socket.on_event("synchronization", '{"type": "status"}')
    assert recorder.events == [{"type": "status"}] * 2
    assert recorder.channel.unexpected == 0
    nonsense: list[Any] = ["no json", "[1]", "5", None, 5, [{}]]
    for count, argument in enumerate(nonsense, 1):
        recorder.socket.on_event("synchronization", argument)
        assert recorder.channel.unexpected == count
    recorder.say("metadata", x=1)
    assert recorder.channel.unexpected == 7
    assert len(recorder.events) == 2


@pytest.mark.parametrize(
    ("options", "patience"), [({}, 60), ({"timeout": 90}, 90), ({"timeout": 0}, 0)]
)
async def test_no_response_in_time(options: dict[str, Any], patience: float) -> None:
    """Each request has its own patience, or the usual one; a late answer finds nobody."""
    recorder = RecordingChannel()
    started = now()
    with pytest.raises(NoResponseError) as caught:
        await recorder.channel.request("subscribe", "acc", **options)
    assert now() - started == pytest.approx(patience, abs=0.1)
    assert str(caught.value) == "MetaApi did not answer the subscribe request in time"
    assert caught.value.__suppress_context__
    recorder.answer()
    assert recorder.channel.unexpected == 1


async def test_too_many_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than may wait is refused, until one has its answer."""
    monkeypatch.setattr(channel, "MAX_PENDING", 2)
    recorder = RecordingChannel()
    one, two = await recorder.ask(), await recorder.ask()
    with pytest.raises(TooManyPendingError) as caught:
        await recorder.channel.request("subscribe", "acc")
    assert str(caught.value) == "Too many requests wait for an answer"
    assert len(recorder.socket.sent) == 2
    recorder.answer()
    await two
    three = await recorder.ask()
    assert len(recorder.socket.sent) == 3
    one.cancel()
    three.cancel()


def test_a_thousand_may_wait() -> None:
    """The bound itself."""
    assert channel.MAX_PENDING == 1000


async def test_what_failed_waits_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not sent, not answered, answered, refused: each makes room for the next request."""
    monkeypatch.setattr(channel, "MAX_PENDING", 1)
    recorder = RecordingChannel()
    recorder.socket.refuse_emit = NotConnectedError("No socket")
    with pytest.raises(NotConnectedError):
        await recorder.channel.request("subscribe", "acc")
    recorder.socket.refuse_emit = None
    with pytest.raises(NoResponseError):
        await recorder.channel.request("subscribe", "acc", timeout=0)
    FakeSocket.answers = {"a": {}, "b": {"error": "NotFoundError"}}
    await recorder.channel.request("a", "acc")
    with pytest.raises(NotFoundError):
        await recorder.channel.request("b", "acc")
    await recorder.channel.request("a", "acc")


async def test_closing_tells_who_waits() -> None:
    """Also when one of them has its answer already."""
    recorder = RecordingChannel()
    one, two = await recorder.ask("a"), await recorder.ask("b")
    recorder.answer(number=0)
    await recorder.channel.close()
    assert recorder.socket.closes == 1
    await one
    with pytest.raises(ConnectionLostError) as caught:
        await two
    assert str(caught.value) == "The connection to MetaApi was lost"


async def test_connects_as_todays_clients_do() -> None:
    """Query and header of the SDKs, a new client id each time."""
    recorder = RecordingChannel()
    await recorder.channel.connect(URL)
    await recorder.channel.connect(URL)
    (url, params, headers), (_, again, _) = recorder.socket.connects
    assert url == URL
    assert params["clientId"] != again["clientId"]
    assert params == {
        "auth-token": TOKEN,
        "clientId": params["clientId"],
        "protocol": "3",
    }
    assert headers == {"Client-Id": params["clientId"]}


async def test_connects_as_the_seed_page_does() -> None:
    """Nothing but the token."""
    recorder = RecordingChannel()
    await recorder.channel.connect(URL, seed_page=True)
    assert recorder.socket.connects == [(URL, {"auth-token": TOKEN}, None)]


async def test_channel_hands_on_what_its_socket_knows() -> None:
    """Whether it is open, what it counted, pings, why it closed, without the token."""
    recorder = RecordingChannel()
    assert not recorder.channel.connected
    await recorder.channel.connect(URL)
    assert recorder.channel.connected
    assert recorder.channel.counters is recorder.socket.counters
    await recorder.channel.probe()
    assert recorder.socket.probes == 1
    recorder.socket.closed.set_result(f"because of {TOKEN}")
    assert await recorder.channel.wait_closed() == f"because of {HIDDEN}"
    assert recorder.socket.redact(TOKEN) == HIDDEN
    assert recorder.socket.timing is TIMING
    assert recorder.socket.session is SESSION


def test_query_and_header_of_a_socket() -> None:
    """They are what today's clients send: the client id twice, and protocol 3."""
    assert socket_params("token", "0.25") == {
        "auth-token": "token",
        "clientId": "0.25",
        "protocol": "3",
    }
    assert socket_headers("0.25") == {"Client-Id": "0.25"}
    assert seed_page_params("token") == {"auth-token": "token"}


def test_client_ids() -> None:
    """A client id is a decimal between 0 and 1, new each time, and plain digits."""
    ids = [new_client_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert all(0 <= float(text) < 1 for text in ids)
    assert all(text.startswith("0.") and text[2:].isdecimal() for text in ids)

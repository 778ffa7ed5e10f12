"""The connection over a socket that does what a test says: back-off, floors, suspicion, closing."""

import asyncio
from datetime import datetime, tzinfo
import logging
from typing import Any

from api.errors import (
    CannotConnectError,
    ConnectionLostError,
    HandshakeEndedError,
    HandshakeRefusedError,
    MetaApiError,
    NoResponseError,
    NotConnectedError,
)
from api.support import SocketCounters
from api.transport import connection as module
from api.transport.connection import REFUSALS
import pytest

from tests.api.loopback import TOKEN, eventually

from .fakes import HIDDEN, SESSION, URL, ZONE, Act, FakeSocket, hang, now, running

pytestmark = pytest.mark.usefixtures("fake")

ENDED = HandshakeEndedError("ended")
FAILED = CannotConnectError("no")
BROKEN = HandshakeRefusedError(502)


class Noon:
    """A calendar in which it is always the same noon."""

    @staticmethod
    def now(zone: tzinfo | None = None) -> datetime:
        """Return the time."""
        return datetime(2026, 1, 1, 12, tzinfo=zone)


def test_refusals_of_a_handshake() -> None:
    """Four statuses have a floor."""
    assert frozenset((401, 403, 404, 429)) == REFUSALS


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
        socket = await rig.socket()
        assert [task.get_name() for task in rig.tasks] == ["metaapi socket london-a"]
        session_id = connection.session_id
        assert len(session_id) == 32
        assert rig.told == [f"up {session_id}"]
        assert connection.counters is socket.counters
        assert connection.back_off.attempts == 1
        await rig.lose(socket, reason="the server closed it")
        second = await rig.socket(2)
        assert socket.closes == 1
        assert rig.told == [
            f"up {session_id}",
            "down the server closed it",
            f"up {connection.session_id}",
        ]
        assert connection.session_id != session_id
        assert connection.back_off.attempts == 2
        assert second.connects[0][0] == URL


async def test_requests_and_pings_go_over_the_open_socket() -> None:
    """With what the connection knows of itself; without a socket there is an error."""
    async with running(start=False) as rig:
        for call in (rig.connection.request("x", "acc"), rig.connection.probe()):
            with pytest.raises(NotConnectedError) as caught:
                await call
            assert str(caught.value) == "No socket to MetaApi is open"
        rig.connection.start()
        socket = await rig.socket()
        FakeSocket.answers = {"subscribe": {"ok": 1}}
        answer = await rig.connection.request("subscribe", "acc", sessionId="s")
        assert answer["ok"] == 1
        payload = socket.last
        del payload["requestId"]
        assert payload == {
            "type": "subscribe",
            "accountId": "acc",
            "application": "Mine",
            "instanceIndex": 0,
            "sessionId": "s",
        }
        await rig.connection.probe()
        assert socket.probes == 1
        started = now()
        with pytest.raises(NoResponseError):
            await rig.connection.request("other", "acc", timeout=7)
        assert now() - started == pytest.approx(7, abs=0.1)


async def test_what_a_socket_tells() -> None:
    """Events and a refused token reach who listens."""
    async with running() as rig:
        socket = await rig.socket()
        socket.on_event("synchronization", {"type": "status"})
        assert rig.events == [{"type": "status"}]
        socket.on_event("processingError", {"error": "UnauthorizedError"})
        assert rig.told[1:] == ["unauthorized True"]
        assert socket.timing is rig.timing
        assert socket.engine_timing is rig.timing
        assert socket.session is SESSION
        assert socket.redact(TOKEN) == HIDDEN


async def test_loss_ends_the_requests_that_wait() -> None:
    """Before who listens hears of it, so that nobody asks again on a dead socket."""
    async with running() as rig:
        socket = await rig.socket()
        task = asyncio.create_task(rig.connection.request("subscribe", "acc"))
        await eventually(lambda: socket.sent)
        await rig.lose(socket)
        with pytest.raises(ConnectionLostError):
            await task


async def test_a_listener_that_fails_costs_no_socket(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The socket is closed, the loop goes on, and the log does not hold the fault's text."""
    async with running() as rig:
        rig.fault = RuntimeError(f"secret {TOKEN}")
        socket = await rig.socket()
        await rig.lose(socket)
        rig.fault = None
        await rig.socket(2)
        assert rig.gaps == [pytest.approx(1, abs=0.2)]
    (record,) = [one for one in caplog.records if one.name.startswith("api.")]
    assert record.levelno == logging.ERROR
    assert record.getMessage() == "Unexpected RuntimeError on the socket to london-a"
    assert record.exc_info is None


@pytest.mark.parametrize("error", [FAILED, ENDED, BROKEN])
async def test_last_error(error: MetaApiError) -> None:
    """What went wrong last is kept, for a person to read."""
    async with running(error) as rig:
        assert rig.connection.statistics.last_error is None
        await asyncio.sleep(0.5)
        assert rig.connection.statistics.last_error is error
        await rig.socket(2)
        assert rig.connection.statistics.last_error is error


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
        socket = FakeSocket.made[-1]
        socket.on_event("response", {})
        socket.on_event("response", {})
        check(unexpected=2)
        await rig.lose(socket, reason="the server closed it")
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
        FakeSocket.made[-1].on_event("response", {})
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
        await rig.lose(FakeSocket.made[-1], reason="it broke")
        (task,) = rig.tasks
        connection.stop()
        await eventually(task.done)
        check(state="closed", open_for=..., losses=2, last_loss="it broke")
        await connection.close()
        check()


# -- pauses ----------------------------------------------------------------------------------------


async def test_back_off_doubles() -> None:
    """From the first pause to the longest; the first two minutes know no long one."""
    async with running() as rig:
        FakeSocket.otherwise = FAILED
        await asyncio.sleep(1000)
        assert rig.gaps == [1, 2, 4, *[8] * 15, *[30] * 29]


async def test_a_pause_counts_from_the_start_of_the_connect() -> None:
    """A connect that hung for 10 s has been a pause already; a little jitter is left of it."""

    async def hang_up() -> None:
        await asyncio.sleep(10)
        raise FAILED

    async with running() as rig:
        FakeSocket.otherwise = hang_up
        await asyncio.sleep(600)
        assert rig.gaps == [*[11] * 10, *[30] * 16]


async def test_a_connect_that_hung_for_longer_than_a_pause() -> None:
    """Is not tried again at once, or all who hung would come at once."""

    async def hang_up() -> None:
        await asyncio.sleep(60)
        raise FAILED

    async with running() as rig:
        FakeSocket.otherwise = hang_up
        await asyncio.sleep(600)
        assert rig.gaps == [61] * 9


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
        assert rig.gaps == [0.2, 0.4, 5.8]


@pytest.mark.parametrize(
    ("before", "longest"),
    [(0, 1.0), (1, 2.0), (29, 2.0**29), (30, 2.0**30), (5000, 2.0**30)],
)
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
        rig.connection.back_off.attempts = before
        await rig.socket(2)
        assert drawn == [longest]


@pytest.mark.parametrize(
    ("lived", "proven", "pauses"),
    [
        (1.0, False, [2, 4, 8, 8]),
        (59.0, True, [2, 4, 8, 8]),
        (61.0, True, [1, 1, 2, 4]),
        (61.0, False, [2, 4, 8, 8]),
        (150.0, False, [2, 4, 8, 8]),
        (299.0, False, [2, 4, 8, *[8] * 14, 30]),
        (59.0, False, [2, 4, 8, *[8] * 6, 30]),
        (301.0, False, [1, 1, 2, 4, *[8] * 14, 30]),
        (301.0, True, [1, 1, 2, 4]),
    ],
)
async def test_what_starts_the_back_off_afresh(
    lived: float, proven: bool, pauses: list[float]
) -> None:
    """Five minutes of open socket, or one minute of one that showed a terminal."""
    async with running(FAILED) as rig:
        socket = await rig.socket(2)
        if proven:
            rig.connection.prove()
        FakeSocket.otherwise = FAILED
        opened = len(FakeSocket.tried)
        await rig.lose(socket, lived)
        lost = now()
        assert rig.connection.back_off.attempts == (0 if pauses[0] == 1 else 2)
        await asyncio.sleep(sum(pauses) + 0.5)
        first = round(FakeSocket.tried[opened] - lost, 1)
        assert [first, *rig.gaps[opened:]][: len(pauses)] == pauses


async def test_what_one_socket_proved_is_not_the_next_ones() -> None:
    """Each has to show a terminal itself."""
    async with running() as rig:
        socket = await rig.socket()
        rig.connection.prove()
        await rig.lose(socket, lived=1)
        socket = await rig.socket(2)
        await rig.lose(socket, lived=100)
        await rig.socket(3)
        assert rig.connection.back_off.attempts == 3


@pytest.mark.parametrize(
    ("status", "retry_after", "floor"),
    [
        (401, None, 5.0),
        (403, None, 5.0),
        (404, None, 5.0),
        (429, None, 5.0),
        (429, "2", 5.0),
        (429, "20", 20.0),
        (404, "400", 400.0),
        (429, "400", 400.0),
        (403, "400", 400.0),
        (429, "soon", 5.0),
        (429, "Thu, 01 Jan 2026 12:10:00 GMT", 600.0),
        (301, "400", 0.0),
        (400, None, 0.0),
        (502, "400", 0.0),
        (503, "400", 0.0),
    ],
)
async def test_floor_after_a_refusal(
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    retry_after: str | None,
    floor: float,
) -> None:
    """A few seconds, or longer where the server says so, and jitter; a server in trouble has none."""
    monkeypatch.setattr(module, "datetime", Noon)
    async with running(HandshakeRefusedError(status, retry_after), FAILED) as rig:
        await rig.socket(3)
        # the failure after it is judged by itself
        assert rig.gaps == [floor + 1.0, 2.0]
        assert rig.told[:-1] == ["unauthorized True"] * (status == 401)


@pytest.mark.parametrize("status", [401, 403, 404, 429])
@pytest.mark.parametrize("lots", ["low", "high"])
async def test_attempts_an_hour_after_refusals(
    monkeypatch: pytest.MonkeyPatch, status: int, lots: str
) -> None:
    """At most 25 in the first hour and 12 in each later one, whatever the jitter; at least half of that."""
    if lots == "low":
        monkeypatch.setattr(module.random, "uniform", lambda low, high: low)
    async with running() as rig:
        FakeSocket.otherwise = HandshakeRefusedError(status)
        started = now()
        await asyncio.sleep(6 * 3600)
        hours = [0] * 6
        for tried in FakeSocket.tried:
            hours[int((tried - started) // 3600)] += 1
        assert hours[0] <= 25
        assert max(hours[1:]) <= 12
        assert min(hours) >= 6
        assert rig.gaps[:7] == [
            pytest.approx(floor, abs=30.1) for floor in (5, 10, 20, 40, 80, 160, 300)
        ]
        assert max(rig.gaps) <= 330


async def test_refusals_between_other_failures_keep_their_floor() -> None:
    """One of two servers behind a name may refuse, and the other fail."""
    async with running() as rig:
        for _ in range(200):
            FakeSocket.acts += [HandshakeRefusedError(403), BROKEN]
        await asyncio.sleep(3600)
        assert len(FakeSocket.tried) <= 2 * 25
        assert rig.gaps[-1] == 330 or rig.gaps[-2] == 330


@pytest.mark.parametrize(("lived", "floor"), [(299, 10), (301, 5)])
async def test_a_socket_that_served_ends_the_refusals(
    lived: float, floor: float
) -> None:
    """A refusal hours later is a new one, and may pass as quickly."""
    async with running(HandshakeRefusedError(403)) as rig:
        socket = await rig.socket(2)
        FakeSocket.acts = [HandshakeRefusedError(403)]
        await rig.lose(socket, lived)
        await rig.socket(4)
        assert rig.gaps[-1] == pytest.approx(floor, abs=4.1)


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
async def test_sockets_that_end_at_once_are_suspicious(
    acts: list[Act], told: int
) -> None:
    """Three in a row may mean a refused token; nobody said so."""
    async with running(*acts) as rig:
        await rig.socket(len(acts) + 1)
        assert rig.told[:-1] == ["unauthorized False"] * told


@pytest.mark.parametrize(("lived", "told"), [(4.8, 1), (5.2, 0)])
async def test_sockets_that_live_a_moment_are_suspicious(
    lived: float, told: int
) -> None:
    """A socket that opens and is closed within five seconds counts as well."""
    async with running() as rig:
        for number in range(1, 4):
            await rig.lose(await rig.socket(number), lived)
        await rig.socket(4)
        assert rig.told.count("unauthorized False") == told


async def test_a_socket_that_lived_ends_the_suspicion() -> None:
    """Only those in a row count."""
    async with running(ENDED, ENDED) as rig:
        socket = await rig.socket(3)
        FakeSocket.acts = [ENDED, ENDED]
        await rig.lose(socket, lived=6)
        await rig.socket(6)
        assert "unauthorized False" not in rig.told


# -- a person's wish, and the end ------------------------------------------------------------------


async def test_a_person_cuts_one_pause_short() -> None:
    """The one that is, not the one after it; and what they begin is no longer an old outage."""
    async with running(*[FAILED] * 5) as rig:
        await asyncio.sleep(10)
        assert rig.gaps == [1, 2, 4]
        rig.connection.wake()
        assert rig.connection.back_off.attempts == 0
        await rig.socket(6)
        assert rig.gaps == [1, 2, 4, 3, 1]


async def test_nobody_cuts_a_floor_short() -> None:
    """However often a person asks; nor does what they asked cut the pause after it."""
    async with running(HandshakeRefusedError(403), FAILED) as rig:
        for _ in range(5):
            await asyncio.sleep(1)
            rig.connection.wake()
        await rig.socket(3)
        assert rig.gaps[0] == 6


async def test_a_connect_that_hangs_ends_when_somebody_asks() -> None:
    """But not one that only just began; nor is anything left for the one after it."""
    async with running(hang, hang) as rig:
        await asyncio.sleep(rig.timing.connect_hung - 0.5)
        rig.connection.wake()
        await asyncio.sleep(30)
        assert len(FakeSocket.made) == 1
        rig.connection.wake()
        await asyncio.sleep(2)
        assert len(FakeSocket.made) == 2
        error = rig.connection.statistics.last_error
        assert isinstance(error, CannotConnectError)
        assert str(error) == "The connect hung, and somebody asked"
        assert error.__suppress_context__
        rig.connection.wake()
        await asyncio.sleep(30)
        assert len(FakeSocket.made) == 2


async def test_a_person_who_insists_starts_one_connect_anew() -> None:
    """Not each of them, or a slow server would never be reached; the next outage is another one."""

    async def slow() -> None:
        await asyncio.sleep(12)

    async with running() as rig:
        FakeSocket.otherwise = slow
        for connects in (2, 4):
            for _ in range(5):
                await asyncio.sleep(6)
                rig.connection.wake()
            assert rig.connection.connected
            assert len(FakeSocket.made) == connects
            await rig.lose(FakeSocket.made[-1])


async def test_floors_double_thirty_times_at_most() -> None:
    """However long a server refuses, no number gets too large."""
    async with running(
        HandshakeRefusedError(403), start=False, refused_first=1.0, refused_floor=1e30
    ) as rig:
        for _ in range(5000):
            rig.connection.back_off.refuse(0.0)
        assert rig.connection.back_off.refuse(0.0) == 2.0**30


@pytest.mark.parametrize(
    ("act", "closes"),
    [(hang, 0), (None, 1), (FAILED, 0), (HandshakeRefusedError(403), 0)],
    ids=["connecting", "open", "pausing", "under a floor"],
)
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
        assert FakeSocket.made[0].closes == closes
        assert rig.told[1:] == ["down closed by us"] * closes
        await rig.connection.close()
        rig.connection.stop()
        await asyncio.sleep(1000)
        assert len(FakeSocket.made) == 1


async def test_stop_begins_the_end() -> None:
    """Without waiting for it."""
    async with running() as rig:
        socket = await rig.socket()
        (task,) = rig.tasks
        rig.connection.stop()
        assert not task.done()
        await eventually(task.done)
        assert socket.closes == 1

"""Test the effects of each fault against the promised times, in seconds of the client's clock.

Nothing is scaled: the client has its real timing, on a loop with its own clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
import inspect
import random
import time
from typing import Any, Literal, Self, override
from unittest.mock import patch

from api.errors import LONGEST_WAIT
from api.model import Outcome, Status
from api.timing import Timing
import pytest

from simulator.transport import Transport
from tests.api.virtual_loop import current_loop

from .conftest import Tables
from .proxy import Answer, contains, text_frame
from .rig import REFUSED_FIRST_HOUR, Census, Rig, most_attempts, rigged

TIMING = Timing()
PING_INTERVAL = 25.0
PING_TIMEOUT = 5.0

# The promised times
DISCONNECTED_SHOWS = 2.0
SILENCE_SHOWS = 70.0
OWN_LOSS_SHOWS = PING_INTERVAL + PING_TIMEOUT + TIMING.blind
BACK = 10.0
"""After the end of a short fault, during which the back-off has hardly increased."""
LONG_BACK = 35.0
"""After the end of any other fault that is not a refusal."""
HOUR = 3600.0

ROUND_SHOWS = TIMING.round + 10.0
"""After a gap, a round of subscribes has to find out what was missed."""
JUST_UP = 5.0
"""The interval of statuses, after which a working socket has shown one."""

type Act = Callable[[Rig], Awaitable[Any] | Any]


def nothing(_: Rig) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Fault:
    """A fault between the client and MetaApi."""

    name: str
    start: Act
    end: Act = nothing
    lasts: float = 0.0
    kind: Literal["harmless", "short", "long", "refused"] = "short"
    """Its effect: none; a lost socket; accounts out of sight; the latter with the floor of a refusal."""
    noticed: float = 0.0
    """How long it takes until the client can notice it."""
    retry_after: float = 0.0
    twice: bool = False
    """Whether connections end without an answer, so that aiohttp repeats each attempt once."""

    @property
    def outage(self) -> float:
        """Return how long after its start a terminal drops."""
        return self.lasts / 2 if self.kind in ("harmless", "short") else JUST_UP


@dataclass(frozen=True)
class Bounds:
    """The maximum effects of a fault."""

    truth: float
    back: float
    attempts: int

    @classmethod
    def of(cls, fault: Fault) -> Self:
        """Calculate the maximum effects of a fault."""
        if fault.kind == "harmless":
            return cls(DISCONNECTED_SHOWS + fault.noticed, BACK, 0)
        back = fault.noticed + BACK
        if fault.kind == "short":
            truth = fault.lasts - fault.outage + back + ROUND_SHOWS
            attempts = most_attempts(TIMING, fault.lasts + back) * (
                2 if fault.twice else 1
            )
            return cls(truth, back, attempts)
        if fault.kind == "long":
            attempts = most_attempts(TIMING, fault.lasts) * (2 if fault.twice else 1)
            return cls(OWN_LOSS_SHOWS, LONG_BACK, attempts + 1)
        floor = max(TIMING.refused_floor, fault.retry_after)
        attempts = (
            int(fault.lasts / fault.retry_after)
            if fault.retry_after
            else REFUSED_FIRST_HOUR
        )
        return cls(OWN_LOSS_SHOWS, floor + TIMING.backoff_max + BACK, attempts + 1)


# -- the faults ------------------------------------------------------------------------------------


def drop(rig: Rig) -> None:
    """Reset the connection."""
    rig.proxy.drop()


async def refuse(rig: Rig) -> None:
    """Reset the connection, and refuse new ones."""
    await rig.proxy.refuse()
    rig.proxy.drop()


async def listen(rig: Rig) -> None:
    """Accept connections again."""
    await rig.proxy.listen()


def stall(*, up: bool = False, down: bool = False) -> Act:
    """Stall one direction or both."""
    return lambda rig: rig.proxy.stall(up=up, down=down)


def black_hole(rig: Rig) -> None:
    """Drop all data, on open connections and new ones."""
    rig.proxy.stall(up=True, down=True)
    rig.proxy.hang = True


def relay_again(rig: Rig) -> None:
    """Relay data again, and drop the connections that hung."""
    rig.proxy.hang = False
    rig.proxy.stall()
    rig.proxy.drop()


def half_open(rig: Rig) -> None:
    """Abort the server's side without closing the client's."""
    rig.proxy.half_open()


def slow_handshake(seconds: float) -> Act:
    """Reset the connection, and delay the next answers."""

    def act(rig: Rig) -> None:
        rig.proxy.handshake_delay = seconds
        rig.proxy.drop()

    return act


def quick_handshake(rig: Rig) -> None:
    """Answer without a delay again."""
    rig.proxy.handshake_delay = 0.0


def hang(rig: Rig) -> None:
    """Reset the connection, and never answer new ones."""
    rig.proxy.hang = True
    rig.proxy.drop()


async def truncate(rig: Rig) -> None:
    """Truncate the next frame."""
    rig.proxy.cut_frames = True
    await rig.until(lambda: not rig.proxy.connections, 10)
    rig.proxy.cut_frames = False


def inject(data: bytes) -> Act:
    """Inject bytes between two frames."""
    return lambda rig: rig.proxy.inject(data)


def answer(status: int, retry_after: str | None = None) -> Act:
    """Reset the connection, and answer upgrades with an HTTP status."""

    def act(rig: Rig) -> None:
        rig.proxy.answer = Answer(status, retry_after)
        rig.proxy.drop()

    return act


def no_answer(rig: Rig) -> None:
    """Relay the server's answers again."""
    rig.proxy.answer = None


def lose_names(rig: Rig) -> None:
    """Reset the connection, and make the name resolution fail."""
    rig.names.broken = True
    rig.proxy.drop()


def find_names(rig: Rig) -> None:
    """Resolve names again."""
    rig.names.broken = False


async def stop_server(rig: Rig) -> None:
    """Stop the server behind the proxy."""
    await rig.sim.stop_listening()


async def start_server(rig: Rig) -> None:
    """Start it again."""
    await rig.sim.resume_listening()


def freeze(rig: Rig) -> None:
    """Freeze the server with its connections."""
    rig.sim.freeze()


def unfreeze(rig: Rig) -> None:
    """Unfreeze the server."""
    rig.sim.unfreeze()


def block(seconds: float) -> Act:
    """Block the client's own loop."""
    return lambda _: current_loop().stand_still(seconds)


class _BlockAfterPings:
    """Blocks the client's own loop for longer than `pingTimeout` after each ping."""

    def __init__(self) -> None:
        """Store the server's method that receives pings."""
        receive = Transport._receive

        def receive_and_block(transport: Transport, frame: str) -> None:
            receive(transport, frame)
            if frame == "2":
                current_loop().stand_still(20)

        self._patch = patch.object(Transport, "_receive", receive_and_block)

    def start(self, _: Rig) -> None:
        """Block from the next ping on."""
        self._patch.start()

    def end(self, _: Rig) -> None:
        """Stop blocking."""
        self._patch.stop()


def reorder(rig: Rig) -> None:
    """Let later events overtake a `disconnected`."""
    rig.proxy.reorder = contains("disconnected")


def in_order(rig: Rig) -> None:
    """Keep the order again."""
    rig.proxy.reorder = None
    assert rig.proxy.reordered == 1


class _Jump:
    """A host whose clock is wrong by some days."""

    def __init__(self, days: int) -> None:
        """Create patches of every clock that the client must not trust."""
        offset = timedelta(days=days)
        real = time.time

        class WrongDatetime(datetime):
            """A `datetime` class that is wrong."""

            @classmethod
            @override
            def now(cls, tz: Any = None) -> Any:
                """Return the wrong time."""
                return datetime.now(tz) + offset

        self._patches: list[Any] = [
            patch("time.time", lambda: real() + offset.total_seconds()),
            patch("api.transport.connection.datetime", WrongDatetime),
            patch("api.subscriber.datetime", WrongDatetime),
        ]

    def start(self, _: Rig) -> None:
        """Set the clock wrong."""
        for each in self._patches:
            each.start()

    def end(self, _: Rig) -> None:
        """Set the clock right."""
        for each in self._patches:
            each.stop()


def jump(name: str, days: int) -> Fault:
    """Set the host's clock wrong for a while."""
    clock = _Jump(days)
    return Fault(name, clock.start, clock.end, 300, "harmless")


def blocked() -> Fault:
    """Block the client's own loop repeatedly while a pong is under way."""
    pings = _BlockAfterPings()
    return Fault(
        "our loop blocked after each ping", pings.start, pings.end, 300, "harmless"
    )


TEN_MINUTES = 600.0
JUNK = random.Random(3).randbytes(300)
PING_NOTICED = PING_INTERVAL + PING_TIMEOUT

FAULTS = [
    Fault("connection reset", drop),
    Fault("connection refused for 3 s", refuse, listen, 3),
    Fault("connection refused for 50 s", refuse, listen, 50),
    Fault("connection refused for 10 min", refuse, listen, TEN_MINUTES, "long"),
    Fault(
        "stalled from the server for 20 s", stall(down=True), stall(), 20, noticed=10
    ),
    Fault("stalled to the server for 20 s", stall(up=True), stall(), 20, noticed=10),
    Fault(
        "stalled from the server for 10 min",
        stall(down=True),
        stall(),
        TEN_MINUTES,
        "long",
    ),
    Fault(
        "stalled to the server for 10 min", stall(up=True), stall(), TEN_MINUTES, "long"
    ),
    Fault("no network for 10 min", black_hole, relay_again, TEN_MINUTES, "long"),
    Fault("half-open", half_open, noticed=PING_NOTICED),
    Fault("handshake takes 20 s", slow_handshake(20), quick_handshake, 3, noticed=20),
    Fault("handshake never ends, 10 min", hang, relay_again, TEN_MINUTES, "long"),
    Fault("frame cut in the middle", truncate),
    Fault("garbage bytes", inject(JUNK)),
    Fault(
        "garbage in a text frame",
        inject(text_frame('42["synchronization",{]')),
        kind="harmless",
    ),
    Fault("reserved bits in a frame", inject(b"\xf1\x01x")),
    Fault("events out of order", reorder, in_order, 20, "harmless", noticed=JUST_UP),
    Fault("HTTP 401 for 1 h", answer(401), no_answer, HOUR, "refused"),
    Fault("HTTP 403 for 1 h", answer(403), no_answer, HOUR, "refused"),
    Fault("HTTP 429 for 1 h", answer(429), no_answer, HOUR, "refused"),
    Fault(
        "HTTP 429, Retry-After 900 s",
        answer(429, "900"),
        no_answer,
        HOUR,
        "refused",
        retry_after=900,
    ),
    Fault("HTTP 500 for 10 min", answer(500), no_answer, TEN_MINUTES, "long"),
    Fault("HTTP 502 for 10 min", answer(502), no_answer, TEN_MINUTES, "long"),
    Fault("no name service for 10 min", lose_names, find_names, TEN_MINUTES, "long"),
    Fault("server closes", lambda rig: rig.sim.close_sockets()),
    Fault("server ends the namespace", lambda rig: rig.sim.disconnect_sockets()),
    Fault("server sends an error packet", lambda rig: rig.sim.send_error_packet()),
    Fault("server restarts in 3 s", stop_server, start_server, 3, twice=True),
    Fault(
        "server restarts in 10 min",
        stop_server,
        start_server,
        TEN_MINUTES,
        "long",
        twice=True,
    ),
    Fault("server stands still for 10 min", freeze, unfreeze, TEN_MINUTES, "long"),
    jump("host's clock a year ahead", 365),
    jump("host's clock a year behind", -365),
    blocked(),
    Fault("our loop blocked for 28 s", block(28)),
    Fault("our loop blocked for 2 min", block(120)),
]


@dataclass
class Measured:
    """The measured effects of a fault."""

    hidden: float | None = None
    """Seconds from its start until a terminal that was up went out of sight."""
    truth: float = 0.0
    """Seconds from the drop of a terminal until it was not shown as on any more."""
    back: float = 0.0
    """Seconds from the end of the fault until the next event of a terminal."""
    attempts: int = 0


async def do(act: Act, rig: Rig) -> None:
    """Do something that may take time."""
    result = act(rig)
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_fault(fault: Fault, tables: Tables) -> None:
    """There is no false off, the state is right in time, the connection is back, and nothing is left."""
    random.seed(fault.name)
    bounds = Bounds.of(fault)
    async with rigged(3) as rig:
        census = Census(rig.proxies)
        steady, dropped, down = rig.sim.accounts
        rig.sim.set_terminal(down, up=False)
        for account_id in rig.sim.accounts:
            rig.add(account_id)
        await rig.until(
            lambda: [rig.shown(i) for i in rig.sim.accounts] == [True, True, False], 120
        )
        await asyncio.sleep(random.uniform(0, PING_INTERVAL))

        measured = await measure(rig, fault, steady, dropped)
        await rig.until(lambda: rig.shown(down) is False, ROUND_SHOWS, "settled")
        shown = [value for _, value in rig.timeline(steady)]
        never_on = True not in [value for _, value in rig.timeline(down)]

        await check_alive(rig, steady, dropped)
        await rig.monitor.close()
        await asyncio.sleep(0)
        left = census.take()

    hidden = measured.hidden
    tables.faults.append(
        (
            fault.name,
            "-" if hidden is None else f"{hidden:.1f}",
            f"{measured.truth:.1f} / {bounds.truth:.0f}",
            f"{measured.back:.1f} / {bounds.back:.0f}",
            f"{measured.attempts} / {bounds.attempts}",
            str(len(left.tasks)),
            str(left.sockets),
            str(len(rig.log.lines)),
        )
    )
    if fault.kind in ("harmless", "short"):
        assert shown == [None, True], "a short fault was shown"
    else:
        assert shown == [None, True, "unavailable", True], "a false off"
        assert hidden is not None
        assert hidden <= OWN_LOSS_SHOWS
    assert never_on, "a false on"
    assert measured.truth <= bounds.truth
    assert measured.back <= bounds.back
    assert measured.attempts <= bounds.attempts
    assert not left
    assert not rig.log.lines


async def measure(rig: Rig, fault: Fault, steady: str, dropped: str) -> Measured:
    """Cause a fault, and drop a terminal in the middle of it."""
    measured = Measured()
    attempts = len(rig.attempts)
    started = rig.now
    await do(fault.start, rig)
    await asyncio.sleep(max(0.0, started + fault.outage - rig.now))
    rig.sim.set_terminal(dropped, up=False)
    outage = rig.now
    await asyncio.sleep(max(0.0, started + fault.lasts - rig.now))
    await do(fault.end, rig)
    ended = rig.now
    await rig.until(
        lambda: rig.event_since(steady, ended) and rig.shown(steady) is True,
        2 * HOUR,
        "back",
    )
    measured.back = rig.monitor.first_event(steady, ended) - ended
    measured.attempts = len(rig.attempts) - attempts
    await rig.until(lambda: rig.shown(dropped) is False, 200, "the outage is shown")
    shown_at = rig.first_shown(dropped, (False, "unavailable"), outage)
    assert shown_at is not None
    measured.truth = shown_at - outage
    hidden = rig.first_shown(steady, ("unavailable",), started)
    measured.hidden = None if hidden is None else hidden - started
    return measured


async def check_alive(rig: Rig, steady: str, dropped: str) -> None:
    """Check that everything works as before."""
    rig.sim.set_terminal(steady, up=False)
    await rig.until(lambda: rig.shown(steady) is False, DISCONNECTED_SHOWS)
    assert rig.monitor.state(steady).status is Status.DISCONNECTED
    for account_id in (steady, dropped):
        rig.sim.set_terminal(account_id, up=True)
    for account_id in (steady, dropped):
        await rig.until(partial(rig.shown, account_id), BACK)


async def test_a_reconnect_that_comes_first_on_a_socket_leaves_it_subscribed() -> None:
    """A subscribe precedes it, since without one there would be no statuses."""
    async with rigged() as rig:
        account_id = rig.sim.account.id
        rig.add(account_id)
        await rig.until(lambda: rig.shown(account_id), 20)
        await refuse(rig)
        await asyncio.sleep(TEN_MINUTES)
        await listen(rig)
        result = await rig.reconnect(account_id, 30)
        assert result.outcome is Outcome.AUTHENTICATED
        (socket,) = rig.sim.sockets
        await rig.until(
            lambda: [one.type for one in socket.requests] == ["subscribe", "reconnect"],
            1,
        )
        since = rig.now
        await asyncio.sleep(3 * TIMING.silence)
        assert rig.first_shown(account_id, (False, "unavailable"), since) is None
        assert rig.event_since(account_id, rig.now - JUST_UP)


async def test_silence_shows() -> None:
    """A terminal without events goes off, on a socket that works."""
    async with rigged(2) as rig:
        silent, other = rig.sim.accounts
        for account_id in rig.sim.accounts:
            rig.add(account_id)
        await rig.until(lambda: rig.shown(silent) and rig.shown(other), 20)
        rig.sim.set_terminal(silent, up=False, announce=False)
        since = rig.now
        await rig.until(lambda: rig.shown(silent) is False, SILENCE_SHOWS)
        shown_at = rig.first_shown(silent, (False,), since)
        assert shown_at is not None
        assert shown_at - since >= TIMING.silence - JUST_UP
        assert rig.monitor.state(silent).status is Status.SILENT
        assert rig.timeline(other)[-1][1] is True


@pytest.mark.parametrize(
    "retry_after",
    ["99999999999", "9" * 400, "Fri, 01 Jan 2100 00:00:00 GMT"],
    ids=["3000 years", "for ever", "until 2100"],
)
async def test_no_server_makes_us_wait_for_ever(retry_after: str) -> None:
    """The client is back, whatever Retry-After was."""
    async with rigged() as rig:
        account_id = rig.sim.account.id
        rig.add(account_id)
        await rig.until(lambda: rig.shown(account_id), 20)
        await do(answer(429, retry_after), rig)
        await asyncio.sleep(60)
        no_answer(rig)
        await rig.until(
            lambda: rig.shown(account_id) is True,
            LONGEST_WAIT + TIMING.backoff_max + BACK,
        )


@pytest.mark.parametrize("days", [-365, 365])
async def test_wrong_clock_does_not_stretch_a_wait(days: int) -> None:
    """A recommended retry time is a time of day, which a host with a wrong clock must not wait for."""
    clock = _Jump(days)
    async with rigged() as rig:
        account_id = rig.sim.account.id
        rig.sim.limit_subscriptions("LIMIT_ACCOUNT_SUBSCRIPTIONS_PER_USER", count=1)
        clock.start(rig)
        try:
            rig.add(account_id)
            await rig.until(lambda: rig.shown(account_id) == "unavailable", 20)
            waited = await rig.until(
                lambda: rig.shown(account_id) is True, LONGEST_WAIT + BACK
            )
        finally:
            clock.end(rig)
        assert waited >= TIMING.limit_first - BACK


async def flap(rig: Rig) -> None:
    """Lose every socket soon after it opened."""
    for _ in range(30):
        rig.proxy.drop()
        await asyncio.sleep(20)


async def answer_nothing(rig: Rig) -> None:
    """Lose the socket; on new ones, answer pings but no requests."""
    for account_id in rig.sim.accounts:
        rig.sim.set_subscribe_mode(account_id, "ignore")
    rig.proxy.drop()
    await asyncio.sleep(TEN_MINUTES)


@pytest.mark.parametrize("act", [flap, answer_nothing])
async def test_sockets_that_show_nothing_do_not_hide_an_outage(act: Act) -> None:
    """A terminal that drops meanwhile is not shown as on for ten minutes."""
    random.seed(1)
    async with rigged() as rig:
        account_id = rig.sim.account.id
        rig.add(account_id)
        await rig.until(lambda: rig.shown(account_id), 20)
        rig.sim.set_terminal(account_id, up=False, announce=False)
        outage = rig.now
        await do(act, rig)
        shown_at = rig.first_shown(account_id, (False, "unavailable"), outage)
        assert shown_at is not None
        assert shown_at - outage <= OWN_LOSS_SHOWS + ROUND_SHOWS

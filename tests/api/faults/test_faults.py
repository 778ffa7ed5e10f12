"""Each fault, and what it may cost: the promises of the design, in seconds of the client's own clock.

Nothing is scaled: the client runs with the pauses and bounds that it has at home, on a clock that leaps.
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
from .proxy import Answer, says, text_frame
from .rig import REFUSED_FIRST_HOUR, Census, Rig, most_attempts, rigged

TIMING = Timing()
PING_INTERVAL = 25.0
PING_TIMEOUT = 5.0

# The promises (design, "What an account's link is").
DISCONNECTED_SHOWS = 2.0
SILENCE_SHOWS = 70.0
OWN_LOSS_SHOWS = PING_INTERVAL + PING_TIMEOUT + TIMING.blind
BACK = 10.0
"""After the end of a fault so short that the back-off has hardly grown."""
LONG_BACK = 35.0
"""After the end of any that is not a refusal."""
HOUR = 3600.0

ROUND_SHOWS = TIMING.round + 10.0
"""Behind a gap of ours a round of subscribes has to tell what was missed."""
JUST_UP = 5.0
"""Statuses come this often: a socket that lives shows it by then."""

type Act = Callable[[Rig], Awaitable[Any] | Any]


def nothing(_: Rig) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong between us and MetaApi."""

    name: str
    start: Act
    end: Act = nothing
    lasts: float = 0.0
    kind: Literal["harmless", "short", "long", "refused"] = "short"
    """What it costs: nothing; a socket; sight of the accounts; and that with the floor of a refusal."""
    noticed: float = 0.0
    """How long it takes until the client can know of it."""
    retry_after: float = 0.0
    twice: bool = False
    """Whether connections end without an answer: aiohttp tries each of those once more at once."""

    @property
    def outage(self) -> float:
        """Return how long after its start a terminal drops."""
        return self.lasts / 2 if self.kind in ("harmless", "short") else JUST_UP


@dataclass(frozen=True)
class Bounds:
    """What a fault may cost at most."""

    truth: float
    back: float
    attempts: int

    @classmethod
    def of(cls, fault: Fault) -> Self:
        """Work out what a fault may cost."""
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
    """Reset the connection, and refuse others."""
    await rig.proxy.refuse()
    rig.proxy.drop()


async def listen(rig: Rig) -> None:
    """Take connections again."""
    await rig.proxy.listen()


def stall(*, up: bool = False, down: bool = False) -> Act:
    """Hold one direction or both."""
    return lambda rig: rig.proxy.stall(up=up, down=down)


def black_hole(rig: Rig) -> None:
    """Let nothing through, neither on what is open nor on what comes."""
    rig.proxy.stall(up=True, down=True)
    rig.proxy.hang = True


def daylight(rig: Rig) -> None:
    """Let everything through; what hung is gone."""
    rig.proxy.hang = False
    rig.proxy.stall()
    rig.proxy.drop()


def half_open(rig: Rig) -> None:
    """Let the server go without a word."""
    rig.proxy.half_open()


def slow_handshake(seconds: float) -> Act:
    """Reset the connection, and let the next answers take long."""

    def act(rig: Rig) -> None:
        rig.proxy.handshake_delay = seconds
        rig.proxy.drop()

    return act


def quick_handshake(rig: Rig) -> None:
    """Answer at once again."""
    rig.proxy.handshake_delay = 0.0


def hang(rig: Rig) -> None:
    """Reset the connection, and never answer those who come."""
    rig.proxy.hang = True
    rig.proxy.drop()


async def truncate(rig: Rig) -> None:
    """Cut the next frame in its middle."""
    rig.proxy.cut_frames = True
    await rig.until(lambda: not rig.proxy.lines, 10)
    rig.proxy.cut_frames = False


def inject(data: bytes) -> Act:
    """Put bytes between two frames."""
    return lambda rig: rig.proxy.inject(data)


def answer(status: int, retry_after: str | None = None) -> Act:
    """Reset the connection, and answer upgrades with an HTTP status."""

    def act(rig: Rig) -> None:
        rig.proxy.answer = Answer(status, retry_after)
        rig.proxy.drop()

    return act


def no_answer(rig: Rig) -> None:
    """Leave answers to the server."""
    rig.proxy.answer = None


def lose_names(rig: Rig) -> None:
    """Reset the connection, and find no address any more."""
    rig.names.broken = True
    rig.proxy.drop()


def find_names(rig: Rig) -> None:
    """Find addresses again."""
    rig.names.broken = False


async def stop_server(rig: Rig) -> None:
    """Stop the server behind the proxy."""
    await rig.sim.stop_listening()


async def start_server(rig: Rig) -> None:
    """Start it again."""
    await rig.sim.resume_listening()


def freeze(rig: Rig) -> None:
    """Let the server stand still, connections and all."""
    rig.sim.freeze()


def unfreeze(rig: Rig) -> None:
    """Let it go on."""
    rig.sim.unfreeze()


def block(seconds: float) -> Act:
    """Block our own loop."""
    return lambda _: current_loop().stand_still(seconds)


class _BlockAfterPings:
    """Blocks our own loop for longer than `pingTimeout` whenever the server has got a ping."""

    def __init__(self) -> None:
        """Prepare to look over the server's shoulder."""
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
        """Leave our loop alone."""
        self._patch.stop()


def reorder(rig: Rig) -> None:
    """Let what comes after a `disconnected` overtake it."""
    rig.proxy.reorder = says("disconnected")


def in_order(rig: Rig) -> None:
    """Keep the order again."""
    rig.proxy.reorder = None
    assert rig.proxy.reordered == 1


class _Jump:
    """A host whose clock is wrong by some days."""

    def __init__(self, days: int) -> None:
        """Prepare patches of every clock that the client could read but ought not to trust."""
        offset = timedelta(days=days)
        real = time.time

        class Elsewhen(datetime):
            """A clock that is wrong."""

            @classmethod
            @override
            def now(cls, tz: Any = None) -> Any:
                """Return the wrong time."""
                return datetime.now(tz) + offset

        self._patches: list[Any] = [
            patch("time.time", lambda: real() + offset.total_seconds()),
            patch("api.transport.connection.datetime", Elsewhen),
            patch("api.subscriber.datetime", Elsewhen),
        ]

    def start(self, _: Rig) -> None:
        """Set the clock wrong."""
        for each in self._patches:
            each.start()

    def end(self, _: Rig) -> None:
        """Set it right."""
        for each in self._patches:
            each.stop()


def jump(name: str, days: int) -> Fault:
    """Set the host's clock wrong for a while."""
    clock = _Jump(days)
    return Fault(name, clock.start, clock.end, 300, "harmless")


def blocked() -> Fault:
    """Block our own loop while a pong is on its way, again and again."""
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
    Fault("no network for 10 min", black_hole, daylight, TEN_MINUTES, "long"),
    Fault("half-open", half_open, noticed=PING_NOTICED),
    Fault("handshake takes 20 s", slow_handshake(20), quick_handshake, 3, noticed=20),
    Fault("handshake never ends, 10 min", hang, daylight, TEN_MINUTES, "long"),
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
    Fault("server says goodbye", lambda rig: rig.sim.close_sockets()),
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
    """What a fault cost."""

    hidden: float | None = None
    """How long after its start a terminal that is up went out of sight."""
    truth: float = 0.0
    """How long after it dropped a terminal was not shown on any more."""
    back: float = 0.0
    """How long after the end of the fault a terminal was heard of."""
    attempts: int = 0


async def do(act: Act, rig: Rig) -> None:
    """Do something that may take time."""
    result = act(rig)
    if inspect.isawaitable(result):
        await result


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_fault(fault: Fault, tables: Tables) -> None:
    """No false off, the truth in time, back without a person, and nothing left over."""
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
        shown = [value for _, value in rig.timeline(steady)]
        never_on = True not in [value for _, value in rig.timeline(down)]
        settled = rig.shown(down)

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
    assert settled is False
    assert measured.truth <= bounds.truth
    assert measured.back <= bounds.back
    assert measured.attempts <= bounds.attempts
    assert not left
    assert not rig.log.lines


async def measure(rig: Rig, fault: Fault, steady: str, dropped: str) -> Measured:
    """Let a fault happen, and a terminal drop in its middle."""
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
        lambda: rig.heard_since(steady, ended) and rig.shown(steady) is True,
        2 * HOUR,
        "back",
    )
    measured.back = rig.monitor.first_heard(steady, ended) - ended
    measured.attempts = len(rig.attempts) - attempts
    await rig.until(lambda: rig.shown(dropped) is False, 200, "the outage is shown")
    told = rig.first_shown(dropped, (False, "unavailable"), outage)
    assert told is not None
    measured.truth = told - outage
    hidden = rig.first_shown(steady, ("unavailable",), started)
    measured.hidden = None if hidden is None else hidden - started
    return measured


async def check_alive(rig: Rig, steady: str, dropped: str) -> None:
    """See that the link is as good as new."""
    rig.sim.set_terminal(steady, up=False)
    await rig.until(lambda: rig.shown(steady) is False, DISCONNECTED_SHOWS)
    assert rig.monitor.state(steady).status is Status.DISCONNECTED
    for account_id in (steady, dropped):
        rig.sim.set_terminal(account_id, up=True)
    for account_id in (steady, dropped):
        await rig.until(partial(rig.shown, account_id), BACK)


async def test_a_reconnect_that_comes_first_on_a_socket_leaves_it_subscribed() -> None:
    """A subscribe goes just before it: without one no status would come, and that is no silence."""
    async with rigged() as rig:
        account_id = rig.sim.account.id
        rig.add(account_id)
        await rig.until(lambda: rig.shown(account_id), 20)
        await refuse(rig)
        await asyncio.sleep(TEN_MINUTES)
        await listen(rig)
        result = await rig.monitor.reconnect(account_id, 30)
        assert result.outcome is Outcome.AUTHENTICATED
        (socket,) = rig.sim.sockets
        await rig.until(
            lambda: [one.type for one in socket.requests] == ["subscribe", "reconnect"],
            1,
        )
        since = rig.now
        await asyncio.sleep(3 * TIMING.silence)
        assert rig.first_shown(account_id, (False, "unavailable"), since) is None
        assert rig.heard_since(account_id, rig.now - JUST_UP)


async def test_silence_shows() -> None:
    """A terminal that gives no sign of life, on a socket that does."""
    async with rigged(2) as rig:
        silent, other = rig.sim.accounts
        for account_id in rig.sim.accounts:
            rig.add(account_id)
        await rig.until(lambda: rig.shown(silent) and rig.shown(other), 20)
        rig.sim.set_terminal(silent, up=False, announce=False)
        since = rig.now
        await rig.until(lambda: rig.shown(silent) is False, SILENCE_SHOWS)
        told = rig.first_shown(silent, (False,), since)
        assert told is not None
        assert told - since >= TIMING.silence - JUST_UP
        assert rig.monitor.state(silent).status is Status.SILENT
        assert rig.timeline(other)[-1][1] is True


@pytest.mark.parametrize(
    "retry_after",
    ["99999999999", "9" * 400, "Fri, 01 Jan 2100 00:00:00 GMT"],
    ids=["3000 years", "for ever", "until 2100"],
)
async def test_no_server_makes_us_wait_for_ever(retry_after: str) -> None:
    """Back without a person, whatever Retry-After said."""
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
    """A recommended time to retry is a time of day: a host that has another one asks again all the same."""
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
    """Lose the socket; on new ones, answer pings and no request."""
    for account_id in rig.sim.accounts:
        rig.sim.set_subscribe_mode(account_id, "ignore")
    rig.proxy.drop()
    await asyncio.sleep(TEN_MINUTES)


@pytest.mark.parametrize("act", [flap, answer_nothing])
async def test_sockets_that_show_nothing_do_not_hide_an_outage(act: Act) -> None:
    """A terminal that drops meanwhile is not shown on for ten minutes."""
    random.seed(1)
    async with rigged() as rig:
        account_id = rig.sim.account.id
        rig.add(account_id)
        await rig.until(lambda: rig.shown(account_id), 20)
        rig.sim.set_terminal(account_id, up=False, announce=False)
        outage = rig.now
        await do(act, rig)
        told = rig.first_shown(account_id, (False, "unavailable"), outage)
        assert told is not None
        assert told - outage <= OWN_LOSS_SHOWS + ROUND_SHOWS

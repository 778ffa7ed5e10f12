"""A seeded run of random faults over many accounts, and an oracle that knows nothing of how the client works.

The oracle has three sources: what the simulator did to each terminal, what the proxies let through, and what
the client showed when. It is written from the promises of the design alone.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
import itertools
import random
import sys
import time
from typing import Any

from api.model import Outcome, Status
from api.timing import Timing

from simulator import SimAccount, SimHost
from simulator.account import account_id as id_of
from tests.api.virtual_loop import current_loop, run_virtually

from .options import parse
from .proxy import Answer, Proxy, says, text_frame
from .rig import REFUSED_FIRST_HOUR, Census, Rig, Shown, most_attempts, rigged

REGIONS = ("london", "new-york")
ACCOUNTS = 24
COMING_AND_GOING = 4
"""So many of them are added and removed."""
GAP = 12.0
"""Seconds between two faults, on average."""

TIMING = Timing()
NOTICED = 30.0
"""Own loss is noticed after `pingInterval` and `pingTimeout`."""
EVIDENCE = NOTICED + 10.0
"""What turns a terminal off is no older: it may wait as long as a stalled socket lives, and a status."""
LOOK = 15.0
"""A terminal in a zone that can be seen for so long is known to be up."""
IN_SIGHT = TIMING.silence_refuted + 20.0
"""Where its only zone can be seen, an outage is shown by then: silence, or a round and its last answer."""
BOTH_IN_SIGHT = TIMING.silence_refuted + TIMING.round + 20.0
"""Where two can: one was silent, while the other had to begin afresh."""
OUT_OF_SIGHT = NOTICED + TIMING.blind + 10.0
"""The same where none can be seen."""
HALF_SEEN = NOTICED + TIMING.blind + TIMING.round + 10.0
"""The same where only some can; a terminal that is well is shown by then where its zone can be seen."""
SETTLE = 1500.0
PASSING = (
    "ForbiddenError",
    "NotFoundError",
    "ValidationError",
    "InternalError",
    "NotAuthenticatedError",
    "TooManyRequestsError",
)
"""What MetaApi says for a while, and takes back."""


class Steps[Value]:
    """A value that changes with time."""

    def __init__(self) -> None:
        """Start without any."""
        self.changes: list[tuple[float, Value]] = []

    def set(self, now: float, value: Value) -> None:
        """Write a value down where it is another one."""
        if not self.changes or self.changes[-1][1] != value:
            self.changes.append((now, value))

    def spans(self, value: Value, end: float) -> Iterator[tuple[float, float]]:
        """Yield from when to when it was some value."""
        ends = [when for when, _ in self.changes[1:]] + [end]
        for (start, held), until in zip(self.changes, ends, strict=True):
            if held == value:
                yield start, until

    def throughout(self, start: float, end: float, *, value: Value) -> bool:
        """Return whether it was some value all the time."""
        return any(
            since <= start and end <= until for since, until in self.spans(value, end)
        )


@dataclass
class Facts:
    """What the oracle knows of one account."""

    well: Steps[bool] = field(default_factory=Steps)
    """A terminal is up and says so, and the client has been told where it runs."""
    well_in: dict[str, Steps[bool]] = field(default_factory=dict)
    """The same, in one zone."""
    dark: Steps[bool] = field(default_factory=Steps)
    """No terminal is up."""
    out: Steps[bool] = field(default_factory=Steps)
    """It is no good, for whatever reason, and a user has to hear of it."""
    region: Steps[str] = field(default_factory=Steps)
    letters: str = "ab"
    """The zones where it has terminals."""
    told_region: str = ""
    told_deployed: bool = True
    watched: bool = False
    refused: bool = False
    """MetaApi refuses, or did a floor ago, what is asked of it."""
    busy: bool = False
    pressed: bool = False


@dataclass
class Verdict:
    """What a run showed."""

    seed: int
    faults: Counter[str]
    accounts: int
    seconds: float
    attempts: int
    lost: int
    outages: int = 0
    real_seconds: float = 0.0
    wrong: dict[str, list[str]] = field(default_factory=dict)

    KINDS = (
        "false off",
        "missed outage",
        "false on",
        "late",
        "not settled",
        "too many attempts",
        "left over",
        "log line",
        "reconnect",
    )

    def note(self, kind: str, text: str) -> None:
        """Write down what the client did wrong."""
        assert kind in self.KINDS
        self.wrong.setdefault(kind, []).append(text)

    def describe(self) -> str:
        """Return the summary as one line."""
        counts = ", ".join(
            f"{kind}: {len(self.wrong.get(kind, []))}" for kind in self.KINDS
        )
        return (
            f"seed {self.seed}: {sum(self.faults.values())} faults of {len(self.faults)} kinds over"
            f" {self.accounts} accounts in {self.seconds / 60:.0f} min ({self.real_seconds:.0f} s real),"
            f" {self.outages} outages, {self.lost} sockets lost, {self.attempts} connects; {counts}"
        )


class Chaos:
    """One run."""

    def __init__(self, rig: Rig, seed: int) -> None:
        """Prepare."""
        self.rig = rig
        self.random = random.Random(seed)
        self.facts = {
            account_id: Facts(letters="".join("ab"[zone] for zone in account.zones))
            for account_id, account in rig.sim.accounts.items()
        }
        self.clear: dict[str, Steps[bool]] = {zone: Steps() for zone in rig.proxies}
        self.refused: dict[str, list[float]] = {zone: [] for zone in rig.proxies}
        self.muted: dict[str, list[tuple[float, float]]] = {
            zone: [] for zone in rig.proxies
        }
        self.presses: list[float] = []
        self.happened: Counter[str] = Counter()
        self.results: list[tuple[str, str, Outcome]] = []
        self._unclear: Counter[str] = Counter()
        self._busy_zones: set[str] = set()
        self._ends: set[asyncio.Task[None]] = set()
        self._zone_urls: dict[str, str] = {}
        self._account_faults: list[Callable[[str], Awaitable[None]]] = [
            self.drop_terminal,
            self.drop_terminal,
            self.lose_terminal,
            self.drop_host,
            self.break_broker,
            self.silence,
            self.refuse_for_a_while,
            self.refuse_for_a_while,
            self.deny,
            self.undeploy,
            self.move,
            self.come_and_go,
            self.reconnect,
            self.reconnect,
        ]
        self._line_faults: list[Callable[[str], Awaitable[None]]] = [
            self.drop_line,
            self.drop_line,
            self.refuse_line,
            self.stall_line,
            self.black_hole,
            self.half_open,
            self.slow_handshake,
            self.cut_frame,
            self.garbage,
            self.reorder,
            self.http_error,
            self.http_refusal,
            self.say_goodbye,
            self.restart_server,
            self.mute,
            self.mute,
        ]
        self._wide_faults: list[Callable[[], Awaitable[None]]] = [
            self.lose_names,
            self.freeze,
            self.block,
            self.stutter,
            self.drop_all,
            self.lose_subscriptions,
            self.answer_late,
        ]

    # -- the run -------------------------------------------------------------------------------

    async def run(self, faults: int) -> None:
        """Let all go well, then wrong, then settle."""
        rig = self.rig
        sync = rig.sim._cloud.sync

        def watched_sync(account: SimAccount, **options: Any) -> None:
            self.look_at(account.id)
            sync(account, **options)

        rig.sim._cloud.sync = watched_sync  # type: ignore[method-assign]
        for account_id, account in rig.sim.accounts.items():
            self.watch(account_id, account.region)
        for zone, proxy in rig.proxies.items():
            self.clear[zone].set(rig.now, False)
            proxy.changed = partial(self._look_at_line, zone)
        await asyncio.sleep(60)
        while self.happened.total() < faults:
            await asyncio.sleep(self.random.expovariate(1 / GAP))
            await self._one_fault()
        while self._ends:
            await asyncio.wait(self._ends)
        await asyncio.sleep(SETTLE)

    async def _one_fault(self) -> None:
        """Let something go wrong that is not wrong already."""
        dice = self.random.random()
        if dice < 0.5:
            ids = [i for i, facts in self.facts.items() if not facts.busy]
            if ids:
                act = self.random.choice(self._account_faults)
                await self._happen(act.__name__, act(self.random.choice(ids)))
        elif dice < 0.93:
            zones = sorted(set(self.rig.proxies) - self._busy_zones)
            if zones:
                line_act = self.random.choice(self._line_faults)
                await self._happen(
                    line_act.__name__, line_act(self.random.choice(zones))
                )
        elif not self._busy_zones:
            wide_act = self.random.choice(self._wide_faults)
            await self._happen(wide_act.__name__, wide_act())

    async def _happen(self, name: str, fault: Awaitable[None]) -> None:
        """Count a fault and let it happen."""
        self.happened[name] += 1
        await fault

    def _later(self, seconds: float, *ends: Callable[[], Any]) -> None:
        """End a fault after some time."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            for end in ends:
                result = end()
                if asyncio.iscoroutine(result):
                    await result

        task = asyncio.create_task(wait(), name="end of a fault")
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    def _some(self, least: float, most: float) -> float:
        """Return a time."""
        return self.random.uniform(least, most)

    # -- what the oracle sees ------------------------------------------------------------------

    def watch(self, account_id: str, region: str) -> None:
        """Let the client watch an account."""
        facts = self.facts[account_id]
        facts.watched = True
        facts.told_region = region
        facts.told_deployed = self.rig.sim.accounts[account_id].deployed
        self.rig.add(account_id, region, deployed=facts.told_deployed)
        self.look_at(account_id)

    def look_at(self, account_id: str) -> None:
        """Write down how an account is."""
        now = self.rig.now
        account, facts = self.rig.sim.accounts[account_id], self.facts[account_id]
        told = (
            facts.watched
            and not facts.pressed
            and not facts.refused
            and facts.told_deployed
            and facts.told_region == account.region
        )
        # rare statuses are no outage: a subscribe shows the terminal all the same
        well = account.deployed and account.events.authenticated
        running = {host.zone for host in account.hosts if host.up}
        facts.dark.set(now, not (account.deployed and running))
        # what is silent in two zones authenticates in one while it is missed in the other
        missed = not (well and running) if len(facts.letters) == 1 else not running
        facts.out.set(now, missed or not account.deployed)
        facts.well.set(now, bool(told and well and running))
        facts.region.set(now, facts.told_region if facts.watched else "")
        for region in REGIONS:
            for instance, letter in enumerate("ab"):
                facts.well_in.setdefault(f"{region}-{letter}", Steps()).set(
                    now,
                    bool(told and well)
                    and region == account.region
                    and instance in running,
                )

    def _look_at_line(self, zone: str) -> None:
        """Write down whether the client can see a zone."""
        self.clear[zone].set(self.rig.now, self._is_clear(zone, self.rig.proxies[zone]))

    def _is_clear(self, zone: str, proxy: Proxy) -> bool:
        """Return whether a zone's socket is open and nothing is wrong with its line."""
        return not self._unclear[zone] and any(
            line.opened_at is not None and line.ended_at is None for line in proxy.lines
        )

    def _cloud_over(self, *zones: str) -> None:
        """Note that something is wrong with lines."""
        for zone in zones:
            self._busy_zones.add(zone)
            self._unclear[zone] += 1
            self._look_at_line(zone)

    def _clear_up(self, *zones: str) -> None:
        """Note that it is over."""
        for zone in zones:
            self._busy_zones.discard(zone)
            self._unclear[zone] -= 1
            self._look_at_line(zone)

    # -- faults of accounts --------------------------------------------------------------------

    def _occupy(
        self, account_id: str, seconds: float, *ends: Callable[[], Any]
    ) -> None:
        """Leave an account alone until a fault of it is over."""
        facts = self.facts[account_id]
        facts.busy = True

        def free() -> None:
            facts.busy = False

        self._later(seconds, *ends, lambda: self.look_at(account_id), free)
        self.look_at(account_id)

    async def drop_terminal(self, account_id: str) -> None:
        """Drop all terminals of an account."""
        sim = self.rig.sim
        sim.set_terminal(account_id, up=False)
        self._occupy(
            account_id,
            self._some(1, 600),
            lambda: sim.set_terminal(account_id, up=True),
        )

    async def lose_terminal(self, account_id: str) -> None:
        """Drop them without a word."""
        sim = self.rig.sim
        sim.set_terminal(account_id, up=False, announce=False)
        self._occupy(
            account_id,
            self._some(1, 600),
            lambda: sim.set_terminal(account_id, up=True),
        )

    async def drop_host(self, account_id: str) -> None:
        """Drop one terminal; where there is another it is no outage."""
        sim = self.rig.sim
        host = self.random.choice(sim.accounts[account_id].hosts).name
        sim.set_terminal(account_id, up=False, host=host)
        self._occupy(
            account_id,
            self._some(1, 200),
            lambda: sim.set_terminal(account_id, up=True),
        )

    async def break_broker(self, account_id: str) -> None:
        """Break the broker link."""
        sim = self.rig.sim
        sim.set_broker(account_id, up=False)
        self._occupy(
            account_id, self._some(1, 200), lambda: sim.set_broker(account_id, up=True)
        )

    async def silence(self, account_id: str) -> None:
        """Stop the statuses."""
        sim = self.rig.sim
        sim.set_silent(account_id)
        self._occupy(
            account_id,
            self._some(10, 300),
            lambda: sim.set_silent(account_id, silent=False),
        )

    async def refuse_for_a_while(self, account_id: str) -> None:
        """Refuse what is asked of an account, on new sockets, as MetaApi does when it errs."""
        sim, facts = self.rig.sim, self.facts[account_id]
        error, seconds = self.random.choice(PASSING), self._some(5, 200)
        sim.refuse_requests(
            error,
            accounts=[account_id],
            seconds=seconds,
            details={} if error == "ValidationError" else None,
            retry_after=1.0 if error == "TooManyRequestsError" else None,
        )
        # until the floor of the last refusal is over, nothing is to be seen
        facts.refused = True
        for proxy in self.rig.proxies.values():
            proxy.drop()

        def forgive() -> None:
            facts.refused = False

        self._occupy(account_id, seconds + TIMING.refused_floor + 30.0, forgive)

    async def deny(self, account_id: str) -> None:
        """Let statuses say that the terminal is not authenticated."""
        sim = self.rig.sim
        sim.set_status_authenticated(account_id, authenticated=False)
        self._occupy(
            account_id,
            self._some(5, 100),
            lambda: sim.set_status_authenticated(account_id, authenticated=True),
        )

    async def undeploy(self, account_id: str) -> None:
        """Undeploy an account, deploy it, and let the client hear of both some time later."""
        sim, facts = self.rig.sim, self.facts[account_id]

        def tell() -> None:
            if facts.watched:
                facts.told_deployed = sim.accounts[account_id].deployed
                self.rig.monitor.set_facts(account_id, deployed=facts.told_deployed)
                self.look_at(account_id)

        seconds = self._some(20, 300)
        sim.undeploy(account_id)
        self._later(self._some(1, 15), tell)
        self._later(seconds, lambda: sim.deploy(account_id))
        self._occupy(account_id, seconds + self._some(1, 30), tell)

    async def move(self, account_id: str) -> None:
        """Move an account to the other region, and let the client hear of it some time later."""
        sim, facts = self.rig.sim, self.facts[account_id]
        account = sim.accounts[account_id]
        sim.move(account_id, next(each for each in REGIONS if each != account.region))

        def tell() -> None:
            if facts.watched:
                facts.told_region = account.region
                self.rig.monitor.place_account(account_id, account.region)

        self._occupy(account_id, self._some(1, 30), tell)

    async def come_and_go(self, _: str) -> None:
        """Remove an account, and watch it again later."""
        sim = self.rig.sim
        ids = [
            each
            for each in list(self.facts)[-COMING_AND_GOING:]
            if not self.facts[each].busy
        ]
        if not ids:
            return
        account_id = self.random.choice(ids)
        facts = self.facts[account_id]
        facts.watched = False

        async def remove() -> None:
            await self.rig.monitor.remove_account(account_id)

        def add() -> None:
            self.watch(account_id, sim.accounts[account_id].region)

        self._later(0.0, remove)
        self._occupy(account_id, self._some(5, 100), add)

    async def reconnect(self, account_id: str) -> None:
        """Press the button, whatever comes of it."""
        sim, facts = self.rig.sim, self.facts[account_id]
        if not facts.watched:
            return
        mode: Any = self.random.choice(
            ("accept", "accept", "never", "ignore", "refuse", "legacy_only")
        )
        sim.set_reconnect_mode(account_id, mode)

        async def press() -> None:
            # one that is accepted is evidence of its own
            self.presses.append(self.rig.now)
            facts.pressed = True
            self.look_at(account_id)
            before = sim.accounts[account_id].reconnects
            result = await self.rig.monitor.reconnect(account_id, self._some(5, 60))
            facts.pressed = False
            self.look_at(account_id)
            if (
                result.outcome is Outcome.AUTHENTICATED
                and sim.accounts[account_id].reconnects == before
            ):
                self.results.append((account_id, mode, result.outcome))

        def mend() -> None:
            sim.set_reconnect_mode(account_id, "accept")
            sim.set_terminal(account_id, up=True)

        self._later(0.0, press)
        self._occupy(account_id, self._some(65, 120), mend)

    # -- faults of lines -----------------------------------------------------------------------

    def _spoil(self, zone: str, seconds: float, *ends: Callable[[], Any]) -> None:
        """Leave a line alone until a fault of it is over, which leaves no open socket of use."""
        self._cloud_over(zone)
        self._later(seconds, *ends, lambda: self._clear_up(zone))

    async def drop_line(self, zone: str) -> None:
        """Reset the connections."""
        self.rig.proxies[zone].drop()

    async def refuse_line(self, zone: str) -> None:
        """Refuse connections."""
        proxy = self.rig.proxies[zone]
        await proxy.refuse()
        proxy.drop()
        self._spoil(zone, self._some(2, 400), proxy.listen)

    async def stall_line(self, zone: str) -> None:
        """Hold one direction, or both."""
        proxy = self.rig.proxies[zone]
        up, down = self.random.choice([(True, False), (False, True), (True, True)])
        proxy.stall(up=up, down=down)
        self._spoil(zone, self._some(2, 120), proxy.stall)

    async def black_hole(self, zone: str) -> None:
        """Let nothing through."""
        proxy = self.rig.proxies[zone]
        proxy.stall(up=True, down=True)
        proxy.hang = True

        def mend() -> None:
            proxy.hang = False
            proxy.stall()
            proxy.drop()

        self._spoil(zone, self._some(5, 400), mend)

    async def half_open(self, zone: str) -> None:
        """Let the server be gone without a word."""
        self.rig.proxies[zone].half_open()

    async def slow_handshake(self, zone: str) -> None:
        """Reset, and answer slowly."""
        proxy = self.rig.proxies[zone]
        proxy.handshake_delay = self._some(5, 70)
        proxy.drop()

        self._busy_zones.add(zone)

        def mend() -> None:
            proxy.handshake_delay = 0.0
            self._busy_zones.discard(zone)

        # a socket that opens all the same is of use
        self._later(self._some(20, 200), mend)

    async def cut_frame(self, zone: str) -> None:
        """Cut the next frame."""
        proxy = self.rig.proxies[zone]
        proxy.cut_frames = True

        def mend() -> None:
            proxy.cut_frames = False

        self._spoil(zone, self._some(1, 10), mend)

    async def garbage(self, zone: str) -> None:
        """Put garbage between two frames."""
        junk = self.random.choice(
            [
                self.random.randbytes(50),
                text_frame("42[" + "[" * 5000),
                text_frame('42["synchronization",7]'),
                text_frame(""),
                b"\x82\x01x",
            ]
        )
        self.rig.proxies[zone].inject(junk)

    async def reorder(self, zone: str) -> None:
        """Let events overtake statuses."""
        proxy = self.rig.proxies[zone]
        proxy.reorder = says("status")

        def mend() -> None:
            proxy.reorder = None

        self._later(self._some(5, 60), mend)

    async def http_error(self, zone: str) -> None:
        """Answer upgrades with a server's error."""
        proxy = self.rig.proxies[zone]
        proxy.answer = Answer(self.random.choice((500, 502)))
        proxy.drop()

        def mend() -> None:
            proxy.answer = None

        self._spoil(zone, self._some(5, 300), mend)

    async def http_refusal(self, zone: str) -> None:
        """Refuse upgrades for a moment, which costs the floor."""
        proxy = self.rig.proxies[zone]
        if not zone or self.refused[zone]:
            return
        proxy.answer = Answer(self.random.choice((403, 429)))
        proxy.drop()
        self.refused[zone].append(self.rig.now)

        def mend() -> None:
            proxy.answer = None

        self._spoil(zone, self._some(10, 60), mend)

    async def say_goodbye(self, zone: str) -> None:
        """Let the server end its sockets as it likes to."""
        port = self.rig.proxies[zone].target
        for socket in self.rig.sim.sockets:
            if socket.listener.url.endswith(f":{port}"):
                end = self.random.choice(
                    (socket.close, socket.disconnect, lambda one=socket: one.error("x"))
                )
                end()

    async def restart_server(self, zone: str) -> None:
        """Stop the server of a zone, and start it."""
        sim = self.rig.sim
        url = f"http://127.0.0.1:{self.rig.proxies[zone].target}"
        await sim.stop_listening(url)
        self._spoil(zone, self._some(2, 120), lambda: sim.resume_listening(url))

    # -- faults of everything ------------------------------------------------------------------

    async def lose_names(self) -> None:
        """Lose every connection, and find no address."""
        names = self.rig.names
        names.broken = True
        for proxy in self.rig.proxies.values():
            proxy.drop()
        self._cloud_over(*self.rig.proxies)

        def mend() -> None:
            names.broken = False
            self._clear_up(*self.rig.proxies)

        self._later(self._some(10, 200), mend)

    async def freeze(self) -> None:
        """Let all servers stand still."""
        self.rig.sim.freeze()
        self._cloud_over(*self.rig.proxies)

        def mend() -> None:
            self.rig.sim.unfreeze()
            self._clear_up(*self.rig.proxies)

        self._later(self._some(5, 150), mend)

    async def mute(self, zone: str) -> None:
        """Answer no subscribe in a zone; the first one meets new sockets."""
        proxy = self.rig.proxies[zone]
        url = f"http://127.0.0.1:{proxy.target}"
        seconds = self._some(10, 200)
        self.rig.sim.mute_requests(url=url, seconds=seconds)
        self.muted[zone].append((self.rig.now, self.rig.now + seconds))
        proxy.drop()
        self._spoil(zone, seconds)

    async def lose_subscriptions(self) -> None:
        """Drop each subscription without a word, some time after it was made."""
        timing = self.rig.sim.timing
        timing.subscription_lifetime = self.random.choice((30.0, 120.0, 300.0))

        def mend() -> None:
            timing.subscription_lifetime = None

        self._later(self._some(60, 600), mend)

    async def answer_late(self) -> None:
        """Answer requests late, though what they cause comes at once."""
        timing = self.rig.sim.timing
        timing.response_delay = self._some(0.5, 25)

        def mend() -> None:
            timing.response_delay = 0.0

        self._later(self._some(60, 300), mend)

    async def stutter(self) -> None:
        """Block our own loop again and again, for longer than it ought to be."""
        for _ in range(10):
            self._later(self._some(0, 60), self._stand_still)

    def _stand_still(self) -> None:
        """Let our own loop stand still for a moment."""
        current_loop().stand_still(self._some(0.5, 5))

    async def block(self) -> None:
        """Block our own loop."""
        current_loop().stand_still(self._some(1, 40))

    async def drop_all(self) -> None:
        """Reset every connection."""
        for proxy in self.rig.proxies.values():
            proxy.drop()

    # -- the judgment -------------------------------------------------------------------------

    def judge(self, verdict: Verdict) -> None:
        """Compare what was shown with what was true."""
        for account_id, facts in self.facts.items():
            shown = Steps[Shown]()
            for when, value in self.rig.timeline(account_id):
                shown.set(when, value)
            name = self.rig.sim.accounts[account_id].name
            self._judge_changes(verdict, name, shown, facts)
            self._judge_outages(verdict, name, shown, facts)
            self._judge_recovery(verdict, name, shown, facts)
            self._judge_end(verdict, account_id, facts)
        self._judge_attempts(verdict)
        for account_id, mode, outcome in self.results:
            verdict.note(
                "reconnect", f"{account_id} {mode}: {outcome}, but nothing was asked"
            )

    def _judge_changes(
        self, verdict: Verdict, name: str, shown: Steps[Shown], facts: Facts
    ) -> None:
        """Look for an off while all was well, and an on while nothing was."""
        for when, value in shown.changes:
            start = when - EVIDENCE
            if value is False and self._was_seen_well(facts, start, when):
                verdict.note("false off", f"{name} at {when:.1f}")
            if value is True and facts.dark.throughout(start, when, value=True):
                verdict.note("false on", f"{name} at {when:.1f}")

    def _was_seen_well(self, facts: Facts, since: float, until: float) -> bool:
        """Return whether a terminal was well all the time, in a zone that the client saw, and not long ago."""
        return any(
            start <= since
            and until <= end
            and any(
                min(clear_end, until) - max(clear_start, start) >= LOOK
                and until - clear_end < TIMING.blind
                for clear_start, clear_end in self.clear[zone].spans(True, until)
            )
            for zone, well in facts.well_in.items()
            for start, end in well.spans(True, until)
        )

    def _judge_outages(
        self, verdict: Verdict, name: str, shown: Steps[Shown], facts: Facts
    ) -> None:
        """Look for an outage that was never shown, though each zone could be seen all the time, or never."""
        end = self.rig.now
        for start, until in facts.out.spans(True, end):
            verdict.outages += 1
            for region_start, region_until in (
                span for region in REGIONS for span in facts.region.spans(region, end)
            ):
                for since, to in self._steady(
                    facts, max(start, region_start), min(until, region_until)
                ):
                    told = any(
                        span_start <= to and span_end >= since
                        for value in (False, "unavailable")
                        for span_start, span_end in shown.spans(value, end)
                    )
                    if not told:
                        verdict.note("missed outage", f"{name} {since:.1f}-{to:.1f}")

    def _steady(
        self, facts: Facts, start: float, until: float
    ) -> Iterator[tuple[float, float]]:
        """Yield the long times in which no zone of an account came into sight or went out of it."""
        region = next(
            (value for when, value in reversed(facts.region.changes) if when <= start),
            "",
        )
        moments = sorted(
            {
                start,
                until,
                *(
                    when
                    for letter in facts.letters
                    for when, _ in self.clear[f"{region}-{letter}"].changes
                    if start < when < until
                ),
            }
            if region
            else ()
        )
        for since, to in itertools.pairwise(moments if start < until else ()):
            seen = [
                self.clear[f"{region}-{letter}"].throughout(since, to, value=True)
                for letter in facts.letters
            ]
            if not any(seen):
                # a socket that is open and mute is believed for longer than one that is away
                mute = any(
                    start < to and end > since
                    for letter in facts.letters
                    for start, end in self.muted[f"{region}-{letter}"]
                )
                patience = HALF_SEEN if mute else OUT_OF_SIGHT
            elif not all(seen):
                patience = HALF_SEEN
            elif len(seen) > 1:
                patience = BOTH_IN_SIGHT
            else:
                # a zone that comes and goes might be the one that has the account
                calm = not any(
                    since < when < since + IN_SIGHT
                    for letter in "ab"
                    for when, _ in self.clear[f"{region}-{letter}"].changes
                )
                patience = IN_SIGHT if calm else HALF_SEEN
            if to - since >= patience:
                yield since, since + patience

    def _judge_recovery(
        self, verdict: Verdict, name: str, shown: Steps[Shown], facts: Facts
    ) -> None:
        """Look for a terminal that is well, in a zone that can be seen, and not shown for long."""
        end = self.rig.now
        bad = [
            (value, *span)
            for value in (False, "unavailable", None)
            for span in shown.spans(value, end)
        ]
        for zone, well in facts.well_in.items():
            for well_start, well_end in well.spans(True, end):
                for clear_start, clear_end in self.clear[zone].spans(True, end):
                    for value, bad_start, bad_end in bad:
                        start = max(well_start, clear_start, bad_start)
                        length = min(well_end, clear_end, bad_end) - start
                        if length > HALF_SEEN:
                            verdict.note(
                                "late",
                                f"{name} shows {value} for {length:.0f} s from {start:.1f} in {zone}",
                            )

    def _judge_end(self, verdict: Verdict, account_id: str, facts: Facts) -> None:
        """Compare the state after all has settled."""
        account = self.rig.sim.accounts[account_id]
        state = self.rig.monitor.state(account_id)
        expected = (True, True, account.broker, Status.CONNECTED)
        got = (state.available, state.terminal, state.broker, state.status)
        if got != expected or not facts.watched or not account.up:
            verdict.note("not settled", f"{account.name}: {got} instead of {expected}")

    def _judge_attempts(self, verdict: Verdict) -> None:
        """Hold the attempts of each zone against full jitter and the floor."""
        end = self.rig.now
        for zone, proxy in self.rig.proxies.items():
            tries = [when for when, port in self.rig.attempts if port == proxy.port]
            for when in self.refused[zone]:
                answered = [
                    t
                    for t, status in proxy.refusals
                    if when <= t < when + 3600 and status in (403, 429)
                ]
                if answered:
                    first = answered[0]
                    later = [
                        t for t in tries if first < t < first + TIMING.refused_first
                    ]
                    if later or len(answered) > REFUSED_FIRST_HOUR:
                        verdict.note(
                            "too many attempts",
                            f"{zone}: {later or answered} after {first:.1f}",
                        )
            for since, to in self.clear[zone].spans(False, end) if zone else ():
                count = sum(since - 1 <= when <= to for when in tries)
                presses = sum(since - 1 <= when <= to for when in self.presses)
                # a person who asks wakes the back-off; aiohttp may double each
                most = 2 * (
                    most_attempts(TIMING, to - since + 1)
                    + presses * most_attempts(TIMING, TIMING.backoff_short)
                )
                if count > most:
                    verdict.note(
                        "too many attempts", f"{zone}: {count} in {to - since:.0f} s"
                    )


def make_accounts() -> list[SimAccount]:
    """Return accounts in both regions, with terminals in one zone, the other, or both."""
    accounts = []
    for number in range(ACCOUNTS):
        zones = ((0,), (1,), (0, 1))[number % 3]
        hosts = [SimHost(f"ps-mp{'ab'[zone]}-{number % 2}", zone) for zone in zones]
        if number % 5 == 0:
            hosts.append(SimHost("ps-second", zones[0]))
        accounts.append(
            SimAccount(
                id=id_of(number),
                name=f"Account {number}",
                region=REGIONS[number // 2 % 2],
                hosts=hosts,
            )
        )
    return accounts


async def _run(seed: int, faults: int) -> Verdict:
    """Run one seed."""
    random.seed(seed)
    started = time.monotonic()
    async with rigged(make_accounts(), regions=REGIONS) as rig:
        census = Census(rig.proxies)
        chaos = Chaos(rig, seed)
        begin = rig.now
        await chaos.run(faults)
        verdict = Verdict(
            seed,
            chaos.happened,
            len(rig.sim.accounts),
            rig.now - begin,
            len(rig.attempts),
            sum(len(proxy.websockets) for proxy in rig.proxies.values()),
        )
        verdict.lost -= len(rig.sockets())
        chaos.judge(verdict)
        await rig.monitor.close()
        await asyncio.sleep(0)
        left = census.take()
        if left:
            verdict.note("left over", str(left))
        for line in rig.log.lines:
            verdict.note("log line", line)
    verdict.real_seconds = time.monotonic() - started
    return verdict


def run(seed: int, faults: int) -> Verdict:
    """Run one seed on a clock that leaps."""
    return run_virtually(_run(seed, faults))


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run some seeds and print what they showed; return 0 when nothing was wrong."""
    options = parse()
    seeds = list(options.seeds)
    started = time.monotonic()
    failed: list[int] = []
    while seeds:
        seed = seeds.pop(0)
        verdict = run(seed, options.faults)
        say(verdict.describe())
        for kind, texts in verdict.wrong.items():
            for text in texts[:10]:
                say(f"  {kind}: {text}")
        if verdict.wrong:
            failed.append(seed)
        if not seeds and time.monotonic() - started < options.minutes * 60:
            seeds.append(seed + 1)
    if failed:
        say(f"Wrong with seeds {failed}.")
    return 1 if failed else 0

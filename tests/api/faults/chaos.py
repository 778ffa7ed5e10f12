"""A seeded run of random faults for many accounts, and an oracle independent of the client's code.

The oracle has three sources: what the simulator did to each terminal, what the proxies relayed, and what
the client showed at which time. It only knows the behavior that the client promises.
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
from .proxy import Answer, Proxy, contains, text_frame
from .rig import REFUSED_FIRST_HOUR, Census, Rig, Shown, most_attempts, rigged

REGIONS = ("london", "new-york")
ACCOUNTS = 24
COMING_AND_GOING = 4
"""How many of the accounts are added and removed."""
GAP = 12.0
"""Average seconds between two faults."""

TIMING = Timing()
NOTICED = 30.0
"""The time to notice our own loss: `pingInterval` + `pingTimeout`."""
EVIDENCE = NOTICED + 10.0
"""The maximum age of evidence for an off: it may wait in a stalled socket, and for a status."""
LOOK = 15.0
"""After this time in sight, a terminal is known to be up."""
IN_SIGHT = TIMING.silence_refuted + 20.0
"""The time to show an outage if its only zone is in sight: silence, or a round with its last answer."""
BOTH_IN_SIGHT = TIMING.silence_refuted + TIMING.round + 20.0
"""The same if two zones are in sight: one was silent, while the other one had to start again."""
OUT_OF_SIGHT = NOTICED + TIMING.blind + 10.0
"""The same if no zone is in sight."""
HALF_SEEN = NOTICED + TIMING.blind + TIMING.round + 10.0
"""The same if some zones are in sight; also the time to show a terminal in a zone in sight."""
SETTLE = 1500.0
PASSING = (
    "ForbiddenError",
    "NotFoundError",
    "ValidationError",
    "InternalError",
    "NotAuthenticatedError",
    "TooManyRequestsError",
)
"""Errors that MetaApi may return temporarily."""


class Steps[Value]:
    """A value over time."""

    def __init__(self) -> None:
        """Start without a value."""
        self.changes: list[tuple[float, Value]] = []

    def set(self, now: float, value: Value) -> None:
        """Record a value if it is different."""
        if not self.changes or self.changes[-1][1] != value:
            self.changes.append((now, value))

    def spans(self, value: Value, end: float) -> Iterator[tuple[float, float]]:
        """Yield the times in which it had a value."""
        ends = [when for when, _ in self.changes[1:]] + [end]
        for (start, held), until in zip(self.changes, ends, strict=True):
            if held == value:
                yield start, until

    def throughout(self, start: float, end: float, *, value: Value) -> bool:
        """Return whether it had a value all the time."""
        return any(
            since <= start and end <= until for since, until in self.spans(value, end)
        )


@dataclass
class Facts:
    """What the oracle knows about one account."""

    well: Steps[bool] = field(default_factory=Steps)
    """Whether a terminal is up and sends events, and the client knows where it runs."""
    well_in: dict[str, Steps[bool]] = field(default_factory=dict)
    """The same for each zone."""
    dark: Steps[bool] = field(default_factory=Steps)
    """Whether no terminal is up."""
    out: Steps[bool] = field(default_factory=Steps)
    """Whether the account has an outage of any kind, which the client has to show."""
    region: Steps[str] = field(default_factory=Steps)
    letters: str = "ab"
    """The zones where it has terminals."""
    told_region: str = ""
    told_deployed: bool = True
    watched: bool = False
    refused: bool = False
    """Whether MetaApi refuses its subscribes, or did so within the last floor."""
    busy: bool = False
    pressed: bool = False


@dataclass
class Verdict:
    """The results of a run."""

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
        """Record an error of the client."""
        assert kind in self.KINDS
        self.wrong.setdefault(kind, []).append(text)

    def describe(self) -> str:
        """Return the summary in one line."""
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
        """Store the rig, and seed the random choices."""
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
            self.remove_and_add,
            self.reconnect,
            self.reconnect,
        ]
        self._zone_faults: list[Callable[[str], Awaitable[None]]] = [
            self.drop_zone,
            self.drop_zone,
            self.refuse_zone,
            self.stall_zone,
            self.black_hole,
            self.half_open,
            self.slow_handshake,
            self.cut_frame,
            self.garbage,
            self.reorder,
            self.http_error,
            self.http_refusal,
            self.close_sockets,
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
        """Start without faults, cause faults, then wait until everything has settled."""
        rig = self.rig
        sync = rig.sim._cloud.sync

        def watched_sync(account: SimAccount, **options: Any) -> None:
            self.update(account.id)
            sync(account, **options)

        rig.sim._cloud.sync = watched_sync  # type: ignore[method-assign]
        for account_id, account in rig.sim.accounts.items():
            self.watch(account_id, account.region)
        for zone, proxy in rig.proxies.items():
            self.clear[zone].set(rig.now, False)
            proxy.changed = partial(self._update_zone, zone)
        await asyncio.sleep(60)
        while self.happened.total() < faults:
            await asyncio.sleep(self.random.expovariate(1 / GAP))
            await self._one_fault()
        while self._ends:
            await asyncio.wait(self._ends)
        await asyncio.sleep(SETTLE)

    async def _one_fault(self) -> None:
        """Cause a random fault where there is none already."""
        dice = self.random.random()
        if dice < 0.5:
            ids = [i for i, facts in self.facts.items() if not facts.busy]
            if ids:
                act = self.random.choice(self._account_faults)
                await self._cause(act.__name__, act(self.random.choice(ids)))
        elif dice < 0.93:
            zones = sorted(set(self.rig.proxies) - self._busy_zones)
            if zones:
                zone_act = self.random.choice(self._zone_faults)
                await self._cause(
                    zone_act.__name__, zone_act(self.random.choice(zones))
                )
        elif not self._busy_zones:
            wide_act = self.random.choice(self._wide_faults)
            await self._cause(wide_act.__name__, wide_act())

    async def _cause(self, name: str, fault: Awaitable[None]) -> None:
        """Count a fault and cause it."""
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

    def _random_seconds(self, least: float, most: float) -> float:
        """Return a random number of seconds."""
        return self.random.uniform(least, most)

    # -- input of the oracle -------------------------------------------------------------------

    def watch(self, account_id: str, region: str) -> None:
        """Make the client watch an account."""
        facts = self.facts[account_id]
        facts.watched = True
        facts.told_region = region
        facts.told_deployed = self.rig.sim.accounts[account_id].deployed
        self.rig.add(account_id, region, deployed=facts.told_deployed)
        self.update(account_id)

    def update(self, account_id: str) -> None:
        """Record the state of an account."""
        now = self.rig.now
        account, facts = self.rig.sim.accounts[account_id], self.facts[account_id]
        known = (
            facts.watched
            and not facts.pressed
            and not facts.refused
            and facts.told_deployed
            and facts.told_region == account.region
        )
        # Missing statuses are no outage, since a subscribe still shows the terminal
        well = account.deployed and account.events.authenticated
        running = {host.zone for host in account.hosts if host.up}
        facts.dark.set(now, not (account.deployed and running))
        # A silent terminal in two zones may authenticate in one while it is missing in the other
        missed = not (well and running) if len(facts.letters) == 1 else not running
        facts.out.set(now, missed or not account.deployed)
        facts.well.set(now, bool(known and well and running))
        facts.region.set(now, facts.told_region if facts.watched else "")
        for region in REGIONS:
            for instance, letter in enumerate("ab"):
                facts.well_in.setdefault(f"{region}-{letter}", Steps()).set(
                    now,
                    bool(known and well)
                    and region == account.region
                    and instance in running,
                )

    def _update_zone(self, zone: str) -> None:
        """Record whether the client can see a zone."""
        self.clear[zone].set(self.rig.now, self._is_clear(zone, self.rig.proxies[zone]))

    def _is_clear(self, zone: str, proxy: Proxy) -> bool:
        """Return whether a zone has an open socket without a fault."""
        return not self._unclear[zone] and any(
            one.opened_at is not None and one.ended_at is None
            for one in proxy.connections
        )

    def _begin_fault(self, *zones: str) -> None:
        """Record that zones have a fault."""
        for zone in zones:
            self._busy_zones.add(zone)
            self._unclear[zone] += 1
            self._update_zone(zone)

    def _end_fault(self, *zones: str) -> None:
        """Record that the fault is over."""
        for zone in zones:
            self._busy_zones.discard(zone)
            self._unclear[zone] -= 1
            self._update_zone(zone)

    # -- faults of accounts --------------------------------------------------------------------

    def _occupy(
        self, account_id: str, seconds: float, *ends: Callable[[], Any]
    ) -> None:
        """Cause no other fault for an account until this one is over."""
        facts = self.facts[account_id]
        facts.busy = True

        def free() -> None:
            facts.busy = False

        self._later(seconds, *ends, lambda: self.update(account_id), free)
        self.update(account_id)

    async def drop_terminal(self, account_id: str) -> None:
        """Drop all terminals of an account."""
        sim = self.rig.sim
        sim.set_terminal(account_id, up=False)
        self._occupy(
            account_id,
            self._random_seconds(1, 600),
            lambda: sim.set_terminal(account_id, up=True),
        )

    async def lose_terminal(self, account_id: str) -> None:
        """Drop all terminals of an account without an event."""
        sim = self.rig.sim
        sim.set_terminal(account_id, up=False, announce=False)
        self._occupy(
            account_id,
            self._random_seconds(1, 600),
            lambda: sim.set_terminal(account_id, up=True),
        )

    async def drop_host(self, account_id: str) -> None:
        """Drop one terminal, which is no outage if there is another one."""
        sim = self.rig.sim
        host = self.random.choice(sim.accounts[account_id].hosts).name
        sim.set_terminal(account_id, up=False, host=host)
        self._occupy(
            account_id,
            self._random_seconds(1, 200),
            lambda: sim.set_terminal(account_id, up=True),
        )

    async def break_broker(self, account_id: str) -> None:
        """Break the broker connection."""
        sim = self.rig.sim
        sim.set_broker(account_id, up=False)
        self._occupy(
            account_id,
            self._random_seconds(1, 200),
            lambda: sim.set_broker(account_id, up=True),
        )

    async def silence(self, account_id: str) -> None:
        """Stop the statuses."""
        sim = self.rig.sim
        sim.set_silent(account_id)
        self._occupy(
            account_id,
            self._random_seconds(10, 300),
            lambda: sim.set_silent(account_id, silent=False),
        )

    async def refuse_for_a_while(self, account_id: str) -> None:
        """Refuse an account's subscribes on new sockets for a while, as during an error of MetaApi."""
        sim, facts = self.rig.sim, self.facts[account_id]
        error, seconds = self.random.choice(PASSING), self._random_seconds(5, 200)
        sim.refuse_requests(
            error,
            accounts=[account_id],
            seconds=seconds,
            details={} if error == "ValidationError" else None,
            retry_after=1.0 if error == "TooManyRequestsError" else None,
        )
        # Nothing can be seen until the floor of the last refusal is over
        facts.refused = True
        for proxy in self.rig.proxies.values():
            proxy.drop()

        def forgive() -> None:
            facts.refused = False

        self._occupy(account_id, seconds + TIMING.refused_floor + 30.0, forgive)

    async def deny(self, account_id: str) -> None:
        """Send statuses with `authenticated: false`."""
        sim = self.rig.sim
        sim.set_status_authenticated(account_id, authenticated=False)
        self._occupy(
            account_id,
            self._random_seconds(5, 100),
            lambda: sim.set_status_authenticated(account_id, authenticated=True),
        )

    async def undeploy(self, account_id: str) -> None:
        """Undeploy and deploy an account, and inform the client about both some time later."""
        sim, facts = self.rig.sim, self.facts[account_id]

        def tell() -> None:
            if facts.watched:
                facts.told_deployed = sim.accounts[account_id].deployed
                self.rig.monitor.set_facts(account_id, deployed=facts.told_deployed)
                self.update(account_id)

        seconds = self._random_seconds(20, 300)
        sim.undeploy(account_id)
        self._later(self._random_seconds(1, 15), tell)
        self._later(seconds, lambda: sim.deploy(account_id))
        self._occupy(account_id, seconds + self._random_seconds(1, 30), tell)

    async def move(self, account_id: str) -> None:
        """Move an account to the other region, and inform the client some time later."""
        sim, facts = self.rig.sim, self.facts[account_id]
        account = sim.accounts[account_id]
        sim.move(account_id, next(each for each in REGIONS if each != account.region))

        def tell() -> None:
            if facts.watched:
                facts.told_region = account.region
                self.rig.monitor.place_account(account_id, account.region)

        self._occupy(account_id, self._random_seconds(1, 30), tell)

    async def remove_and_add(self, _: str) -> None:
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
        self._occupy(account_id, self._random_seconds(5, 100), add)

    async def reconnect(self, account_id: str) -> None:
        """Reconnect an account, with a random answer of the server."""
        sim, facts = self.rig.sim, self.facts[account_id]
        if not facts.watched:
            return
        mode: Any = self.random.choice(
            ("accept", "accept", "never", "ignore", "refuse", "legacy_only")
        )
        sim.set_reconnect_mode(account_id, mode)

        async def press() -> None:
            # An accepted reconnect is evidence by itself
            self.presses.append(self.rig.now)
            facts.pressed = True
            self.update(account_id)
            before = sim.accounts[account_id].reconnects
            result = await self.rig.reconnect(account_id, self._random_seconds(5, 60))
            facts.pressed = False
            self.update(account_id)
            if (
                result.outcome is Outcome.AUTHENTICATED
                and sim.accounts[account_id].reconnects == before
            ):
                self.results.append((account_id, mode, result.outcome))

        def repair() -> None:
            sim.set_reconnect_mode(account_id, "accept")
            sim.set_terminal(account_id, up=True)

        self._later(0.0, press)
        self._occupy(account_id, self._random_seconds(65, 120), repair)

    # -- faults of a zone's connections --------------------------------------------------------

    def _disturb(self, zone: str, seconds: float, *ends: Callable[[], Any]) -> None:
        """Cause no other fault for a zone until this one, without a working socket, is over."""
        self._begin_fault(zone)
        self._later(seconds, *ends, lambda: self._end_fault(zone))

    async def drop_zone(self, zone: str) -> None:
        """Reset the connections."""
        self.rig.proxies[zone].drop()

    async def refuse_zone(self, zone: str) -> None:
        """Refuse connections."""
        proxy = self.rig.proxies[zone]
        await proxy.refuse()
        proxy.drop()
        self._disturb(zone, self._random_seconds(2, 400), proxy.listen)

    async def stall_zone(self, zone: str) -> None:
        """Stall one direction, or both."""
        proxy = self.rig.proxies[zone]
        up, down = self.random.choice([(True, False), (False, True), (True, True)])
        proxy.stall(up=up, down=down)
        self._disturb(zone, self._random_seconds(2, 120), proxy.stall)

    async def black_hole(self, zone: str) -> None:
        """Drop all data."""
        proxy = self.rig.proxies[zone]
        proxy.stall(up=True, down=True)
        proxy.hang = True

        def repair() -> None:
            proxy.hang = False
            proxy.stall()
            proxy.drop()

        self._disturb(zone, self._random_seconds(5, 400), repair)

    async def half_open(self, zone: str) -> None:
        """Abort the server's side without closing the client's."""
        self.rig.proxies[zone].half_open()

    async def slow_handshake(self, zone: str) -> None:
        """Reset the connections, and answer slowly."""
        proxy = self.rig.proxies[zone]
        proxy.handshake_delay = self._random_seconds(5, 70)
        proxy.drop()

        self._busy_zones.add(zone)

        def repair() -> None:
            proxy.handshake_delay = 0.0
            self._busy_zones.discard(zone)

        # A socket that opens nevertheless works
        self._later(self._random_seconds(20, 200), repair)

    async def cut_frame(self, zone: str) -> None:
        """Truncate the next frame."""
        proxy = self.rig.proxies[zone]
        proxy.cut_frames = True

        def repair() -> None:
            proxy.cut_frames = False

        self._disturb(zone, self._random_seconds(1, 10), repair)

    async def garbage(self, zone: str) -> None:
        """Inject garbage between two frames."""
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
        """Let other events overtake statuses."""
        proxy = self.rig.proxies[zone]
        proxy.reorder = contains("status")

        def repair() -> None:
            proxy.reorder = None

        self._later(self._random_seconds(5, 60), repair)

    async def http_error(self, zone: str) -> None:
        """Answer upgrades with a server error."""
        proxy = self.rig.proxies[zone]
        proxy.answer = Answer(self.random.choice((500, 502)))
        proxy.drop()

        def repair() -> None:
            proxy.answer = None

        self._disturb(zone, self._random_seconds(5, 300), repair)

    async def http_refusal(self, zone: str) -> None:
        """Refuse upgrades for a moment, which causes a floor."""
        proxy = self.rig.proxies[zone]
        if not zone or self.refused[zone]:
            return
        proxy.answer = Answer(self.random.choice((403, 429)))
        proxy.drop()
        self.refused[zone].append(self.rig.now)

        def repair() -> None:
            proxy.answer = None

        self._disturb(zone, self._random_seconds(10, 60), repair)

    async def close_sockets(self, zone: str) -> None:
        """Close the zone's sockets in one of the server's ways."""
        port = self.rig.proxies[zone].target
        for socket in self.rig.sim.sockets:
            if socket.listener.url.endswith(f":{port}"):
                end = self.random.choice(
                    (socket.close, socket.disconnect, lambda one=socket: one.error("x"))
                )
                end()

    async def restart_server(self, zone: str) -> None:
        """Stop the server of a zone, and start it again."""
        sim = self.rig.sim
        url = f"http://127.0.0.1:{self.rig.proxies[zone].target}"
        await sim.stop_listening(url)
        self._disturb(
            zone, self._random_seconds(2, 120), lambda: sim.resume_listening(url)
        )

    # -- faults of all connections -------------------------------------------------------------

    async def lose_names(self) -> None:
        """Reset every connection, and make the name resolution fail."""
        names = self.rig.names
        names.broken = True
        for proxy in self.rig.proxies.values():
            proxy.drop()
        self._begin_fault(*self.rig.proxies)

        def repair() -> None:
            names.broken = False
            self._end_fault(*self.rig.proxies)

        self._later(self._random_seconds(10, 200), repair)

    async def freeze(self) -> None:
        """Freeze all servers."""
        self.rig.sim.freeze()
        self._begin_fault(*self.rig.proxies)

        def repair() -> None:
            self.rig.sim.unfreeze()
            self._end_fault(*self.rig.proxies)

        self._later(self._random_seconds(5, 150), repair)

    async def mute(self, zone: str) -> None:
        """Leave subscribes in a zone unanswered, on new sockets."""
        proxy = self.rig.proxies[zone]
        url = f"http://127.0.0.1:{proxy.target}"
        seconds = self._random_seconds(10, 200)
        self.rig.sim.mute_requests(url=url, seconds=seconds)
        self.muted[zone].append((self.rig.now, self.rig.now + seconds))
        proxy.drop()
        self._disturb(zone, seconds)

    async def lose_subscriptions(self) -> None:
        """Drop each subscription without an event some time after it was made."""
        timing = self.rig.sim.timing
        timing.subscription_lifetime = self.random.choice((30.0, 120.0, 300.0))

        def repair() -> None:
            timing.subscription_lifetime = None

        self._later(self._random_seconds(60, 600), repair)

    async def answer_late(self) -> None:
        """Delay responses, but not the events of the requests."""
        timing = self.rig.sim.timing
        timing.response_delay = self._random_seconds(0.5, 25)

        def repair() -> None:
            timing.response_delay = 0.0

        self._later(self._random_seconds(60, 300), repair)

    async def stutter(self) -> None:
        """Block the client's own loop repeatedly."""
        for _ in range(10):
            self._later(self._random_seconds(0, 60), self._stand_still)

    def _stand_still(self) -> None:
        """Block the client's own loop for a moment."""
        current_loop().stand_still(self._random_seconds(0.5, 5))

    async def block(self) -> None:
        """Block the client's own loop."""
        current_loop().stand_still(self._random_seconds(1, 40))

    async def drop_all(self) -> None:
        """Reset every connection."""
        for proxy in self.rig.proxies.values():
            proxy.drop()

    # -- verdict ------------------------------------------------------------------------------

    def judge(self, verdict: Verdict) -> None:
        """Compare what was shown with the truth."""
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
        """Find an off while everything was up, and an on while nothing was."""
        for when, value in shown.changes:
            start = when - EVIDENCE
            if value is False and self._was_seen_well(facts, start, when):
                verdict.note("false off", f"{name} at {when:.1f}")
            if value is True and facts.dark.throughout(start, when, value=True):
                verdict.note("false on", f"{name} at {when:.1f}")

    def _was_seen_well(self, facts: Facts, since: float, until: float) -> bool:
        """Return whether a terminal was up all the time in a zone that the client saw recently."""
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
        """Find outages that were not shown, though each zone was in sight all the time, or never."""
        end = self.rig.now
        for start, until in facts.out.spans(True, end):
            verdict.outages += 1
            for region_start, region_until in (
                span for region in REGIONS for span in facts.region.spans(region, end)
            ):
                for since, to in self._steady(
                    facts, max(start, region_start), min(until, region_until)
                ):
                    was_shown = any(
                        span_start <= to and span_end >= since
                        for value in (False, "unavailable")
                        for span_start, span_end in shown.spans(value, end)
                    )
                    if not was_shown:
                        verdict.note("missed outage", f"{name} {since:.1f}-{to:.1f}")

    def _steady(
        self, facts: Facts, start: float, until: float
    ) -> Iterator[tuple[float, float]]:
        """Yield the long times in which no zone of an account came into or went out of sight."""
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
                # The last state is kept for longer with a mute socket than without a socket
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
                # A zone that comes and goes might be the one with the account
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
        """Find a terminal that is up in a zone in sight, and not shown for a long time."""
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
        """Compare the states after everything has settled."""
        account = self.rig.sim.accounts[account_id]
        state = self.rig.monitor.state(account_id)
        expected = (True, True, account.broker, Status.CONNECTED)
        got = (state.available, state.terminal, state.broker, state.status)
        if got != expected or not facts.watched or not account.up:
            verdict.note("not settled", f"{account.name}: {got} instead of {expected}")

    def _judge_attempts(self, verdict: Verdict) -> None:
        """Compare the attempts in each zone with full jitter and the floor."""
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
                # A press ends the back-off; aiohttp may repeat each attempt once
                most = 2 * (
                    most_attempts(TIMING, to - since + 1)
                    + presses * most_attempts(TIMING, TIMING.backoff_short)
                )
                if count > most:
                    verdict.note(
                        "too many attempts", f"{zone}: {count} in {to - since:.0f} s"
                    )


def make_accounts() -> list[SimAccount]:
    """Return accounts in both regions, with terminals in zone a, in zone b, or in both."""
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
    """Run one seed on a loop with its own clock."""
    return run_virtually(_run(seed, faults))


def write(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the seeds and write their results; return 0 if there are no errors."""
    options = parse()
    seeds = list(options.seeds)
    started = time.monotonic()
    failed: list[int] = []
    while seeds:
        seed = seeds.pop(0)
        verdict = run(seed, options.faults)
        write(verdict.describe())
        for kind, texts in verdict.wrong.items():
            for text in texts[:10]:
                write(f"  {kind}: {text}")
        if verdict.wrong:
            failed.append(seed)
        if not seeds and time.monotonic() - started < options.minutes * 60:
            seeds.append(seed + 1)
    if failed:
        write(f"Wrong with seeds {failed}.")
    return 1 if failed else 0

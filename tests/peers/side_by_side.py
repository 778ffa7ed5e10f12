"""Compare MetaApi's SDK and our client on one simulated cloud with one sequence of faults.

    .venvs/pinned/bin/python -m tests.peers.side_by_side --seeds 5 --faults 100 --slow

Each client has its own sockets. After each step has settled, both must show for every account whether its terminal is
connected; how long each one takes to show a loss and a return is measured. Both run on the real clock, since the SDK's
cannot be moved; so an event announces most of the faults.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
import json
import logging
from pathlib import Path
import random
import socket
import ssl
from statistics import median
import sys
import tempfile
from typing import override

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from simulator import SimAccount, Simulator, account_id, hosts_in

from .named_cloud import NamedCloud, Sdk, named_cloud, sdk

CLIENT = Path(__file__).parents[2] / "custom_components" / "metaapi"
if str(CLIENT) not in sys.path:
    sys.path.append(str(CLIENT))

from api import Monitor  # noqa: E402 - after the path is set

_LOGGER = logging.getLogger(__name__)

REGION = "london"
ACCOUNTS = (
    ("One", (0,)),
    ("Two", (1,)),
    ("Three", (0, 1)),
    ("Four", (0,)),
    ("Five", (1,)),
)
SETTLES = 25.0
"""Seconds until both clients must show the truth: a step of the SDK takes up to 5 s, and may fail once."""

RECOVERS = 120.0
"""Seconds to wait after a disagreement, so that it is not counted twice: 60 s of silence, and some more."""

NOTICES = 110.0
"""Seconds until both clients must notice a loss without an event."""

LONG = 70.0
"""Seconds of silence that count as a loss for the SDKs."""

SLOWER = 2.0
"""Seconds by which our client's median may be slower."""

PASSING = {
    # Its subscribe loop ends with a KeyError after a TooManyRequestsError without a `type`.
    "python": ("InternalError", "TimeoutError"),
    "javascript": ("InternalError", "TimeoutError", "TooManyRequestsError"),
}
"""Errors after which both clients try again soon; after others ours waits 300 s, while the SDKs go on."""


APPLICATIONS = {"Peer", "MetaApi"}
"""The application names by which the cloud distinguishes the SDK from our client."""

LOSSES = ("terminal", "move", "redeploy", "drop_while")
"""Parts of the names of faults in which a client may show an account as lost."""


class Names(AbstractResolver):
    """Resolves MetaApi's host names to their ports on loopback."""

    def __init__(self, ports: dict[str, int]) -> None:
        """Store the port of each host name."""
        self._ports = ports

    @override
    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the address of a name."""
        if host not in self._ports:
            raise OSError(socket.EAI_NONAME, f"not a name of MetaApi: {host}")
        return [
            ResolveResult(
                hostname=host,
                host="127.0.0.1",
                port=self._ports[host],
                family=socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    @override
    async def close(self) -> None:
        """Do nothing."""


type Timeline = list[tuple[float, bool]]
"""The times since which an account was shown as connected or disconnected."""


@dataclass
class Disagreement:
    """An account for which a client does not show the truth after a step has settled."""

    step: int
    faults: str
    account: str
    truth: bool
    sdk: bool | None
    ours: bool | None
    details: str = ""
    """Our client's diagnostics of the account, if it is wrong."""

    @override
    def __str__(self) -> str:
        """Return a line, and a second one with details if there are any."""
        details = f"\n      {self.details}" if self.details else ""
        return (
            f"step {self.step} ({self.faults}), account {self.account}: "
            f"{self.truth} is true, the SDK shows {self.sdk}, ours {self.ours}{details}"
        )


@dataclass
class Verdict:
    """The results of a run."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    disagreements: list[Disagreement] = field(default_factory=list)
    restarts: int = 0
    """How many times the SDK had to be restarted, because it did not recover."""

    false_offs: dict[str, list[str]] = field(
        default_factory=lambda: {"sdk": [], "ours": []}
    )
    losses: dict[str, list[float]] = field(
        default_factory=lambda: {"sdk": [], "ours": []}
    )
    returns: dict[str, list[float]] = field(
        default_factory=lambda: {"sdk": [], "ours": []}
    )

    @property
    def slower(self) -> dict[str, float]:
        """Return by how many seconds our client's median is slower; negative if it is faster."""
        return {
            name: median(times["ours"]) - median(times["sdk"])
            for name, times in (("loss", self.losses), ("return", self.returns))
            if times["ours"] and times["sdk"]
        }

    @property
    def ours_wrong(self) -> list[Disagreement]:
        """Return the disagreements in which our client is wrong."""
        return [each for each in self.disagreements if each.ours is not each.truth]

    @property
    def good(self) -> bool:
        """Return whether our client always showed the truth, and in time."""
        return (
            not self.ours_wrong
            and not self.false_offs["ours"]
            and all(each <= SLOWER for each in self.slower.values())
        )

    @override
    def __str__(self) -> str:
        """Return the report."""
        lines = [f"seed {self.seed}: {self.faults.total()} faults {dict(self.faults)}"]
        for name, times in (("loss", self.losses), ("return", self.returns)):
            for who, taken in times.items():
                if taken:
                    lines.append(
                        f"  {name}, {who}: {len(taken)}, median {median(taken):.2f} s, "
                        f"worst {max(taken):.2f} s"
                    )
        for who, found in self.false_offs.items():
            lines.append(f"  false offs, {who}: {len(found)} {found[:5] or ''}")
        lines.append(
            f"  disagreements: {len(self.disagreements)}, ours wrong: {len(self.ours_wrong)}, "
            f"restarts of the SDK: {self.restarts}"
        )
        lines += [f"    {each}" for each in self.disagreements]
        return "\n".join(lines)


class SideBySide:
    """The cloud, both clients, and the faults."""

    def __init__(
        self,
        cloud: NamedCloud,
        start: Callable[[], Awaitable[Sdk]],
        monitor: Monitor,
        seed: int,
        passing: tuple[str, ...],
    ) -> None:
        """Store a function that starts an SDK, and our client, which already watches the accounts."""
        self.sim = cloud.sim
        self.zones = [cloud.zone(REGION, letter) for letter in "ab"]
        self.peer: Sdk
        self._start = start
        self._passing = passing
        self.monitor = monitor
        self.verdict = Verdict(seed)
        self._random = random.Random(seed)
        self._ours: dict[str, Timeline] = {each: [] for each in self.sim.accounts}
        self._step = 0
        self._account_faults: tuple[Callable[[str], Awaitable[None]], ...] = (
            self.drop_terminal,
            self.drop_terminal,
            self.drop_broker,
            self.silence,
            self.move_host,
            self.redeploy,
        )
        self._wide_faults: tuple[Callable[[], Awaitable[None]], ...] = (
            self.drop_sockets,
            self.freeze_zone,
            self.refuse_for_a_time,
            self.stop_zone,
            self.drop_while_disconnected,
        )
        self._slow_faults: tuple[Callable[[str], Awaitable[None]], ...] = (
            self.lose_terminal_without_an_event,
            self.lose_terminal_while_disconnected,
            self.long_silence,
        )
        for each in self.sim.accounts:
            monitor.listen(each, partial(self._record, each))
            self._record(each)

    # States.

    def truth(self, account: str) -> bool:
        """Return whether the account's terminal is connected."""
        return self.sim.accounts[account].deployed and self.sim.accounts[account].up

    def ours(self, account: str) -> bool:
        """Return whether our client shows the terminal as connected."""
        state = self.monitor.state(account)
        return bool(state.available and state.terminal)

    def sdk_timeline(self, account: str) -> Timeline:
        """Return what the SDK showed so far."""
        return [
            (each["time"], each["connected"])
            for each in self.peer.reports
            if each["event"] == "shows" and each["account"] == account
        ]

    def _record(self, account: str) -> None:
        """Called when our client's state changes."""
        self._ours[account].append((now(), self.ours(account)))

    def _followers(self, account: str) -> set[str]:
        """Return the clients that are subscribed to an account in a zone where it runs.

        One zone is enough: after `replicas: 1` the SDKs do not subscribe in the other one.
        """
        zones = self.sim.accounts[account].zones
        subscriptions = self.sim.box.cloud.subscriptions.of(account)
        return {
            subscription.application
            for socket, subscription in subscriptions.items()
            if not socket.closed.is_set() and socket.listener.instance in zones
        }

    def _agree(self) -> bool:
        """Return whether both clients are subscribed to every account and show the truth."""
        return all(
            self._followers(each) == APPLICATIONS
            and self.ours(each) is self.truth(each)
            and self.sdk_timeline(each)[-1:]
            and self.sdk_timeline(each)[-1][1] is self.truth(each)
            for each in self.sim.accounts
        )

    # Run.

    async def run(self, faults: int, *, slow: bool) -> Verdict:
        """Cause some faults, slow ones included if `slow`, and compare both clients after each step."""
        self.peer = await self._start()
        await self.settle("start")
        slow_faults = list(self._slow_faults) if slow else []
        while self.verdict.faults.total() < faults:
            self._step += 1
            if slow_faults and self._random.random() < 0.1:
                act = slow_faults.pop()
                names = [act.__name__]
                work = [act(self._random.choice(list(self.sim.accounts)))]
            elif self._random.random() < 0.6:
                accounts = self._random.sample(
                    list(self.sim.accounts), self._random.randint(1, 3)
                )
                acts = [
                    (self._random.choice(self._account_faults), a) for a in accounts
                ]
                names = [act.__name__ for act, _ in acts]
                work = [act(account) for act, account in acts]
            else:
                wide = self._random.choice(self._wide_faults)
                names, work = [wide.__name__], [wide()]
            self.verdict.faults.update(names)
            started = now()
            await asyncio.gather(*work)
            await self.settle(" and ".join(names))
            self._record_false_offs(started, " and ".join(names))
            _LOGGER.info("step %s, %.1f s: %s", self._step, now() - started, names)
        return self.verdict

    async def settle(self, faults: str) -> None:
        """Wait until both clients show the truth; record the disagreements."""
        if await self._wait(self._agree, SETTLES):
            return
        for each in self.sim.accounts:
            shown = self.sdk_timeline(each)
            sdk_shows = shown[-1][1] if shown else None
            truth, ours = self.truth(each), self.ours(each)
            if not truth is ours is sdk_shows:
                found = Disagreement(self._step, faults, each, truth, sdk_shows, ours)
                self.verdict.disagreements.append(found)
                _LOGGER.info("%s", found)
        for each in self.sim.accounts:
            if missing := APPLICATIONS - self._followers(each):
                _LOGGER.info("step %s: %s has no %s", self._step, each, missing)
        if not all(
            self.ours(each) is self.truth(each) and "MetaApi" in self._followers(each)
            for each in self.sim.accounts
        ):
            await self._wait(self._agree, RECOVERS)
        if not self._agree():
            # The Python SDK sometimes does not recover; restart it to continue the run.
            self.verdict.restarts += 1
            await self.peer.end()
            self.peer = await self._start()
            await self._wait(self._agree, SETTLES)

    async def shown(
        self, account: str, value: bool, since: float, within: float = SETTLES
    ) -> None:
        """Wait until both clients show a value, and record how long each one took."""
        found = self.verdict.returns if value else self.verdict.losses

        def first(timeline: Timeline) -> float | None:
            return next((t for t, v in timeline if t >= since and v is value), None)

        lines: dict[str, Callable[[], Timeline]] = {
            "sdk": lambda: self.sdk_timeline(account),
            "ours": lambda: self._ours[account],
        }
        await self._wait(
            lambda: all(first(line()) is not None for line in lines.values()), within
        )
        times = {who: first(line()) for who, line in lines.items()}
        for who, when in times.items():
            found[who].append(within if when is None else when - since)
        if None in times.values():
            self.verdict.disagreements.append(
                Disagreement(
                    self._step,
                    "a change that was not shown",
                    account,
                    value,
                    self.sdk_timeline(account)[-1][1],
                    self.ours(account),
                    "" if self.ours(account) is value else self._describe(account),
                )
            )

    def _describe(self, account: str) -> str:
        """Return our client's diagnostics and last events of an account."""
        found = self.monitor.diagnostics()
        (about,) = [one for one in found["accounts"] if one["account_id"] == account]
        events = [
            " ".join(f"{value}" for key, value in event.items() if key != "account_id")
            for event in found["events"]
            if event.get("account_id") in (account, None)
        ]
        return json.dumps({"zones": about["zones"], "events": events[-25:]})

    async def _wait(self, condition: Callable[[], object], timeout: float) -> bool:
        """Return whether a condition came true in time."""
        with suppress(TimeoutError):
            await self.sim.wait_for(condition, timeout)
        return bool(condition())

    def _record_false_offs(self, since: float, faults: str) -> None:
        """Record clients that showed an account as off though no fault affected its terminal."""
        if any(name in faults for name in LOSSES):
            return
        for each in self.sim.accounts:
            for who, line in (
                ("sdk", self.sdk_timeline(each)),
                ("ours", self._ours[each]),
            ):
                if any(when >= since and not value for when, value in line):
                    self.verdict.false_offs[who].append(f"{each} at {faults}")

    # Faults of one account.

    async def drop_terminal(self, account: str) -> None:
        """Drop the terminal and bring it up again; measure both."""
        start = now()
        self.sim.set_terminal(account, False)
        await self.shown(account, False, start)
        await asyncio.sleep(self._random.uniform(0, 1))
        start = now()
        self.sim.set_terminal(account, True)
        await self.shown(account, True, start)

    async def drop_broker(self, account: str) -> None:
        """Break the broker connection and restore it, which is no loss of the terminal."""
        self.sim.set_broker(account, False)
        await asyncio.sleep(self._random.uniform(0.2, 1))
        self.sim.set_broker(account, True)

    async def silence(self, account: str) -> None:
        """Send no status for less than a minute, which is no loss."""
        self.sim.set_silent(account, True)
        await asyncio.sleep(self._random.uniform(1, 6))
        self.sim.set_silent(account, False)

    async def move_host(self, account: str) -> None:
        """Let the host fail, and the account appear in the other zone or in both."""
        zones = self._random.choice([(0,), (1,), (0, 1)])
        self.sim.move(account, zones=zones)
        await asyncio.sleep(0)

    async def redeploy(self, account: str) -> None:
        """Undeploy the account and deploy it again."""
        start = now()
        self.sim.undeploy(account)
        await self.shown(account, False, start)
        start = now()
        self.sim.deploy(account)
        await self.shown(account, True, start)

    # Faults that both clients notice after more than a minute.

    async def lose_terminal_without_an_event(self, account: str) -> None:
        """Drop the terminal, so that only the statuses are missing."""
        start = now()
        self.sim.set_terminal(account, False, announce=False)
        await self.shown(account, False, start, NOTICES)
        start = now()
        self.sim.set_terminal(account, True)
        await self.shown(account, True, start, NOTICES)

    async def lose_terminal_while_disconnected(self, account: str) -> None:
        """Drop the terminal while no client is connected."""
        start = now()
        self.sim.drop_sockets()
        self.sim.set_terminal(account, False)
        await self.shown(account, False, start, NOTICES)
        start = now()
        self.sim.set_terminal(account, True)
        await self.shown(account, True, start, NOTICES)

    async def long_silence(self, account: str) -> None:
        """Send no status for more than a minute, though the terminal is up."""
        self.sim.set_silent(account, True)
        await asyncio.sleep(LONG)
        self.sim.set_silent(account, False)

    # Faults of a zone or of both.

    async def drop_sockets(self) -> None:
        """Drop every socket of a zone, or of both."""
        self.sim.drop_sockets(url=self._random.choice([*self.zones, None]))
        await asyncio.sleep(0)

    async def freeze_zone(self) -> None:
        """Freeze a zone for a while."""
        url = self._random.choice(self.zones)
        self.sim.freeze(url=url)
        await asyncio.sleep(self._random.uniform(0.5, 4))
        self.sim.unfreeze(url=url)

    async def refuse_for_a_time(self) -> None:
        """Drop the sockets, and refuse the next subscribes for a while."""
        self.sim.refuse_requests(
            self._random.choice(self._passing),
            url=self._random.choice([*self.zones, None]),
            seconds=self._random.uniform(0.5, 4),
            retry_after=1,
        )
        self.sim.drop_sockets()
        await asyncio.sleep(0)

    async def stop_zone(self) -> None:
        """Stop a zone's server for a while."""
        url = self._random.choice(self.zones)
        await self.sim.stop_listening(url)
        await asyncio.sleep(self._random.uniform(0.5, 4))
        await self.sim.resume_listening(url)

    async def drop_while_disconnected(self) -> None:
        """Drop and bring up a terminal while no client is connected; nobody has to notice."""
        account = self._random.choice(list(self.sim.accounts))
        self.sim.drop_sockets()
        self.sim.set_terminal(account, False)
        await asyncio.sleep(self._random.uniform(0.1, 0.4))
        self.sim.set_terminal(account, True)


def now() -> float:
    """Return the monotonic time, which all processes share."""
    return asyncio.get_running_loop().time()


async def compare(
    seed: int, faults: int, kind: str, folder: Path, *, slow: bool = False
) -> Verdict:
    """Run both clients through the faults of one seed."""
    accounts = [
        SimAccount(id=account_id(number), name=name, hosts=hosts_in(zones))
        for number, (name, zones) in enumerate(ACCOUNTS)
    ]
    sim = Simulator(
        accounts=accounts,
        status_interval=1.0,
        subscribe_timeout=3.0,
        reconnect_delay=1.0,
    )
    async with named_cloud(folder, sim, (REGION,)) as cloud:
        context = ssl.create_default_context(cafile=str(cloud.ca))
        connector = aiohttp.TCPConnector(
            resolver=Names(cloud.ports), use_dns_cache=False, ssl=context
        )
        async with aiohttp.ClientSession(connector=connector) as session:
            monitor = Monitor(session, sim.token)
            try:
                for each in sim.accounts:
                    monitor.add_account(each, REGION)
                async with AsyncExitStack() as stack:

                    async def start() -> Sdk:
                        peer = await stack.enter_async_context(sdk(kind, cloud, folder))
                        await peer.until("ready")
                        return peer

                    side = SideBySide(cloud, start, monitor, seed, PASSING[kind])
                    return await side.run(faults, slow=slow)
            finally:
                await monitor.close()


async def run(options: argparse.Namespace) -> bool:
    """Run the seeds one after another; return whether all are good."""
    good = True
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            verdict = await compare(
                seed, options.faults, options.sdk, Path(folder), slow=options.slow
            )
        print(verdict, flush=True)  # noqa: T201
        good &= verdict.good
    return good


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description="Compare our client with MetaApi's own"
    )
    parser.add_argument("--seeds", type=int, default=1, help="how many (default 1)")
    parser.add_argument("--first-seed", type=int, default=1, metavar="SEED")
    parser.add_argument(
        "--faults", type=int, default=100, help="faults per seed (default 100)"
    )
    parser.add_argument(
        "--slow",
        action="store_true",
        help="include losses without an event, which take a minute each",
    )
    parser.add_argument("--sdk", choices=("python", "javascript"), default="python")
    parser.add_argument("--verbose", action="store_true", help="one line per step")
    options = parser.parse_args()
    if options.verbose:
        logging.basicConfig(format="%(message)s")
        _LOGGER.setLevel(logging.INFO)
    sys.exit(not asyncio.run(run(options)))


if __name__ == "__main__":
    main()

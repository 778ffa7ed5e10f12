"""Start the server and the processes that are measured, give them their turns, and keep what they say."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
import os
from pathlib import Path
from statistics import median, quantiles
import subprocess
import sys
from tempfile import TemporaryDirectory

from scripts.setup_env.steps import ROOT, VENVS

from .peers import COUNTS
from .turns import Process

PINNED = VENVS / "pinned" / "bin" / "python"
SDK = VENVS / "sdk" / "bin" / "python"
MANY = COUNTS[-1]
TURNS = 6
"""So often a Home Assistant is put under each of its loads, in one round."""
FLOODS = 20
"""So often each client is flooded, in one round."""
FLOOD = 10_000
"""Frames of one flood; those who take ten times as long for each get a tenth."""
SECONDS = 1
"""How long a turn of a steady load lasts."""
FLIPS = 300
CHANGES = 2_000
"""Events of one turn: each account changes equally often."""
AWAY = 12
"""For how many seconds no socket comes back; the minute until entities are unavailable is shortened to 4 s."""
SETTLE = 15
"""After so many seconds Home Assistant has written its registries, which it does ten seconds after a set-up."""

type Samples = dict[str, list[float]]


@dataclass(frozen=True)
class Flip:
    """A terminal that came back: how long its state took, and whether no processor stood still meanwhile."""

    took: float
    there: bool


@dataclass
class Bench:
    """Processes that use one server, and what they cost by name: a figure for each round."""

    server: str
    folder: Path
    profile: bool
    samples: Samples = field(default_factory=lambda: defaultdict(list))
    profiles: dict[str, list[str]] = field(default_factory=dict)
    watched: bool = True
    """Whether the processors could be watched, which only root may."""

    def floods(self) -> None:
        """Measure what a frame costs that changes nothing."""
        peers = [("raw", 1), ("ours", 1), ("library", 1), ("sdk", 1)]
        peers += [("ours", count) for count in COUNTS]
        with self._together() as costs, ExitStack() as stack:
            processes = {
                peer: stack.enter_context(self._peer(*peer, "flood")) for peer in peers
            }
            for _ in range(FLOODS):
                for (name, count), process in processes.items():
                    slow = name in {"library", "sdk"}
                    frames = FLOOD // 10 if slow else FLOOD
                    cost = process.turn("flood", frames)
                    costs[f"{name} flood {count}"].append(cost["flood"])

    def homes(self) -> None:
        """Measure what events cost in Home Assistant."""
        with self._together() as costs, ExitStack() as stack:
            peers = {
                peer: stack.enter_context(self._peer(peer, MANY, "steady"))
                for peer in ("raw", "ours")
            }
            clients = [("metaapi", count) for count in COUNTS]
            clients += [("raw", count) for count in (COUNTS[0], MANY)]
            homes = {
                client: stack.enter_context(self._home(*client)) for client in clients
            }
            home = homes["metaapi", MANY]
            for _ in range(TURNS):
                for peer, process in peers.items():
                    cost = process.turn("steady", SECONDS)
                    costs[f"{peer} steady {MANY}"].append(cost["steady"])
                idle = home.turn("idle", SECONDS)["idle"]
                steady = home.turn("steady", SECONDS)["steady"]
                costs[f"metaapi steady {MANY}"].append(steady - idle)
                for _ in range(3):
                    for (client, count), process in homes.items():
                        cost = process.turn("changes", CHANGES)
                        costs[f"{client} change {count}"].append(cost["change"])
                    cost = home.turn("few changes", CHANGES)
                    costs[f"metaapi few changes {MANY}"].append(cost["change"])

    def latencies(self) -> None:
        """Measure how long an event takes to the state, apart from loads that heat the machine."""
        flips: dict[tuple[str, int], list[Flip]] = {
            (client, count): [] for client in ("metaapi", "raw") for count in (1, MANY)
        }
        with ExitStack() as stack:
            witnesses = [
                stack.enter_context(self._witness(processor))
                for processor in os.sched_getaffinity(0)
            ]
            homes = {home: stack.enter_context(self._home(*home)) for home in flips}
            # the others were set up before it
            list(homes.values())[-1].turn("idle", SETTLE)
            for _ in range(TURNS):
                for home, process in homes.items():
                    flips[home] += self._latency(process, witnesses)
        for (client, count), seen in flips.items():
            self._note_latencies(client, count, seen)

    def losses(self) -> None:
        """Measure what happens when all sockets are lost at once."""
        with self._home("metaapi", MANY, f"--blind={AWAY / 3}", kind="loss") as home:
            for figure, value in home.turn("loss", AWAY).items():
                self.samples[f"loss {figure}"].append(value)

    def starts(self) -> None:
        """Measure a set-up, and a start with accounts that are known from the last run."""
        for domain in ("empty", "metaapi"):
            for count in (COUNTS[0], MANY):
                self._start(domain, count)

    def compile(self) -> None:
        """Have all bytecode written: a process that compiles keeps more in memory than one that finds it."""
        for domain in ("empty", "metaapi"):
            with self._home(domain, 1, kind="first"):
                pass

    def memories(self) -> None:
        """Measure what an account takes of memory."""
        with ExitStack() as stack:
            homes = {
                f"{domain} memory {count}": stack.enter_context(
                    self._home(domain, count, "--memory", kind="memory")
                )
                for domain in ("empty", "metaapi")
                for count in COUNTS
            }
            # each was set up before, or is the one that settles
            list(homes.values())[-1].turn("idle", SETTLE)
            for name, home in homes.items():
                self.samples[name].append(home.turn("memory", 0)["memory"])

    def _latency(self, home: Process, witnesses: list[Process]) -> list[Flip]:
        """Return how long each `authenticated` took to the state, and whether the machine was there all the time."""
        for witness in witnesses:
            witness.turn("report", 0)
        pairs = home.turn("latency", FLIPS)["pairs"]
        reports = [witness.turn("report", 0) for witness in witnesses]
        self.watched &= all(report["watches"] for report in reports)
        # as long again after a stall, what has piled up is read
        stalls = [
            (began, ended + (ended - began))
            for report in reports
            for began, ended in report["stalls"]
        ]
        return [
            Flip(
                written - sent,
                there=not any(
                    began < written and over > sent for began, over in stalls
                ),
            )
            for sent, written in pairs
            # a subscribe that the hum caused was quicker
            if written > sent
        ]

    def _note_latencies(self, client: str, count: int, flips: list[Flip]) -> None:
        """Note the figures of a round."""
        there = [flip.took for flip in flips if flip.there]
        if self.watched:
            self.samples[f"{client} there {count}"].append(len(there) / len(flips))
        if len(there) < FLIPS:
            sys.exit("The machine stands still too often to tell how fast a state is")
        for kind, took in (
            ("latency", there),
            ("latency with stalls", [flip.took for flip in flips]),
        ):
            self.samples[f"{client} {kind} {count}"].append(median(took))
            p99 = quantiles(took, n=100)[-1]
            self.samples[f"{client} {kind} p99 {count}"].append(p99)

    def _start(self, domain: str, count: int) -> None:
        """Add an entry to a new Home Assistant, and start it again."""
        with TemporaryDirectory(dir=self.folder) as folder:
            with self._home(domain, count, kind="setup", config=folder) as home:
                self.samples[f"{domain} setup {count}"].append(home.started["setup"])
            # it knows the accounts, and of which integration they are
            with self._home(None, count, kind=f"start {domain}", config=folder) as home:
                self.samples[f"{domain} start {count}"].append(home.started["start"])

    @contextmanager
    def _together(self) -> Iterator[Samples]:
        """Take the CPU times of several turns, and keep the least of each for the round.

        Other work on the machine makes a turn dearer, never cheaper.
        """
        costs: Samples = defaultdict(list)
        yield costs
        for name, values in costs.items():
            self.samples[name].append(min(values))

    @contextmanager
    def _witness(self, processor: int) -> Iterator[Process]:
        """Let somebody watch a processor."""
        python = PINNED
        command = (python, "-m", "benchmarks.witness", str(processor))
        with self._run(f"witness {processor}", *command, profile=False) as process:
            yield process

    @contextmanager
    def _peer(self, peer: str, accounts: int, kind: str) -> Iterator[Process]:
        """Run a client."""
        python = SDK if peer == "sdk" else PINNED
        with self._run(
            f"{peer} {kind} {accounts}",
            *(python, "-m", "benchmarks.peer", peer, self.server),
            f"--accounts={accounts}",
        ) as process:
            yield process

    @contextmanager
    def _home(
        self,
        domain: str | None,
        accounts: int,
        *flags: str,
        kind: str = "home",
        config: str | None = None,
    ) -> Iterator[Process]:
        """Run a Home Assistant with accounts, in a folder of its own if it is to be forgotten."""
        with (
            TemporaryDirectory(dir=self.folder) as folder,
            self._run(
                f"{domain or 'known'} {kind} {accounts}",
                *(PINNED, "-m", "benchmarks.home"),
                *(self.server, config or folder, f"--accounts={accounts}"),
                *((f"--domain={domain}",) if domain else ()),
                *flags,
            ) as process,
        ):
            yield process

    @contextmanager
    def _run(
        self, name: str, *command: str | Path, profile: bool = True
    ) -> Iterator[Process]:
        """Run a process; its profile is kept, and what it did wrong."""
        flags = ["--profile"] if self.profile and profile else []
        with TemporaryDirectory(dir=self.folder) as folder:
            process = Process(*command, *flags, cwd=Path(folder), env=_environ())
            try:
                yield process
                result = process.close()
            finally:
                process.kill()
        if profile:
            self.profiles[name] = result["profile"]
        if "blocking_calls" in result:
            self.samples["blocking calls"].append(result["blocking_calls"])


@contextmanager
def server() -> Iterator[str]:
    """Run the server and return where it is."""
    with subprocess.Popen(
        [PINNED, "-m", "benchmarks.server"],
        env=_environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.stdin.close()


def _environ() -> dict[str, str]:
    """Return the variables of every process: bytecode is kept, or imports would be measured."""
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": str(VENVS / "pycache"),
    }

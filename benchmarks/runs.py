"""Start the server and the measured processes, run their loads in turns, and collect the results."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
import json
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory, mkdtemp
import time

from scripts.setup_env.steps import VENVS

from .turns import SETTLE, Process, Result, fairest
from .witness import witnesses

PINNED = VENVS / "pinned" / "bin" / "python"
SDK = VENVS / "sdk" / "bin" / "python"
FEW, SOME, MANY = COUNTS = (10, 100, 1000)
TURNS = 12
"""How often each load of a client runs in one round."""
FLOOD = 10_000
"""Frames of one flood; the SDK, which takes ten times as long for each, gets a tenth."""
CHANGES = 2_000
"""Events of one turn; all accounts change equally often."""
FLIPS = 300
ENOUGH = 1_500
"""Required number of terminals that came back while no processor was stalled."""
PATIENCE = 10
"""How many series of `FLIPS` are run at most to get `ENOUGH`."""
AWAY = 12
"""Seconds during which no socket reconnects; entities become unavailable after 4 s instead of a minute."""
STARTS = 2
BLOCKS = 3

type Samples = dict[str, list[float]]


class Bench:
    """Processes that use one server, and their costs by name: one value for each round."""

    def __init__(self, stack: ExitStack) -> None:
        """Start the server."""
        self.samples: Samples = defaultdict(list)
        self._folder = stack.enter_context(TemporaryDirectory())
        server = self._run("server")
        self._server: str = stack.enter_context(server).started.value
        self._known: dict[str, str] = {}
        """Configuration folders that already contain ten accounts, by domain."""

    def once(self) -> None:
        """Measure what does not vary between rounds; all in parallel, because none of it depends on real time."""
        # Not in parallel: a process that compiles modules uses more memory than one that finds their bytecode
        for domain in ("empty", "metaapi"):
            self._known[domain] = mkdtemp(dir=self._folder)
            with self._home(domain, FEW, config=self._known[domain]):
                pass

        def day() -> None:
            """Store the results of a day."""
            with self._run("clock", mkdtemp(dir=self._folder)) as process:
                for name, value in process.started.value.items():
                    self.samples[f"day {name}"].append(value)

        def memory(domain: str, count: int) -> float:
            """Return the memory of some accounts."""
            with self._home(domain, count, memory=True) as home:
                return float(home.started.value["memory"])

        with ThreadPoolExecutor(max_workers=7) as pool:
            done = pool.submit(day)
            taken = {
                domain: pool.map(partial(memory, domain), COUNTS)
                for domain in self._known
            }
            for domain, (few, some, many) in taken.items():
                self.samples[f"memory {domain} few"].append((some - few) / (SOME - FEW))
                each = (many - some) / (MANY - SOME)
                self.samples[f"memory {domain}"].append(each)
            done.result()

    def round(self) -> None:
        """Measure what varies between rounds."""
        self._take(
            STARTS,
            {
                f"{what} {domain}": partial(self._start, what, domain)
                for what in ("setup", "start")
                for domain in self._known
            },
        )
        with ExitStack() as stack:
            homes = {
                (domain, count): stack.enter_context(
                    self._home(domain, count, blind=AWAY / 3)
                )
                # The large ones first: they settle while the others start
                for count in reversed(COUNTS)
                for domain in ("metaapi", "raw")
            }
            alone = stack.enter_context(self._home("metaapi", 1))
            self._floods()
            time.sleep(SETTLE)
            home = homes["metaapi", MANY]
            self._latencies({1: alone, MANY: home})
            self._events(homes)
            blocks = ("listing", "diagnostics")
            self._take(
                BLOCKS, {f"{load} block": partial(home.turn, load) for load in blocks}
            )
            for figure, value in home.turn("loss", AWAY).items():
                self.samples[f"loss {figure}"].append(value)

    def profile(self) -> Iterator[str]:
        """Yield the profile of changes, and that of a status per second for each account."""
        for load, count, amount in (("changes", FEW, 50_000), ("hum", MANY, 20)):
            with self._home("metaapi", count) as home:
                profile = home.turn(f"profiled {load}", amount, tries=1)
                yield f"{load}, {count} accounts{profile}"

    def _take(self, turns: int, jobs: Mapping[str, Callable[[], float]]) -> None:
        """Run jobs in turns, and store the lowest cost of each: other work on the machine only makes a turn dearer."""
        costs: Samples = defaultdict(list)
        for _ in range(turns):
            for name, job in jobs.items():
                costs[name].append(job())
        for name, values in costs.items():
            self.samples[name].append(min(values))

    def _start(self, what: str, domain: str) -> float:
        """Return the cost of a setup of many accounts, or of a start with few accounts from the last run."""

        def run() -> Result:
            """Start Home Assistant once."""
            if what == "setup":
                home = self._home(domain, MANY)
            else:
                home = self._home(None, FEW, config=self._known[domain])
            with home:
                return Result(home.started.value[what], home.started.yardstick)

        return float(fairest(run))

    def _floods(self) -> None:
        """Measure the cost of a frame that changes nothing, without Home Assistant."""
        with ExitStack() as stack:
            jobs = {}
            for peer in ("raw", "ours", "sdk"):
                python = SDK if peer == "sdk" else PINNED
                process = self._run("peer", peer, self._server, python=python)
                frames = FLOOD // 10 if peer == "sdk" else FLOOD
                turn = stack.enter_context(process).turn
                jobs[f"flood {peer}"] = partial(turn, "flood", frames)
            self._take(TURNS, jobs)

    def _events(self, homes: dict[tuple[str, int], Process]) -> None:
        """Measure the cost of events in Home Assistant."""
        jobs = {}
        for (domain, count), home in homes.items():
            jobs[f"change {domain} {count}"] = partial(home.turn, "changes", CHANGES)
            if domain == "metaapi":
                jobs[f"unchanged {count}"] = partial(home.turn, "unchanged", FLOOD)
        self._take(TURNS, jobs)
        for domain in ("metaapi", "raw"):
            few, many = (self.samples[f"change {domain} {n}"][-1] for n in (FEW, MANY))
            self.samples[f"growth {domain}"].append(many / few)

    def _latencies(self, homes: dict[int, Process]) -> None:
        """Measure the time from each `authenticated` to its state; leave out those during a stall of a processor."""
        every, calm, own = (defaultdict[int, list[float]](list) for _ in range(3))
        with witnesses() as stalls:
            for _ in range(PATIENCE):
                for count, home in homes.items():
                    if len(calm[count]) >= ENOUGH:
                        continue
                    stalls.clear()
                    pairs, collected = home.turn("latency", FLIPS, tries=1)
                    for sent, written in pairs:
                        took = written - sent
                        # The `status` events can trigger a subscribe that turns the terminal on earlier
                        if took < 0:
                            continue
                        every[count].append(took)
                        if not any(a < written and b > sent for a, b in stalls):
                            calm[count].append(took)
                            if not any(a < written and b > sent for a, b in collected):
                                own[count].append(took)
        for count in homes:
            enough = len(calm[count]) >= ENOUGH
            Process.spoiled += not enough
            took = calm[count] if enough else every[count]
            self.samples[f"p99 {count}"].append(quantiles(took, n=100)[-1])
            self.samples[f"own p99 {count}"].append(quantiles(own[count], n=100)[-1])

    def _home(
        self, domain: str | None, count: int, config: str | None = None, **more: float
    ) -> Process:
        """Start a Home Assistant with some accounts, in a new folder by default."""
        options = {
            "server": self._server,
            "folder": config or mkdtemp(dir=self._folder),
            "domain": domain,
            "accounts": count,
            **more,
        }
        return self._run("home", json.dumps(options))

    def _run(self, module: str, *arguments: str, python: Path = PINNED) -> Process:
        """Start a process."""
        name = f"benchmarks.{module}"
        return Process(python, "-m", name, *arguments, cwd=self._folder)

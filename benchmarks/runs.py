"""Start the server and the measured processes, run their loads in turns, and collect the results."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
import json
import os
from pathlib import Path
from statistics import quantiles
import sys
from tempfile import TemporaryDirectory, mkdtemp
import time

from scripts.setup_env.steps import ROOT, VENVS

from .turns import TRIES, Process, is_fair

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
PATIENCE = 20
"""How many series of `FLIPS` are run at most to get `ENOUGH`."""
AWAY = 12
"""Seconds during which no socket reconnects; entities become unavailable after 4 s instead of a minute."""
STARTS = 2
BLOCKS = 3
SETTLE = 12
"""Seconds until Home Assistant has written its registries, which it does ten seconds after a setup."""

type Samples = dict[str, list[float]]


class Bench:
    """Processes that use one server, and their costs by name: one value for each round."""

    def __init__(self, stack: ExitStack) -> None:
        """Start the server."""
        self.samples: Samples = defaultdict(list)
        self._folder = stack.enter_context(TemporaryDirectory())
        server = self._run(PINNED, "-m", "benchmarks.server")
        self._server: str = stack.enter_context(server).started["url"]
        self._known: dict[str, Path] = {}
        """Configuration folders that already contain ten accounts, by domain."""

    def once(self, outages: int) -> None:
        """Measure what does not vary between rounds; all in parallel, because none of it depends on real time."""
        # Not in parallel: a process that compiles modules uses more memory than one that finds their bytecode
        for domain in ("empty", "metaapi"):
            self._known[domain] = Path(mkdtemp(dir=self._folder))
            with self._home(domain, FEW, config=self._known[domain]):
                pass

        def memory(domain: str, count: int) -> None:
            """Measure the memory of some accounts."""
            with self._home(domain, count, memory=True) as home:
                time.sleep(SETTLE)
                taken = home.turn("memory", tries=1)["memory"]
                self.samples[f"memory {domain} {count}"].append(taken)

        def day() -> None:
            """Run the benchmark of a day and store its results."""
            folder = Path(mkdtemp(dir=self._folder))
            command = ("benchmarks.clock", folder, str(MANY), str(outages))
            with self._run(PINNED, "-m", *command) as process:
                for name, value in process.started["day"].items():
                    self.samples[f"day {name}"].append(value)

        with ThreadPoolExecutor() as pool:
            jobs = [pool.submit(day)]
            for domain in ("empty", "metaapi"):
                jobs += [pool.submit(memory, domain, count) for count in COUNTS]
            for job in jobs:
                job.result()

    def round(self) -> None:
        """Measure what varies between rounds."""
        costs: Samples = defaultdict(list)
        self._starts(costs)
        with ExitStack() as stack:
            homes = {
                (domain, count): stack.enter_context(
                    self._home(domain, count, blind=AWAY / 3)
                )
                # The large ones first: they settle while the others start
                for count in (*reversed(COUNTS), 1)
                for domain in ("metaapi", "raw")
                if domain == "metaapi" or count != 1
            }
            self._floods(costs)
            time.sleep(SETTLE)
            self._latencies({count: homes["metaapi", count] for count in (1, MANY)})
            self._events(costs, homes)
            home = homes["metaapi", MANY]
            for load in ("listing", "diagnostics"):
                blocks = [home.turn(load)["block"] for _ in range(BLOCKS)]
                costs[f"{load} block"] += blocks
            for figure, value in home.turn("loss", AWAY)["loss"].items():
                self.samples[f"loss {figure}"].append(value)
        # Other work on the machine makes a turn more expensive, never cheaper
        for name, values in costs.items():
            self.samples[name].append(min(values))

    def profile(self) -> Iterator[str]:
        """Yield the profile of changes, and that of a status per second for each account."""
        for load, count, amount in (("changes", FEW, 50_000), ("hum", MANY, 20)):
            with self._home("metaapi", count) as home:
                profile = home.turn(f"profiled {load}", amount, tries=1)["profile"]
                yield f"{load}, {count} accounts{profile}"

    def _floods(self, costs: Samples) -> None:
        """Measure the cost of a frame that changes nothing, without Home Assistant."""
        with ExitStack() as stack:
            peers = {
                peer: stack.enter_context(
                    self._run(python, "-m", "benchmarks.peer", peer, self._server)
                )
                for peer, python in (("raw", PINNED), ("ours", PINNED), ("sdk", SDK))
            }
            for _ in range(TURNS):
                for peer, process in peers.items():
                    frames = FLOOD // 10 if peer == "sdk" else FLOOD
                    cost = process.turn("flood", frames)["cost"]
                    costs[f"flood {peer}"].append(cost)

    def _events(self, costs: Samples, homes: dict[tuple[str, int], Process]) -> None:
        """Measure the cost of events in Home Assistant."""
        for _ in range(TURNS):
            for (domain, count), home in homes.items():
                if count == 1:
                    continue
                cost = home.turn("changes", CHANGES)["cost"]
                costs[f"change {domain} {count}"].append(cost)
                if domain == "metaapi":
                    cost = home.turn("unchanged", FLOOD)["cost"]
                    costs[f"unchanged {count}"].append(cost)

    def _latencies(self, homes: dict[int, Process]) -> None:
        """Measure the time from each `authenticated` to its state; leave out those during a stall of a processor."""
        took: dict[int, list[float]] = {count: [] for count in homes}
        with ExitStack() as stack:
            witnesses = [
                stack.enter_context(
                    self._run(PINNED, "-m", "benchmarks.witness", str(processor))
                )
                for processor in sorted(os.sched_getaffinity(0))
            ]

            def stalls() -> list[tuple[float, float]]:
                """Return the stalls of all processors since the last call."""
                reports = [one.turn("report", tries=1) for one in witnesses]
                return [stall for report in reports for stall in report["stalls"]]

            for _ in range(PATIENCE):
                for count, home in homes.items():
                    if len(took[count]) >= ENOUGH:
                        continue
                    stalls()
                    pairs = home.turn("latency", FLIPS, tries=1)["pairs"]
                    away = stalls()
                    took[count] += [
                        written - sent
                        for sent, written in pairs
                        # The `status` events can trigger a subscribe that turns the terminal on earlier
                        if written > sent
                        and not any(a < written and b > sent for a, b in away)
                    ]
        for count, values in took.items():
            if len(values) < ENOUGH:
                sys.exit("The machine stands still too often to tell how fast it is")
            self.samples[f"p99 {count}"].append(quantiles(values, n=100)[-1])

    def _starts(self, costs: Samples) -> None:
        """Measure a setup, and a start with accounts from the last run."""
        fair: Counter[str] = Counter()
        for _ in range(TRIES * STARTS):
            for domain, known in self._known.items():
                with self._home(domain, MANY) as home:
                    costs[f"setup {domain}"].append(home.started["setup"])
                    fair[domain] += is_fair(home.started)
                with self._home(None, FEW, config=known) as home:
                    costs[f"start {domain}"].append(home.started["start"])
                    fair[f"known {domain}"] += is_fair(home.started)
            if min(fair.values()) >= STARTS:
                break

    @contextmanager
    def _home(
        self, domain: str | None, count: int, config: Path | None = None, **more: float
    ) -> Iterator[Process]:
        """Run a Home Assistant with some accounts, in a new folder by default."""
        options = {
            "server": self._server,
            "folder": str(config or mkdtemp(dir=self._folder)),
            "domain": domain,
            "accounts": count,
            **more,
        }
        with self._run(PINNED, "-m", "benchmarks.home", json.dumps(options)) as process:
            yield process

    @contextmanager
    def _run(self, *command: str | Path) -> Iterator[Process]:
        """Run a process in a new folder."""
        cwd = Path(mkdtemp(dir=self._folder))
        process = Process(*command, cwd=cwd, env=_environ())
        try:
            yield process
            process.close()
        finally:
            process.kill()


def _environ() -> dict[str, str]:
    """Return the environment variables of every process; bytecode is cached so that compiling is not measured."""
    return {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "PYTHONPYCACHEPREFIX": str(VENVS / "pycache"),
    }

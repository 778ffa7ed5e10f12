"""Start the server and the processes that are measured, one after the other, and keep what they say."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
import json
from pathlib import Path
import subprocess
import sys
from tempfile import TemporaryDirectory
from typing import Any

from scripts.setup_env import ENVIRONMENTS, ROOT, VENVS

COUNTS = (10, 100, 1000)
MANY = COUNTS[-1]
FLOOD = 20_000
"""Frames of one part of a flood; those who take ten times as long for each get a tenth."""
SECONDS = 2
"""How long one part of a steady load lasts."""
FLIPS = 2000
CHANGES = 2_000
"""Events of one part: each account changes equally often."""
AWAY = 12.0
"""For how long no socket comes back; the minute until entities are unavailable is shortened to a third of it."""
TIMEOUT = 300

type Samples = dict[str, list[float]]


@dataclass
class Bench:
    """Runs that use one server, and their results by name, one for each round."""

    server: str
    folder: Path
    profile: bool
    samples: Samples = field(default_factory=lambda: defaultdict(list))
    profiles: dict[str, list[str]] = field(default_factory=dict)

    def floods(self) -> None:
        """Measure what a frame costs that changes nothing."""
        for peer, frames in (
            ("raw", FLOOD),
            ("ours", FLOOD),
            ("library", FLOOD // 10),
            ("sdk", FLOOD // 10),
        ):
            self._peer(peer, 1, "flood", frames)
        for count in COUNTS:
            self._peer("ours", count, "flood", FLOOD)

    def steadies(self) -> None:
        """Measure what a second costs in which each of many accounts has one status."""
        for peer in ("raw", "ours"):
            self._peer(peer, MANY, "steady", SECONDS)

    def homes(self) -> None:
        """Measure what Home Assistant spends with us in it."""
        self._home("empty", MANY)
        self._home("metaapi", MANY, steady=SECONDS, latency=FLIPS, changes=CHANGES)
        self._home("metaapi", 1, latency=FLIPS)
        for count in COUNTS[:-1]:
            self._home("metaapi", count, changes=CHANGES)

    def losses(self) -> None:
        """Measure what happens when all sockets are lost at once."""
        self._home("metaapi", MANY, "loss", loss=AWAY)

    def starts(self) -> None:
        """Measure a start with accounts that are known from the last run."""
        for domain in ("empty", "metaapi"):
            for count in (COUNTS[0], MANY):
                name = f"{domain} start {count}"
                with TemporaryDirectory(dir=self.folder) as folder:
                    self._run_home(folder, f"--domain={domain}", accounts=count)
                    result = self._run_home(folder, accounts=count, name=name)
                self.samples[name].append(result["start"])
                self.samples["blocking calls"].append(result["blocking_calls"])

    def memories(self) -> None:
        """Measure what an account takes of memory."""
        for domain in ("empty", "metaapi"):
            for count in COUNTS:
                self._home(domain, count, "memory", "--memory")

    def _peer(self, peer: str, accounts: int, load: str, amount: int) -> None:
        """Run a client; note the CPU time of a frame, or of a second."""
        environment = ENVIRONMENTS["sdk" if peer == "sdk" else "pinned"]
        name = f"{peer} {load} {accounts}"
        result = self._run(
            name,
            *(environment.python, "-m", "benchmarks.peer", peer, self.server),
            *(f"--accounts={accounts}", f"--load={load}", f"--amount={amount}"),
        )
        self.samples[name].append(result["cpu"] / amount)

    def _home(
        self, domain: str, accounts: int, kind: str = "home", *flags: str, **load: float
    ) -> None:
        """Run a Home Assistant with accounts; note all it says."""
        with TemporaryDirectory(dir=self.folder) as folder:
            result = self._run_home(
                folder,
                f"--domain={domain}",
                *flags,
                *(f"--{name}={amount}" for name, amount in load.items()),
                accounts=accounts,
                name=f"{domain} {kind} {accounts}",
            )
        for key, value in result.items():
            self.samples[f"{domain} {kind} {accounts} {key}"].append(value)

    def _run_home(
        self, folder: str, *flags: str, accounts: int, name: str = ""
    ) -> dict[str, Any]:
        """Run a Home Assistant."""
        return self._run(
            name,
            *(ENVIRONMENTS["pinned"].python, "-m", "benchmarks.home"),
            *(self.server, folder, f"--accounts={accounts}", *flags),
        )

    def _run(self, name: str, *command: str | Path) -> dict[str, Any]:
        """Run a process and return what it says; its profile is kept."""
        flags = ["--profile"] if self.profile else []
        done = subprocess.run(
            [*command, *flags],
            cwd=self.folder,
            env=_environ(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{name} failed:\n{done.stderr}")
        # the SDK prints its log to the same place
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        self.profiles[name] = result.pop("profile")
        return result


@contextmanager
def server() -> Iterator[str]:
    """Run the server and return where it is."""
    with subprocess.Popen(
        [ENVIRONMENTS["pinned"].python, "-m", "benchmarks.server"],
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

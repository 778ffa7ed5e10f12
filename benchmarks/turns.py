"""The protocol between a measured process and the process that controls it.

Requests and results are lines of JSON: `["flood", 20000]` in, its cost out. This way several processes run their
loads in turns, and a slow moment of the machine affects all of them. After each turn the same small piece of
work is done, the yardstick: if it took longer than usual, the turn is repeated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
import json
import os
from pathlib import Path
from statistics import median
import subprocess
import sys
from tempfile import TemporaryFile
from threading import Timer
import time
from typing import Any, NamedTuple, Self

from scripts.setup_env.steps import ROOT, VENVS

MARK = "= "
"""Marks the lines of the protocol, because the SDK also logs to standard output."""
LIMIT = 300
"""Seconds until a process that does not answer is killed, which ends the run."""
SLOW = 1.15
"""A turn is repeated if the yardstick took longer than this multiple of its best time."""
TRIES = 2
SETTLE = 12
"""Seconds until Home Assistant has written its registries, which it does ten seconds after a setup."""
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "PYTHONPATH": str(ROOT),
    # Bytecode is cached so that compiling is not measured
    "PYTHONPYCACHEPREFIX": str(VENVS / "pycache"),
}

type Load = Callable[[int], Awaitable[Any]]


def yardstick() -> float:
    """Return the CPU time of a fixed piece of work, which shows the current speed of the processor."""
    times = [time.thread_time()]
    for _ in range(5):
        for _ in range(50):
            json.loads(json.dumps({"some": ["work", 1, 2.5, None, {"a": "b"}] * 4}))
        times.append(time.thread_time())
    return median(after - before for before, after in pairwise(times))


@contextmanager
def in_front(priority: int = 1) -> Iterator[bool]:
    """Give this process real-time priority, which only root may do; yield whether it was allowed.

    This applies to all its threads, because a thread that waits for a processor may hold Python's lock.
    """
    try:
        _schedule(os.SCHED_FIFO, priority)
    except PermissionError:
        yield False
        return
    yield True
    _schedule(os.SCHED_OTHER, 0)


def _schedule(policy: int, priority: int) -> None:
    """Set the scheduling policy and priority of all threads of this process."""
    for thread in Path("/proc/self/task").iterdir():
        # The thread may have ended meanwhile
        with suppress(ProcessLookupError):
            os.sched_setscheduler(int(thread.name), policy, os.sched_param(priority))


def tell(value: Any) -> None:
    """Print a result together with the yardstick's current time."""
    print(f"{MARK}{json.dumps([value, yardstick()])}", flush=True)


async def serve(loads: Mapping[str, Load]) -> None:
    """Run the requested loads until the input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        load, amount = json.loads(line)
        tell(await loads[load](amount))


class Result(NamedTuple):
    """What a process printed."""

    value: Any
    yardstick: float

    @property
    def is_fair(self) -> bool:
        """Return whether the machine was about as fast as at its best."""
        return self.yardstick <= SLOW * Process.quickest


def fairest(run: Callable[[], Result], tries: int = TRIES) -> Any:
    """Run something until the machine was fast; return the value of the try during which it was fastest."""
    results = [run()]
    while len(results) < tries and not results[-1].is_fair:
        Process.again += 1
        results.append(run())
    best = min(results, key=lambda result: result.yardstick)
    Process.spoiled += not best.is_fair and tries > 1
    return best.value


class Process:
    """A process that runs a load whenever it is its turn."""

    quickest = 1.0
    """The best time of the yardstick in any process."""
    again = spoiled = 0
    """The number of repetitions, and of turns that stayed slow even when repeated."""

    def __init__(self, *command: str | Path, cwd: str | Path) -> None:
        """Start the process and wait until it is ready."""
        self._command = " ".join(map(str, command))
        self._errors = TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.started = self._read()
        """The result of its start."""

    def turn(self, load: str, amount: float = 0, tries: int = TRIES) -> Any:
        """Run a load; return the result of the try during which the machine was fastest."""

        def run() -> Result:
            """Run the load once."""
            print(json.dumps([load, amount]), file=self._process.stdin, flush=True)
            return self._read()

        return fairest(run, tries)

    def __enter__(self) -> Self:
        """Return the process."""
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """End the process, and the run as well if it fails at that."""
        try:
            if error is None:
                self._process.communicate(timeout=LIMIT)
                if self._process.returncode:
                    raise self._failure()
        finally:
            self._process.kill()
            self._process.wait()

    def _read(self) -> Result:
        """Return the next result of the process."""
        assert self._process.stdout is not None
        timer = Timer(LIMIT, self._process.kill)
        timer.start()
        try:
            for line in self._process.stdout:
                if line.startswith(MARK):
                    result = Result(*json.loads(line.removeprefix(MARK)))
                    Process.quickest = min(Process.quickest, result.yardstick)
                    return result
        finally:
            timer.cancel()
            timer.join()
        raise self._failure()

    def _failure(self) -> SystemExit:
        """Return what ends the run because of this process."""
        self._errors.seek(0)
        return SystemExit(f"Failed or hung: {self._command}\n{self._errors.read()}")

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
from threading import Timer
import time
from typing import Any

MARK = "= "
"""Marks the lines of the protocol, because the SDK also logs to standard output."""
TIMEOUT = 900
SLOW = 1.15
"""A turn is repeated if the yardstick took longer than this multiple of its best time."""
TRIES = 2

type Load = Callable[[int], Awaitable[dict[str, Any]]]


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


def tell(result: Mapping[str, Any]) -> None:
    """Print a result together with the yardstick's current time."""
    print(f"{MARK}{json.dumps({**result, 'yardstick': yardstick()})}", flush=True)


async def serve(loads: Mapping[str, Load]) -> None:
    """Run the requested loads until the input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        load, amount = json.loads(line)
        tell(await loads[load](amount))


class Process:
    """A process that runs a load whenever it is its turn."""

    quickest = 1.0
    """The best time of the yardstick in any process."""
    turns = again = spoiled = 0
    """The number of turns, of repetitions, and of turns that stayed slow even when repeated."""

    def __init__(self, *command: str | Path, cwd: Path, env: dict[str, str]) -> None:
        """Start the process and wait until it is ready."""
        self._errors = (cwd / "errors").open("w+")
        self._process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self.started = self._read()
        """The result of its start."""

    def turn(self, load: str, amount: float = 0, tries: int = TRIES) -> dict[str, Any]:
        """Run a load; return the result of the try during which the machine was fastest."""
        assert self._process.stdin is not None
        results: list[dict[str, Any]] = []
        Process.turns += 1
        while len(results) < tries and not any(map(is_fair, results)):
            Process.again += bool(results)
            print(json.dumps([load, amount]), file=self._process.stdin, flush=True)
            results.append(self._read())
        best = min(results, key=lambda result: result["yardstick"])
        Process.spoiled += not is_fair(best) and tries > 1
        return best

    def close(self) -> dict[str, Any]:
        """Stop the process; return its last result."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        result = self._read()
        self._process.wait(TIMEOUT)
        self._errors.close()
        return result

    def kill(self) -> None:
        """Kill the process."""
        self._process.kill()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        """Return the next result of the process."""
        assert self._process.stdout is not None
        timer = Timer(TIMEOUT, self._process.kill)
        timer.start()
        try:
            for line in self._process.stdout:
                if line.startswith(MARK):
                    result: dict[str, Any] = json.loads(line.removeprefix(MARK))
                    Process.quickest = min(Process.quickest, result["yardstick"])
                    return result
        finally:
            timer.cancel()
            timer.join()
        self._errors.seek(0)
        sys.exit(f"A process failed:\n{self._errors.read()}")


def is_fair(result: Mapping[str, Any]) -> bool:
    """Return whether the machine was about as fast as at its best."""
    return bool(result["yardstick"] <= SLOW * Process.quickest)

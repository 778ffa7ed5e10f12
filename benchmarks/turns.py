"""The words between a process that is measured and the one that tells it what to do.

One line each, as JSON: `["flood", 20000]` in, what that cost out. So several processes are put under load in
turns, and a moment in which the machine is slow hits all of them. After each the same small piece of
work is done, the yardstick: where that took longer than it can, the turn is taken again.
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
"""Begins a line that is meant for us: the SDK prints its log to the same place."""
TIMEOUT = 900
SLOW = 1.15
"""A turn is measured again where the yardstick took so much longer than ever before."""
TRIES = 2

type Load = Callable[[int], Awaitable[dict[str, Any]]]


def yardstick() -> float:
    """Return the CPU time of a fixed piece of work, which is that of this moment's processor."""
    times = [time.thread_time()]
    for _ in range(5):
        for _ in range(50):
            json.loads(json.dumps({"some": ["work", 1, 2.5, None, {"a": "b"}] * 4}))
        times.append(time.thread_time())
    return median(after - before for before, after in pairwise(times))


@contextmanager
def in_front(priority: int = 1) -> Iterator[bool]:
    """Let this process run before whatever else the machine does meanwhile, if it may: only root's may.

    All its threads: one that has to wait for a processor may hold Python's lock.
    """
    try:
        _schedule(os.SCHED_FIFO, priority)
    except PermissionError:
        yield False
        return
    yield True
    _schedule(os.SCHED_OTHER, 0)


def _schedule(policy: int, priority: int) -> None:
    """Set how the threads of this process share processors with others."""
    for thread in Path("/proc/self/task").iterdir():
        # one may have ended meanwhile
        with suppress(ProcessLookupError):
            os.sched_setscheduler(int(thread.name), policy, os.sched_param(priority))


def tell(result: Mapping[str, Any]) -> None:
    """Print what something cost, and what the yardstick says of the moment."""
    print(f"{MARK}{json.dumps({**result, 'yardstick': yardstick()})}", flush=True)


async def serve(loads: Mapping[str, Load]) -> None:
    """Put this process under each load that it is told, until its input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        load, amount = json.loads(line)
        tell(await loads[load](amount))


class Process:
    """A process that waits for its turns."""

    quickest = 1.0
    """What the yardstick took at best, in any process."""
    turns = again = spoiled = 0
    """How many turns there were, how many of them were taken again, and how many were never good."""

    def __init__(self, *command: str | Path, cwd: Path, env: dict[str, str]) -> None:
        """Start it, and wait until it is ready."""
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
        """What its start cost."""

    def turn(self, load: str, amount: float = 0, tries: int = TRIES) -> dict[str, Any]:
        """Put it under a load; return what that cost when the machine was at its best, or nearly so."""
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
        """End it; return its last words."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        result = self._read()
        self._process.wait(TIMEOUT)
        self._errors.close()
        return result

    def kill(self) -> None:
        """End it whatever it does."""
        self._process.kill()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        """Return the next line that is meant for us."""
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
        self._errors.seek(0)
        sys.exit(f"A process failed:\n{self._errors.read()}")


def is_fair(result: Mapping[str, Any]) -> bool:
    """Return whether the machine was about as quick as it was at best."""
    return bool(result["yardstick"] <= SLOW * Process.quickest)

"""The words between a process that is measured and the one that tells it what to do.

One line each, as JSON: `["flood", 20000]` in, what that cost out. So several processes can be put
under load in turns, and a moment in which the machine is slow hits all of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
import json
from pathlib import Path
import subprocess
import sys
from threading import Timer
from typing import Any

MARK = "= "
"""Begins a line that is meant for us: the SDK prints its log to the same place."""
TIMEOUT = 300

type Load = Callable[[int], Awaitable[dict[str, Any]]]


def tell(result: Mapping[str, Any]) -> None:
    """Print what something cost."""
    print(f"{MARK}{json.dumps(result)}", flush=True)


async def serve(loads: Mapping[str, Load]) -> None:
    """Put this process under each load that it is told, until its input ends."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        load, amount = json.loads(line)
        tell(await loads[load](amount))


class Process:
    """A process that waits for its turns."""

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

    def turn(self, load: str, amount: int) -> dict[str, Any]:
        """Put it under a load; return what that cost."""
        assert self._process.stdin is not None
        print(json.dumps([load, amount]), file=self._process.stdin, flush=True)
        return self._read()

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
                    return result
        finally:
            timer.cancel()
        self._errors.seek(0)
        sys.exit(f"A process failed:\n{self._errors.read()}")

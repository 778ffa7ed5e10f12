"""A witness of one processor: a process that only sleeps and records when it woke up late.

A virtual machine is paused now and then while its host does something else, and no client can write a state then.
A witness has real-time priority, so nothing inside the machine delays it: the client does not cause what it records.
"""

import asyncio
from collections import deque
import os
import sys
from threading import Thread
import time
from typing import Any

from .turns import in_front, serve, tell

NAP = 0.001
LATE = 0.0005


def watch(processor: int, stalls: deque[tuple[float, float]]) -> None:
    """Record the times during which the processor was stalled."""
    os.sched_setaffinity(0, {processor})
    with in_front(priority=2) as allowed:
        before = time.monotonic()
        while allowed:
            time.sleep(NAP)
            now = time.monotonic()
            if now - before > NAP + LATE:
                # For the same time after a stall, clients still read what has accumulated
                stalls.append((before, now + (now - before)))
            before = now


async def main() -> None:
    """Watch one processor until the input ends."""
    stalls: deque[tuple[float, float]] = deque(maxlen=100_000)
    Thread(target=watch, args=(int(sys.argv[1]), stalls), daemon=True).start()

    async def report(_: int) -> dict[str, Any]:
        """Return the stalls since the last call."""
        return {"stalls": [stalls.popleft() for _ in range(len(stalls))]}

    tell({})
    await serve({"report": report})
    tell({})


if __name__ == "__main__":
    asyncio.run(main())

"""A witness of one processor: it notes when even what does nothing but sleep woke up late.

A virtual machine is stopped now and then while its host does something else; no client can write a state then.
With real-time priority nothing in the machine itself delays a witness, so that what it notes is not ours.
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
    """Note from when until when the processor was away."""
    os.sched_setaffinity(0, {processor})
    with in_front(priority=2) as allowed:
        before = time.monotonic()
        while allowed:
            time.sleep(NAP)
            now = time.monotonic()
            if now - before > NAP + LATE:
                # as long again after a stall, what has piled up is read
                stalls.append((before, now + (now - before)))
            before = now


async def main() -> None:
    """Watch one processor until the input ends."""
    stalls: deque[tuple[float, float]] = deque(maxlen=100_000)
    Thread(target=watch, args=(int(sys.argv[1]), stalls), daemon=True).start()

    async def report(_: int) -> dict[str, Any]:
        """Return what was noted since the last time."""
        return {"stalls": [stalls.popleft() for _ in range(len(stalls))]}

    tell({})
    await serve({"report": report})
    tell({})


if __name__ == "__main__":
    asyncio.run(main())

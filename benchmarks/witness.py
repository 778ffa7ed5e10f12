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

from .turns import serve, tell

NAP = 0.001
LATE = 0.0005
KEPT = 100_000


def watch(processor: int, stalls: deque[tuple[float, float]]) -> None:
    """Note from when until when the processor was away."""
    os.sched_setaffinity(0, {processor})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return
    before = time.monotonic()
    while True:
        time.sleep(NAP)
        now = time.monotonic()
        if now - before > NAP + LATE:
            stalls.append((before, now))
        before = now


async def main() -> None:
    """Watch one processor until the input ends."""
    stalls: deque[tuple[float, float]] = deque(maxlen=KEPT)
    thread = Thread(target=watch, args=(int(sys.argv[1]), stalls), daemon=True)
    thread.start()

    async def report(_: int) -> dict[str, Any]:
        """Return what was noted since the last time, and whether that is allowed at all."""
        noted = [stalls.popleft() for _ in range(len(stalls))]
        return {"stalls": noted, "watches": thread.is_alive()}

    tell({})
    await serve({"report": report})
    tell({})


if __name__ == "__main__":
    asyncio.run(main())

"""Witnesses of the processors: threads that only sleep and record when they woke up late.

A virtual machine is paused now and then while its host does something else, and no client can write a state then.
A witness has real-time priority, so nothing inside the machine delays it: the client does not cause what it records.
"""

from collections.abc import Iterator
from contextlib import contextmanager
import os
from threading import Event, Thread
import time

from .turns import in_front

NAP = 0.001
LATE = 0.0005

type Stalls = list[tuple[float, float]]


@contextmanager
def witnesses() -> Iterator[Stalls]:
    """Record when a processor was stalled, while this process has nothing else to do."""
    stalls: Stalls = []
    ended = Event()

    def watch(processor: int) -> None:
        """Record the stalls of a processor."""
        os.sched_setaffinity(0, {processor})
        before = time.monotonic()
        while not ended.is_set():
            time.sleep(NAP)
            now = time.monotonic()
            if now - before > NAP + LATE:
                # For the same time after a stall, clients still read what has accumulated
                stalls.append((before, now + (now - before)))
            before = now

    threads = [Thread(target=watch, args=(one,)) for one in os.sched_getaffinity(0)]
    for thread in threads:
        thread.start()
    try:
        with in_front(priority=2) as allowed:
            # Without priority, a witness wakes up late whenever the client works
            yield stalls if allowed else []
    finally:
        ended.set()
        for thread in threads:
            thread.join()

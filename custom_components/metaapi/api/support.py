"""What the other modules share: counters, background tasks, listeners, and a journal of events."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
import logging
from math import inf
from time import perf_counter
from typing import Any, NamedTuple, Protocol


@dataclass(slots=True)
class SocketCounters:
    """What went over one socket."""

    frames: int = 0
    """Frames that came in."""
    sent: int = 0
    """Requests and pings that went out."""
    events: int = 0
    malformed: int = 0

    def __add__(self, other: SocketCounters) -> SocketCounters:
        """Return what went over two sockets."""
        return SocketCounters(
            self.frames + other.frames,
            self.sent + other.sent,
            self.events + other.events,
            self.malformed + other.malformed,
        )


type Repeat = Callable[[], bool]
"""Does what an event led to, for when the same comes again word for word; returns False if it may be news now."""


class Tasks:
    """Starts tasks, and ends those that are left."""

    def __init__(self) -> None:
        """Start without any."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._goodbyes: set[asyncio.Task[Any]] = set()
        """Those that end soon by themselves: cancelled before their first step they would leave a socket."""

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        """Iterate over the tasks under way."""
        return iter(tuple(self._tasks))

    def __len__(self) -> int:
        """Return how many tasks are under way."""
        return len(self._tasks)

    def spawn[ResultT](
        self, coroutine: Coroutine[Any, Any, ResultT], name: str
    ) -> asyncio.Task[ResultT]:
        """Run a task."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def say_goodbye(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run a task that closes something, which even the end awaits."""
        task = self.spawn(coroutine, name)
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    def cancel(self) -> None:
        """Start to end all but the goodbyes."""
        for task in self._tasks - self._goodbyes:
            task.cancel()

    async def wait(self) -> None:
        """Return when none is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)


_LOGGER = logging.getLogger(__name__)

TURN = 0.002
"""How long work goes on without a break for others, in seconds."""

AFTER_FAULT = 60.0
"""What raised an exception is looked at again so many seconds later, so that the log is not flooded."""


class Turn:
    """Limits how long work goes on without a break: a thousand accounts at once would keep Home Assistant waiting."""

    def __init__(self) -> None:
        """Begin."""
        self._ends = perf_counter() + TURN

    @property
    def over(self) -> bool:
        """Return whether it has lasted long enough."""
        return perf_counter() >= self._ends

    async def share(self) -> None:
        """Let others have theirs, if it has."""
        if self.over:
            await asyncio.sleep(0)
            self._ends = perf_counter() + TURN


class Clocked(Protocol):
    """What the clock alone can change."""

    due: float
    """When the alarm looks at it; infinity if it does not. The alarm alone sets it."""

    @property
    def deadline(self) -> float:
        """Return when it is to be looked at; infinity if never."""

    def tick(self, now: float) -> None:
        """Let the clock decide what is due; to call it early does no harm."""


class Alarm:
    """One timer for many clocks, each of which is looked at when its time has come, and else never."""

    def __init__(self, pause: float) -> None:
        """Nothing is looked at sooner than `pause` seconds from now: what is due meanwhile is one sweep."""
        self.stopped = False
        self._pause = pause
        self._queue: list[tuple[float, int, Clocked]] = []
        """A heap by when each is due; entries that an earlier one replaced are left in."""
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def armed(self) -> bool:
        """Return whether a deadline is awaited."""
        return self._timer is not None

    def set(self, clocked: Clocked) -> None:
        """Look at something at its deadline or soon after it, unless that is to be done earlier."""
        due = max(clocked.deadline, self._loop.time() + self._pause)
        if self.stopped or due >= clocked.due:
            return
        self._queue_up(clocked, due)
        self._arm(due)

    def stop(self) -> None:
        """Look at nothing any more."""
        self.stopped = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _queue_up(self, clocked: Clocked, due: float) -> None:
        """Look at something at a moment."""
        clocked.due = due
        heappush(self._queue, (due, next(self._numbers), clocked))

    def _arm(self, when: float) -> None:
        """Set the timer, unless it is set to an earlier time."""
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._go)

    def _look_at(self, clocked: Clocked, now: float) -> None:
        """Let one clock decide; a fault of ours must cost neither the others nor its own next look."""
        clocked.due = inf
        try:
            clocked.tick(now)
        except Exception:
            _LOGGER.exception("Error when a clock ran out")
            if not self.stopped:
                self._queue_up(clocked, now + AFTER_FAULT)
        else:
            self.set(clocked)

    def _go(self) -> None:
        """Look at what is due, for one turn."""
        self._timer = None
        now, turn, queue = self._loop.time(), Turn(), self._queue
        try:
            while queue and queue[0][0] <= now and not turn.over:
                due, _, clocked = heappop(queue)
                if due == clocked.due:
                    self._look_at(clocked, now)
        finally:
            if queue:
                nearest = queue[0][0]
                rest = 0.0 if nearest <= now else self._pause
                self._arm(max(nearest, now + rest))


type Listener = Callable[[], None]


class Listeners:
    """Calls whoever listens; a fault of one must not cost the others, nor a socket."""

    def __init__(self) -> None:
        """Start without any."""
        self._listeners: list[Listener] = []

    def add(self, listener: Listener) -> Callable[[], None]:
        """Call back from now on; returns what ends it, which may be called more than once."""
        self._listeners.append(listener)
        return lambda: (
            self._listeners.remove(listener) if listener in self._listeners else None
        )

    def tell(self) -> None:
        """Call all of them."""
        for listener in tuple(self._listeners):
            try:
                listener()
            except Exception:
                _LOGGER.exception("Error in a listener")

    def clear(self) -> None:
        """Call nobody any more."""
        self._listeners.clear()


EVENTS_KEPT = 50


class Entry(NamedTuple):
    """Something that happened."""

    when: datetime
    what: str
    account_id: str | None
    zone: str | None
    detail: str | None


class Journal:
    """Keeps the last events; what a link hears all the time is none."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: deque[Entry] = deque(maxlen=EVENTS_KEPT)

    def note(
        self,
        what: str,
        account_id: str | None = None,
        zone: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Write an event down; `detail` must not hold the token."""
        self._entries.append(Entry(datetime.now(UTC), what, account_id, zone, detail))

    def diagnostics(self) -> list[dict[str, Any]]:
        """Return the events, the oldest first; `when` is ISO 8601 in UTC."""
        return [
            {
                name: value
                for name, value in entry._asdict().items()
                if value is not None
            }
            | {"when": entry.when.isoformat(timespec="milliseconds")}
            for entry in self._entries
        ]

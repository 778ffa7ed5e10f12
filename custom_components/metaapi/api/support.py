"""What the other modules share: counters, background tasks, listeners, and a journal of events."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
import logging
from typing import Any


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


class Alarm:
    """One timer for many clocks."""

    def __init__(self, ring: Callable[[], None], pause: float) -> None:
        """`ring` is called when a deadline has come, but not again within `pause` seconds."""
        self.stopped = False
        self._ring = ring
        self._pause = pause
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    @property
    def armed(self) -> bool:
        """Return whether a deadline is awaited."""
        return self._timer is not None

    def set(self, deadline: float) -> None:
        """Ring at a deadline or soon after it, unless an earlier one is set."""
        if self.stopped:
            return
        when = max(deadline, self._loop.time() + self._pause)
        if self._timer is not None:
            if self._timer.when() <= when:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._go)

    def stop(self) -> None:
        """Ring no more."""
        self.stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go(self) -> None:
        """Ring."""
        self._timer = None
        self._ring()


_LOGGER = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class Entry:
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
            {name: value for name, value in asdict(entry).items() if value is not None}
            | {"when": entry.when.isoformat(timespec="milliseconds")}
            for entry in self._entries
        ]

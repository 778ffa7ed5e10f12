"""Run a day on a clock that leaps.

Where everybody only waits for a timer, the clock is set to that timer; where a thread has something to do, it
goes on as clocks do. So all that is done in a day is done, one after the other.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import UTC, datetime, tzinfo
from importlib import import_module
import selectors
import time
from typing import Any, override


class Clock(selectors.DefaultSelector):
    """Leaps where sockets have nothing to tell."""

    ahead = 0.0
    threads = 0
    _owed = 0.0
    backlog: Callable[[], int] | None = None
    """What the recorder has to do; the clock leaps once this is set."""

    @override
    def select(self, timeout: float | None = None) -> Any:
        """Return what sockets have to say; leap to the next timer when that is nothing."""
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        if Clock.backlog is None or timeout is None:
            return super().select(timeout)
        if Clock.threads or Clock.backlog():
            return super().select(0.001)
        # the kernel may need a moment to pass a byte on
        self._owed += min(timeout / 1000, 0.001)
        if self._owed >= 0.001:
            self._owed = 0.0
            if found := super().select(0.001):
                return found
        Clock.ahead += timeout
        return found


class Loop(asyncio.SelectorEventLoop):
    """Counts the threads that work for it."""

    @override
    def run_in_executor[*Ts, ResultT](
        self, executor: Executor | None, func: Callable[[*Ts], ResultT], *args: *Ts
    ) -> asyncio.Future[ResultT]:
        """Count one."""
        future = super().run_in_executor(executor, func, *args)
        Clock.threads += 1
        future.add_done_callback(lambda _: setattr(Clock, "threads", Clock.threads - 1))
        return future


def set_clock() -> None:
    """Let all that asks for the time be told that of the clock; before Home Assistant is imported."""
    real_time, real_monotonic = time.time, time.monotonic
    time.time = lambda: real_time() + Clock.ahead
    time.monotonic = lambda: real_monotonic() + Clock.ahead
    dt_util: Any = import_module("homeassistant.util.dt")

    def now(time_zone: tzinfo | None = None) -> datetime:
        """Return the time in a zone."""
        zone = time_zone or dt_util.get_default_time_zone()
        return datetime.fromtimestamp(time.time(), zone)

    dt_util.now, dt_util.utcnow = now, lambda: datetime.fromtimestamp(time.time(), UTC)


def main() -> None:
    """Spend the day."""
    set_clock()
    with asyncio.Runner(loop_factory=lambda: Loop(Clock())) as runner:
        runner.run(import_module("benchmarks.day").run())


if __name__ == "__main__":
    # not `main()`: the day would find another clock under this module's name
    import_module("benchmarks.clock").main()

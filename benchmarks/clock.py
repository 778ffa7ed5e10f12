"""Run a day on a clock that leaps.

If everything only waits for a timer, the clock leaps to that timer; while a thread is working, time passes
normally. This way all the work of a day is done, without the waiting.
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
    """A selector that moves the clock forward when no socket is ready."""

    ahead = 0.0
    threads = 0
    backlog: Callable[[], int] | None = None
    """Returns the size of the recorder's backlog; the clock leaps only while this is set."""

    @override
    def select(self, timeout: float | None = None) -> Any:
        """Return the sockets that are ready; if there are none, leap to the next timer."""
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        if Clock.backlog is None or timeout is None:
            return super().select(timeout)
        if Clock.threads or Clock.backlog():
            return super().select(0.001)
        Clock.ahead += timeout
        return found


class Loop(asyncio.SelectorEventLoop):
    """An event loop that counts its running executor jobs."""

    @override
    def run_in_executor[*Ts, ResultT](
        self, executor: Executor | None, func: Callable[[*Ts], ResultT], *args: *Ts
    ) -> asyncio.Future[ResultT]:
        """Run a job and count it while it runs."""
        future = super().run_in_executor(executor, func, *args)
        Clock.threads += 1
        future.add_done_callback(lambda _: setattr(Clock, "threads", Clock.threads - 1))
        return future


def set_clock() -> None:
    """Replace the time functions with those of the clock; call this before Home Assistant is imported."""
    real_time, real_monotonic = time.time, time.monotonic
    time.time = lambda: real_time() + Clock.ahead
    time.monotonic = lambda: real_monotonic() + Clock.ahead
    dt_util: Any = import_module("homeassistant.util.dt")

    def now(time_zone: tzinfo | None = None) -> datetime:
        """Return the current time in a time zone."""
        zone = time_zone or dt_util.get_default_time_zone()
        return datetime.fromtimestamp(time.time(), zone)

    dt_util.now, dt_util.utcnow = now, lambda: datetime.fromtimestamp(time.time(), UTC)


def main() -> None:
    """Run the benchmark of a day."""
    set_clock()
    with asyncio.Runner(loop_factory=lambda: Loop(Clock())) as runner:
        runner.run(import_module("benchmarks.day").run())


if __name__ == "__main__":
    # Not `main()`: `benchmarks.day` imports `Clock` by module name and would get another class
    import_module("benchmarks.clock").main()

"""An event loop whose clock skips the time in which nothing happens.

Sockets are real, pauses are not: if everything only waits for a timer, the clock is set to that timer. So
the client can have its real timing, an hour takes a second or two, and a busy machine
does not affect any measurement: a round of the loop takes 10 µs, whatever it does, unless a test
calls `stand_still`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
import functools
import selectors
from typing import Any, override

_DRAG = 0.001
_DRAG_MOST = 0.002
"""Real seconds per skipped second, and their maximum: the kernel needs time to deliver bytes."""
_DEADLOCK = 5.0
"""After this many real seconds without a timer, nothing is expected any more."""
_STORM = 200_000
"""This many rounds at the same time mean that the loop never waits."""
_DAWN = 1000.0
_ROUND = 0.000_01
"""The duration of a round, so that an answer never has the time of its question."""


class StuckError(Exception):
    """Time does not pass: nothing waits for a timer, or something never waits."""


class _Selector(selectors.DefaultSelector):
    """Reports sockets at once, and advances the clock if there is nothing to report."""

    loop: WarpLoop

    @override
    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the events of sockets; without any, advance the clock to the next timer."""
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            self.loop.count_round()
            return found
        return found or self.loop.advance(timeout, super().select)


class WarpLoop(asyncio.SelectorEventLoop):
    """An event loop with its own clock."""

    def __init__(self) -> None:
        """Start at a fixed time."""
        self._now = _DAWN
        self._debt = 0.0
        self._rounds = 0
        self._total_rounds = 0
        self._threads = 0
        self._at_round: tuple[int, Callable[[], Any]] | None = None
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    @override
    def time(self) -> float:
        """Return the clock's time."""
        return self._now

    def stand_still(self, seconds: float) -> None:
        """Advance the clock while this loop does nothing, like a blocking call."""
        self._now += seconds

    def after_rounds(self, rounds: int, call: Callable[[], Any]) -> None:
        """Call a function after this many rounds of the loop."""
        self._at_round = (self._total_rounds + rounds, call)

    @property
    def rounds(self) -> int:
        """Return the number of rounds of the loop."""
        return self._total_rounds

    def count_round(self) -> None:
        """Count a round, and detect a loop that never waits."""
        self._rounds += 1
        if self._rounds > _STORM:
            self._rounds = 0
            raise StuckError(f"{_STORM} rounds of the loop at {self._now}")

    def advance(
        self,
        timeout: float | None,
        select: Callable[[float | None], list[tuple[selectors.SelectorKey, int]]],
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Set the clock to the next timer, unless a socket or a thread comes first."""
        self._rounds = 0
        if self._threads:
            return select(0.01)
        if timeout is None:
            if found := select(_DEADLOCK):
                return found
            raise StuckError("Nobody waits for a timer, and no socket has anything")
        self._debt += min(timeout * _DRAG, _DRAG_MOST)
        if self._debt >= 0.001:
            debt, self._debt = self._debt, 0.0
            if found := select(debt):
                return found
        self._now += timeout
        return []

    @override
    def _run_once(self) -> None:
        """Run one round."""
        self._total_rounds += 1
        self._now += _ROUND
        if self._at_round is not None and self._total_rounds >= self._at_round[0]:
            _, call = self._at_round
            self._at_round = None
            call()
        super()._run_once()

    @override
    def run_in_executor[ResultT](
        self, executor: Executor | None, func: Callable[..., ResultT], *args: Any
    ) -> asyncio.Future[ResultT]:
        """Stop the clock while a thread works."""
        future = super().run_in_executor(executor, func, *args)
        self._threads += 1

        def done(_: object) -> None:
            self._threads -= 1

        future.add_done_callback(done)
        return future


def current_loop() -> WarpLoop:
    """Return the running loop, which has to be a `WarpLoop`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, WarpLoop)
    return loop


def run_warped[ResultT](main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine on a new loop, and cancel the tasks that it left."""
    loop = WarpLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        try:
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            if left:
                loop.run_until_complete(asyncio.wait(left))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()


def warped[**Params](
    test: Callable[Params, Coroutine[Any, Any, None]],
) -> Callable[Params, None]:
    """Run a test on a `WarpLoop`."""

    @functools.wraps(test)
    def run(*args: Params.args, **kwargs: Params.kwargs) -> None:
        run_warped(test(*args, **kwargs))

    return run

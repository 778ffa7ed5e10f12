"""An event loop with its own clock, so that the machine's load does not affect what a test measures.

Sockets are real, waiting is not: if everything only waits for a timer, the clock skips to that timer. So the
client can have its real timing, and an hour takes a second or two. A round of the loop
takes 10 µs, whatever happens in it, unless a test calls `stand_still`.

With another process the clock cannot skip, because that process waits in real time. Then the loop is `paced`: its
clock moves only while the loop waits, and by no more than the requested time. If the machine stops or
runs something else, this does not count as time of the test.

Import the fixture and one of the hooks into a `conftest.py` to run the tests in its folder on such loops.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from functools import partial
import selectors
from time import CLOCK_MONOTONIC, clock_gettime
from typing import Any, override

import pytest

_DEADLOCK = 5.0
"""After this many real seconds without a timer, nothing is expected any more."""
_STORM = 200_000
"""This many rounds at the same time mean that the loop never waits."""
_REAL_MOST = 900.0
"""Real seconds for a test at most. pytest-timeout is not enough: asyncio catches what it raises in a callback."""
_START = 1000.0
_ROUND = 0.000_01
"""The duration of a round, so that an answer never has the time of its question."""

# A test that freezes the time of day freezes time.monotonic as well
_monotonic = partial(clock_gettime, CLOCK_MONOTONIC)

type Found = list[tuple[selectors.SelectorKey, int]]


class StuckError(Exception):
    """Time does not pass, or passes forever."""


class _Selector(selectors.DefaultSelector):
    """Reports sockets at once, and lets the loop wait if there is nothing to report."""

    loop: VirtualLoop

    @override
    def select(self, timeout: float | None = None) -> Found:
        """Return the events of sockets; without any, let the loop wait."""
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            self.loop.count_round()
            return found
        return self.loop.wait(timeout, super().select)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with its own clock."""

    def __init__(self, *, paced: bool = False) -> None:
        """Start at a fixed time; `paced` means that other processes take part."""
        self._now = _START
        self._paced = paced
        self._rounds = 0
        self._total_rounds = 0
        self._threads = 0
        self._at_round: tuple[int, Callable[[], Any]] | None = None
        self._give_up_at = _monotonic() + _REAL_MOST
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    @override
    def time(self) -> float:
        """Return the clock's time, in seconds."""
        return self._now

    def stand_still(self, seconds: float) -> None:
        """Advance the clock while this loop does nothing, like a blocking call."""
        self._now += seconds

    def after_rounds(self, rounds: int, call: Callable[[], Any]) -> None:
        """Call a function after this many rounds of the loop."""
        self._at_round = (self._total_rounds + rounds, call)

    @property
    def rounds(self) -> int:
        """Return the number of rounds so far."""
        return self._total_rounds

    def count_round(self) -> None:
        """Count a round without waiting; raise StuckError if the loop never waits."""
        self._rounds += 1
        if self._rounds > _STORM:
            self._rounds = 0
            raise StuckError(f"{_STORM} rounds of the loop at {self._now}")

    def wait(
        self, timeout: float | None, select: Callable[[float | None], Found]
    ) -> Found:
        """Wait for the next timer, a socket or a thread, whichever comes first."""
        self._rounds = 0
        if _monotonic() > self._give_up_at:
            raise StuckError(f"Still running after {_REAL_MOST} real seconds")
        if self._paced:
            started = _monotonic()
            found = select(timeout)
            waited = _monotonic() - started
            self._now += waited if timeout is None else min(waited, timeout)
            return found
        if self._threads:
            return select(0.01)
        if timeout is None:
            if found := select(_DEADLOCK):
                return found
            raise StuckError("Nobody waits for a timer, and no socket has anything")
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

    @override
    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Stop the clock while the threads end."""
        self._threads += 1
        await super().shutdown_default_executor(timeout)
        self._threads -= 1


def current_loop() -> VirtualLoop:
    """Return the running loop, which has to be a `VirtualLoop`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop


def run_virtually[ResultT](main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine on a new loop, then cancel the tasks that it left."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def leaping_loops(config: pytest.Config, item: pytest.Item) -> Mapping[str, Any]:
    """Run each test on a loop that skips waiting, except tests with other processes."""
    if item.get_closest_marker("real_time"):
        return paced_loops(config, item)
    return {"virtual": VirtualLoop}


def paced_loops(config: pytest.Config, item: pytest.Item) -> Mapping[str, Any]:
    """Run each test on a loop that waits in real time."""
    return {"paced": partial(VirtualLoop, paced=True)}


@pytest.fixture
def configure_event_loop() -> None:
    """Keep Home Assistant's test plugin from giving the loop another clock."""


@pytest.fixture
def enable_event_loop_debug() -> None:
    """Keep Home Assistant's test plugin from debug mode, which logs what servers do and takes four times as long."""

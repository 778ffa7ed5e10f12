"""A profiler that looks at the stack every millisecond of CPU time, and so costs next to nothing."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import signal
from types import FrameType
from typing import Any

INTERVAL = 0.001
LINES = 25


class Samples:
    """Where the time went: in a function itself, and in it with all that it calls."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._total = 0
        self._looking = False
        self._itself: Counter[str] = Counter()
        self._with_calls: Counter[str] = Counter()

    def take(self, _signal: int, frame: FrameType | None) -> None:
        """Look at the stack, unless the last look, slowed down by something, is not over."""
        if self._looking:
            return
        self._looking = True
        self._look(frame)
        self._looking = False

    def _look(self, frame: FrameType | None) -> None:
        """Count what is on the stack."""
        self._total += 1
        seen: set[str] = set()
        while frame is not None:
            code = frame.f_code
            name = f"{'/'.join(Path(code.co_filename).parts[-2:])}:{code.co_qualname}"
            if not seen:
                self._itself[name] += 1
            seen.add(name)
            frame = frame.f_back
        self._with_calls.update(seen)

    def lines(self) -> list[str]:
        """Return the functions that take the most time by themselves."""
        total = max(self._total, 1)
        return [f"{self._total} samples", "  self   all  function"] + [
            f"{count / total:6.1%} {self._with_calls[name] / total:5.0%}  {name}"
            for name, count in self._itself.most_common(LINES)
        ]


@contextmanager
def sampled(wanted: bool) -> Iterator[Samples]:
    """Sample what runs in the main thread meanwhile, if wanted."""
    samples = Samples()
    before: Any = signal.signal(signal.SIGPROF, samples.take)
    signal.setitimer(signal.ITIMER_PROF, *((INTERVAL, INTERVAL) if wanted else (0.0,)))
    try:
        yield samples
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, before)

"""One clock for all of a home: the loop's, whose leaps the calendar follows."""

from collections.abc import Callable
from datetime import timedelta
from math import ceil
from time import perf_counter as REAL_TIME  # before a calendar stands still
from typing import override

from freezegun.api import FrozenDateTimeFactory

from tests.api.virtual_loop import Found, VirtualLoop


class HomeLoop(VirtualLoop):
    """A loop that takes the time of day along when it leaps."""

    calendar: FrozenDateTimeFactory | None = None
    leaps = False
    """Before a day and after it time passes as it does, for the threads of a home."""

    def __init__(self) -> None:
        """Start where the loop below does."""
        super().__init__()
        self._told = self.time()

    @override
    def wait(
        self, timeout: float | None, select: Callable[[float | None], Found]
    ) -> Found:
        """Wait, and tell the calendar."""
        if self.leaps:
            found = super().wait(timeout, select)
        else:
            began = REAL_TIME()
            found = select(timeout)
            self.stand_still(REAL_TIME() - began)
        self._tell()
        return found

    @override
    def count_round(self) -> None:
        """Notice a loop that never waits, and tell the calendar how long it did not."""
        super().count_round()
        self._tell()

    def _tell(self) -> None:
        """Set the calendar, which knows no less than a microsecond, and is never behind."""
        if self.calendar is not None:
            passed = ceil((self.time() - self._told) * 1e6)
            self.calendar.tick(timedelta(microseconds=passed))
            self._told += passed / 1e6

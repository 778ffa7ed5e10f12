"""One clock for all of a home: the loop's, which the calendar follows."""

from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import override

from freezegun.api import FrozenDateTimeFactory

from tests.api.virtual_loop import Found, VirtualLoop


class HomeLoop(VirtualLoop):
    """A loop that takes the time of day along when it leaps."""

    calendar: FrozenDateTimeFactory | None = None

    def __init__(self) -> None:
        """Start where the loop below does."""
        super().__init__(paced=True)
        self._told = self.time()

    def set_leaping(self, leaps: bool) -> None:
        """Let the clock leap, or wait as it does before a day and after it, for the threads of a home."""
        self._paced = not leaps

    @override
    def wait(
        self, timeout: float | None, select: Callable[[float | None], Found]
    ) -> Found:
        """Wait or leap, and tell the calendar."""
        found = super().wait(timeout, select)
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

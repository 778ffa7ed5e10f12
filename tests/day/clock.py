"""A clock for a whole home: the event loop's clock, which the calendar follows."""

from collections.abc import Callable
from datetime import timedelta
from math import ceil
from typing import override

from freezegun.api import FrozenDateTimeFactory

from tests.api.virtual_loop import Found, VirtualLoop


class HomeLoop(VirtualLoop):
    """A virtual loop that also moves the time of day when its clock leaps."""

    calendar: FrozenDateTimeFactory | None = None

    def __init__(self) -> None:
        """Start at the time of the virtual loop."""
        super().__init__(paced=True)
        self._told = self.time()

    def set_leaping(self, leaps: bool) -> None:
        """Choose whether the clock leaps, or waits in real time so that threads can finish before and after a day."""
        self._paced = not leaps

    @override
    def wait(
        self, timeout: float | None, select: Callable[[float | None], Found]
    ) -> Found:
        """Wait or leap, then update the calendar."""
        found = super().wait(timeout, select)
        self._tell()
        return found

    @override
    def count_round(self) -> None:
        """Count a round without waiting, then update the calendar."""
        super().count_round()
        self._tell()

    def _tell(self) -> None:
        """Move the calendar forward, rounded up to whole microseconds so that it is never behind the loop."""
        if self.calendar is not None:
            passed = ceil((self.time() - self._told) * 1e6)
            self.calendar.tick(timedelta(microseconds=passed))
            self._told += passed / 1e6

"""An event loop whose clock stands still while the machine does.

Tests on real sockets compress minutes to tenths of a second, and a host that stops its machine for as long would
look like an outage to them. Client and simulator share one loop, so neither sees a moment that this loop leaves out.
Another process does: give a server of its own more patience. What is left out as well is code of ours that blocks the loop,
which a test of that has to measure by another clock. Only the loop's own thread may ask for the time.

Import both names into a `conftest.py` to run the tests beside it on such loops.
"""

import asyncio
from collections.abc import Mapping
import selectors
from time import monotonic
from typing import Any, override

import pytest

_LATE = 0.05
"""Seconds; a longer delay than this, beyond the requested one, is caused by the machine."""


class _Selector(selectors.DefaultSelector):
    """Tells its loop how long it was to wait."""

    loop: FairLoop

    @override
    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for sockets or for a timer, whichever comes first."""
        self.loop.pass_time(0.0)
        found = super().select(timeout)
        self.loop.pass_time(timeout)
        return found


class FairLoop(asyncio.SelectorEventLoop):
    """A loop that takes no notice of what it slept through."""

    def __init__(self) -> None:
        """Start with the machine's clock."""
        self._skipped = 0.0
        self._looked = monotonic()
        selector = _Selector()
        selector.loop = self
        super().__init__(selector)

    @override
    def time(self) -> float:
        """Return the clock: the machine's, without the moments left out."""
        self.pass_time(0.0)
        return self._looked - self._skipped

    def pass_time(self, expected: float | None) -> None:
        """Look at the machine's clock; leave out what is more than was expected, None for anything."""
        now = monotonic()
        if expected is not None:
            surplus = now - self._looked - max(expected, 0.0)
            if surplus > _LATE:
                self._skipped += surplus
        self._looked = now


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Any]:
    """Run every test beside the `conftest.py` that imports this on such a loop."""
    return {"fair": FairLoop}


@pytest.fixture
def configure_event_loop() -> None:
    """Keep Home Assistant's test plugin from making the loop one of a home, with another clock."""

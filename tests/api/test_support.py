"""The parts that the client's modules share."""

import asyncio
from math import inf

from api.support import AFTER_FAULT, Alarm
import pytest

PAUSE = 0.25


class Clock:
    """Something whose clock runs out again and again, and may fail."""

    def __init__(self, every: float, *, faults: int = 0) -> None:
        """Start at the loop's time."""
        self.due = inf
        self.looks: list[float] = []
        self._every = every
        self._faults = faults
        self.deadline = asyncio.get_running_loop().time() + every

    def tick(self, now: float) -> None:
        """Record the time, and raise as often as a test asked for."""
        self.looks.append(now)
        if self._faults:
            self._faults -= 1
            raise ValueError("a fault of ours")
        self.deadline = now + self._every


async def test_alarm_looks_at_each_clock_when_it_is_due() -> None:
    """Each clock has its own deadlines; none is looked at for another's."""
    alarm = Alarm(PAUSE)
    start = asyncio.get_running_loop().time()
    slow, fast = Clock(40), Clock(15)
    alarm.set(slow)
    alarm.set(fast)
    await asyncio.sleep(100)
    alarm.stop()
    assert [round(when - start) for when in slow.looks] == [40, 80]
    assert [round(when - start) for when in fast.looks] == [15, 30, 45, 60, 75, 90]


async def test_alarm_outlives_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    """A clock that raises is logged and looked at again after a minute; the others go on."""
    alarm = Alarm(PAUSE)
    start = asyncio.get_running_loop().time()
    faulty, other = Clock(10, faults=2), Clock(10)
    alarm.set(faulty)
    alarm.set(other)
    await asyncio.sleep(145)
    assert len(other.looks) == 14
    assert [round(when - start) for when in faulty.looks] == [
        10,
        round(10 + AFTER_FAULT),
        round(10 + 2 * AFTER_FAULT),
        round(20 + 2 * AFTER_FAULT),
    ]
    alarm.stop()
    assert [record.message for record in caplog.records] == [
        "Error when a clock ran out"
    ] * 2


async def test_alarm_that_was_stopped_stays_so() -> None:
    """Neither a clock nor a later call starts it again."""
    alarm = Alarm(PAUSE)
    clock = Clock(1)
    alarm.set(clock)
    alarm.stop()
    alarm.set(clock)
    await asyncio.sleep(10)
    assert clock.looks == []
    assert not alarm.armed

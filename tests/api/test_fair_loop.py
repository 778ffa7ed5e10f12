"""The clock of the tests on real sockets: a machine that stands still is no outage."""

import asyncio
import time

from .fair_loop import FairLoop


async def test_tests_run_on_it() -> None:
    """Also where Home Assistant's test plugin would give the loop another clock."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, FairLoop)
    assert "time" not in vars(loop)


async def test_a_standstill_takes_no_time() -> None:
    """Neither while something runs, nor while all wait for a timer that comes late."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    time.sleep(0.3)  # noqa: ASYNC251 - as a machine does that is stopped
    assert loop.time() - start < 0.1
    loop.call_soon(time.sleep, 0.3)
    await asyncio.sleep(0.01)
    assert loop.time() - start < 0.2


async def test_a_wait_takes_its_time() -> None:
    """Whatever else goes on."""
    loop = asyncio.get_running_loop()
    start, real = loop.time(), time.monotonic()
    await asyncio.sleep(0.2)
    assert loop.time() - start >= 0.2
    assert time.monotonic() - real >= 0.2

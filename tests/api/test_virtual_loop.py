"""The clock of the tests on real sockets: a machine that stands still is no outage."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
import itertools
import time

import pytest

from .virtual_loop import StuckError, VirtualLoop, current_loop, run_virtually


async def test_tests_run_on_it() -> None:
    """Also where Home Assistant's test plugin would give the loop another clock."""
    assert "time" not in vars(current_loop())


async def test_a_wait_takes_its_time_and_no_real_time() -> None:
    """An hour is an hour on the loop's clock, and almost nothing on the machine's."""
    loop = asyncio.get_running_loop()
    start, real = loop.time(), time.thread_time()
    await asyncio.sleep(3600)
    assert 3600 <= loop.time() - start < 3600.1
    assert time.thread_time() - real < 60


async def test_a_call_that_blocks_takes_no_time() -> None:
    """A stopped machine, or one that runs something else, looks like this."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    time.sleep(0.1)  # noqa: ASYNC251 - as a machine does that is stopped
    await asyncio.sleep(0)
    assert loop.time() - start < 0.01


async def test_no_time_passes_while_a_thread_works() -> None:
    """A timer that runs beside it does not end first."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        work = loop.run_in_executor(pool, time.sleep, 0.1)
        done, _ = await asyncio.wait({work}, timeout=0.05)
    assert done == {work}


async def test_bytes_come_before_the_clock_leaps() -> None:
    """What a socket of this process sent is read before a timer ends that began later."""
    received = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        received.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"x")
    async with asyncio.timeout(0.01):
        await received.wait()
    writer.close()
    await writer.wait_closed()
    server.close()


def test_a_loop_that_never_waits_is_stuck() -> None:
    """A task that only yields would run for ever."""

    async def spin() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    with pytest.raises(StuckError, match="rounds of the loop"):
        run_virtually(spin())


def test_a_loop_that_waits_for_ever_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a timer and without a byte, nothing happens any more."""
    monkeypatch.setattr("tests.api.virtual_loop._DEADLOCK", 0.01)

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError, match="Nobody waits"):
        run_virtually(wait())


def test_a_loop_that_goes_on_for_ever_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where each exception of a timeout would be caught in a callback."""
    monkeypatch.setattr("tests.api.virtual_loop._REAL_MOST", 0.1)

    async def poll() -> None:
        for _ in itertools.count():
            await asyncio.sleep(1)

    with pytest.raises(StuckError, match="Still running"):
        run_virtually(poll())


def test_a_paced_loop_takes_real_time() -> None:
    """Another process that takes part gets the time that it was promised."""
    loop = VirtualLoop(paced=True)
    start, real = loop.time(), time.monotonic()
    loop.run_until_complete(asyncio.sleep(0.1))
    assert loop.time() - start >= 0.1
    assert time.monotonic() - real >= 0.1
    loop.close()


def test_a_paced_loop_leaves_a_standstill_out() -> None:
    """Neither while something runs, nor while all wait for a timer that comes late."""
    loop = VirtualLoop(paced=True)
    start = loop.time()

    async def stand_still() -> None:
        loop.call_later(0.01, time.sleep, 0.5)
        await asyncio.sleep(0.02)

    loop.run_until_complete(stand_still())
    assert loop.time() - start < 0.25
    loop.close()

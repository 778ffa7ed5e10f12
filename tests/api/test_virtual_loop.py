"""Test the clock of the tests with real sockets, which a stopped machine must not affect."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
import itertools
import time

import pytest

from .virtual_loop import StuckError, VirtualLoop, current_loop, run_virtually


async def test_tests_run_on_it() -> None:
    """Home Assistant's test plugin must not give the loop another clock."""
    assert "time" not in vars(current_loop())


async def test_a_wait_takes_its_time_and_no_real_time() -> None:
    """An hour passes on the loop's clock in almost no real time."""
    loop = asyncio.get_running_loop()
    start, real = loop.time(), time.thread_time()
    await asyncio.sleep(3600)
    assert 3600 <= loop.time() - start < 3600.1
    assert time.thread_time() - real < 60


async def test_a_call_that_blocks_takes_no_time() -> None:
    """It is like a stopped machine, or one that runs something else."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    time.sleep(0.1)  # noqa: ASYNC251 - as a machine does that is stopped
    await asyncio.sleep(0)
    assert loop.time() - start < 0.01


async def test_no_time_passes_while_a_thread_works() -> None:
    """A timer does not end before the thread."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as pool:
        work = loop.run_in_executor(pool, time.sleep, 0.1)
        done, _ = await asyncio.wait({work}, timeout=0.05)
    assert done == {work}


async def test_no_time_passes_while_threads_end() -> None:
    """The limit for the threads to end is not skipped."""
    loop = current_loop()
    executor = ThreadPoolExecutor(1)
    loop.set_default_executor(executor)
    executor.submit(time.sleep, 0.1)
    start = loop.time()
    await loop.shutdown_default_executor(300)
    assert loop.time() - start < 1


async def test_bytes_come_before_the_clock_skips() -> None:
    """Sent bytes are read before a later timer ends."""
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
    """A task that only yields would run forever."""

    async def spin() -> None:
        for _ in itertools.count():
            await asyncio.sleep(0)

    with pytest.raises(StuckError, match="rounds of the loop"):
        run_virtually(spin())


def test_a_loop_that_waits_for_ever_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a timer and without bytes nothing can happen."""
    monkeypatch.setattr("tests.api.virtual_loop._DEADLOCK", 0.01)

    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(StuckError, match="Nobody waits"):
        run_virtually(wait())


def test_a_loop_that_goes_on_for_ever_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """This works even if the error of a timeout is caught in a callback."""
    monkeypatch.setattr("tests.api.virtual_loop._REAL_MOST", 0.1)

    async def poll() -> None:
        for _ in itertools.count():
            await asyncio.sleep(1)

    with pytest.raises(StuckError, match="Still running"):
        run_virtually(poll())


def test_a_paced_loop_takes_real_time() -> None:
    """Another process gets the time that it expects."""
    loop = VirtualLoop(paced=True)
    start, real = loop.time(), time.monotonic()
    loop.run_until_complete(asyncio.sleep(0.1))
    assert loop.time() - start >= 0.1
    assert time.monotonic() - real >= 0.1
    loop.close()


def test_a_paced_loop_ignores_a_standstill() -> None:
    """A standstill does not count, neither in a callback nor before a late timer."""
    loop = VirtualLoop(paced=True)
    start = loop.time()

    async def stand_still() -> None:
        loop.call_later(0.01, time.sleep, 0.5)
        await asyncio.sleep(0.02)

    loop.run_until_complete(stand_still())
    assert loop.time() - start < 0.25
    loop.close()

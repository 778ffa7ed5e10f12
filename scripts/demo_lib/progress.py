"""Print the demo's progress."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
import time

DOT_EVERY = 2.0
POLL = 0.1


class DemoError(Exception):
    """The demo cannot continue; the message gives the reason."""


@asynccontextmanager
async def step(title: str) -> AsyncIterator[None]:
    """Print a step, a dot every two seconds, and its duration."""
    print(f"  {title} ... ", end="", flush=True)
    start = time.monotonic()
    dots = asyncio.create_task(_print_dots())
    outcome = "failed"
    try:
        yield
        outcome = "done"
    except asyncio.CancelledError:
        outcome = "stopped"
        raise
    finally:
        dots.cancel()
        print(f"{outcome} ({time.monotonic() - start:.1f} s)", flush=True)


async def _print_dots() -> None:
    while True:
        await asyncio.sleep(DOT_EVERY)
        print(".", end="", flush=True)


async def until[T](
    ask: Callable[[], Awaitable[T]], good: Callable[[T], object], timeout: float
) -> T:
    """Poll until the answer is good or the timeout is over; return the last answer."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout
    while True:
        answer = await ask()
        if good(answer) or loop.time() > end:
            return answer
        await asyncio.sleep(POLL)

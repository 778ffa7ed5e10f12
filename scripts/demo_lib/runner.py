"""Run a coroutine until it ends or a signal arrives."""

import asyncio
from collections.abc import Coroutine, Iterator
import signal
import sys

from .progress import DemoError

INTERRUPTED = 130


def run(main: Coroutine[object, object, None], interrupted: int = INTERRUPTED) -> int:
    """Run a coroutine and return the exit code, which is `interrupted` after a signal."""
    code = 1
    try:
        code = 0 if asyncio.run(_until_signaled(main)) else interrupted
    except* DemoError as group:
        for error in leaves(group):
            print(f"\n{error}", file=sys.stderr)
    return code


async def _until_signaled(main: Coroutine[object, object, None]) -> bool:
    """Return whether the coroutine ended without a signal."""
    task = asyncio.create_task(main)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    return not task.cancelled() and task.result() is None


def leaves(group: BaseExceptionGroup[DemoError]) -> Iterator[DemoError]:
    """Yield the errors in nested groups."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from leaves(each)
        else:
            yield each

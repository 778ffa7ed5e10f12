"""Run until the end, or until somebody asks for it."""

import asyncio
from collections.abc import Coroutine, Iterator
import signal
import sys

from .progress import DemoError

INTERRUPTED = 130


def run(main: Coroutine[object, object, None], interrupted: int = INTERRUPTED) -> int:
    """Return the exit code: `interrupted` after Ctrl-C or the like."""
    code = 1
    try:
        code = 0 if asyncio.run(_until_signaled(main)) else interrupted
    except* DemoError as group:
        for error in leaves(group):
            print(f"\n{error}", file=sys.stderr)
    return code


async def _until_signaled(main: Coroutine[object, object, None]) -> bool:
    """Return whether it ran to its own end."""
    task = asyncio.create_task(main)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    return not task.cancelled() and task.result() is None


def leaves(group: BaseExceptionGroup[DemoError]) -> Iterator[DemoError]:
    """Yield the errors of a group of groups."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from leaves(each)
        else:
            yield each

"""Run until the end, or until somebody asks for it."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import suppress
import signal
import sys

from .progress import DemoError

INTERRUPTED = 130


def run(main: Coroutine[object, object, None], interrupted: int = INTERRUPTED) -> int:
    """Return the exit code: `interrupted` after Ctrl-C or the like."""
    errors: list[DemoError] = []
    ended = False
    try:
        ended = asyncio.run(_until_told(main))
    except* DemoError as group:
        errors += leaves(group)
    for error in errors:
        print(f"\n{error}", file=sys.stderr)
    if errors:
        return 1
    return 0 if ended else interrupted


async def _until_told(main: Coroutine[object, object, None]) -> bool:
    """Return whether it ran to its own end."""
    task = asyncio.create_task(main)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
    return not task.cancelled()


def leaves(group: BaseExceptionGroup[DemoError]) -> Iterator[DemoError]:
    """Yield the errors of a group of groups."""
    for each in group.exceptions:
        if isinstance(each, BaseExceptionGroup):
            yield from leaves(each)
        else:
            yield each

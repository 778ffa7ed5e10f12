"""The tasks of one monitor, which end with it."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any


class Tasks:
    """Starts tasks, and ends those that are left."""

    def __init__(self) -> None:
        """Start without any."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._goodbyes: set[asyncio.Task[Any]] = set()
        """Those that end soon by themselves: cancelled before their first step they would leave a socket."""

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        """Iterate over the tasks under way."""
        return iter(tuple(self._tasks))

    def __len__(self) -> int:
        """Return how many tasks are under way."""
        return len(self._tasks)

    def spawn[ResultT](
        self, coroutine: Coroutine[Any, Any, ResultT], name: str
    ) -> asyncio.Task[ResultT]:
        """Run a task."""
        task = asyncio.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def say_goodbye(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run a task that closes something, which even the end awaits."""
        task = self.spawn(coroutine, name)
        self._goodbyes.add(task)
        task.add_done_callback(self._goodbyes.discard)

    def cancel(self) -> None:
        """Start to end all but the goodbyes."""
        for task in self._tasks - self._goodbyes:
            task.cancel()

    async def wait(self) -> None:
        """Return when none is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)

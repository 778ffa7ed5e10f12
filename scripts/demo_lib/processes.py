"""Child processes: started, watched, and ended by their own id."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
import os
from pathlib import Path
import signal

from scripts.setup_env.steps import ROOT, environ

from .progress import DemoError

# Stand-ins for what Home Assistant imports and no wheel exists of
STUBS = ROOT / "scripts" / "stubs"

GRACE = 20.0
TAIL_LINES = 25
LINE = 200


@dataclass
class Child:
    """A process, or the one that came after it."""

    process: Process


@asynccontextmanager
async def child(
    name: str, args: Sequence[str], log: Path, *, restart_code: int | None = None
) -> AsyncIterator[Child]:
    """Run a process, again each time it ends with `restart_code`.

    If it dies, the body ends with an error that shows the end of its log.
    """
    async with asyncio.TaskGroup() as group:
        running = Child(await _start(args, log))

        async def watch() -> None:
            while (code := await running.process.wait()) == restart_code:
                running.process = await _start(args, log)
            raise trouble(f"{name} ended with {code}.", log)

        watcher = group.create_task(watch())
        try:
            yield running
        finally:
            watcher.cancel()
            await _end(running.process)


async def _start(args: Sequence[str], log: Path) -> Process:
    """Start a process whose output is added to its log."""
    with log.open("ab") as file:
        return await asyncio.create_subprocess_exec(
            *args,
            cwd=ROOT,
            env=environ({"PYTHONPATH": str(STUBS)}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C is for the demo alone: it ends its children in order.
            start_new_session=True,
        )


async def _end(process: Process) -> None:
    """Ask a process to end; kill it when it does not, or at a second Ctrl-C."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
    try:
        async with asyncio.timeout(GRACE):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            # It leads a group of its own, which holds only what it started
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def trouble(text: str, log: Path) -> DemoError:
    """Return an error that shows the end of a log."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return DemoError("\n".join([text, *(f"    {line[:LINE]}" for line in lines)]))

"""Start, monitor and stop child processes."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
import os
from pathlib import Path
import signal

from scripts.setup_env.steps import ROOT, environ

from .progress import DemoError

# Stubs of libraries that Home Assistant imports and that have no wheels
STUBS = ROOT / "scripts" / "stubs"

GRACE = 20.0
TAIL_LINES = 25
LINE = 200


@asynccontextmanager
async def child(name: str, args: Sequence[str], log: Path) -> AsyncIterator[Process]:
    """Run a process; if it exits, raise an error with the end of its log in the body."""
    async with asyncio.TaskGroup() as group:
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *args,
                cwd=ROOT,
                env=environ({"PYTHONPATH": str(STUBS)}),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=asyncio.subprocess.STDOUT,
                # Only the demo receives Ctrl-C, so that it can stop its children in order.
                start_new_session=True,
            )
        watcher = group.create_task(_watch(name, process, log))
        try:
            yield process
        finally:
            watcher.cancel()
            await _end(process)


async def _watch(name: str, process: Process, log: Path) -> None:
    code = await process.wait()
    raise trouble(f"{name} ended with {code}.", log)


async def _end(process: Process) -> None:
    """Terminate a process; kill it if it does not exit in time, or at a second Ctrl-C."""
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
            # Its process group holds only itself and its children
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def trouble(text: str, log: Path) -> DemoError:
    """Return an error with the end of a log."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL_LINES:]
    return DemoError("\n".join([text, *(f"    {line[:LINE]}" for line in lines)]))

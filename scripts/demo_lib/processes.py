"""Child processes: started, watched, and ended by their own id."""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
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


@asynccontextmanager
async def child(name: str, args: Sequence[str], log: Path) -> AsyncIterator[Process]:
    """Run a process; if it dies, the body ends with an error that shows the end of its log."""
    async with asyncio.TaskGroup() as group:
        with log.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                *args,
                cwd=ROOT,
                env=environ({"PYTHONPATH": str(STUBS)}),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=file,
                stderr=asyncio.subprocess.STDOUT,
                # Ctrl-C is for the demo alone: it ends its children in order.
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

"""Fixtures that run real Socket.IO servers in processes, controlled by the tests."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
import json
from pathlib import Path
import signal
import sys
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "custom_components" / "metaapi"

if str(CLIENT) not in sys.path:
    sys.path.append(str(CLIENT))

from tests.api.loopback import (  # noqa: E402 - it needs the path
    PATIENCE,
    events,
    eventually,
    loopback,
    nothing_left,
    session,
    sockets,
)
from tests.api.virtual_loop import (  # noqa: E402 - as the others
    configure_event_loop,
    enable_event_loop_debug,
    paced_loops as pytest_asyncio_loop_factories,
)

__all__ = [
    "configure_event_loop",
    "enable_event_loop_debug",
    "events",
    "loopback",
    "nothing_left",
    "pytest_asyncio_loop_factories",
    "session",
    "sockets",
]

ENVIRONMENT = ROOT / ".venvs" / "node"
NODE = ENVIRONMENT / "node"
MODULES = ENVIRONMENT / "node_modules"
SCRIPT = Path(__file__).parent / "node" / "server.js"

VERSIONS = {"2": "2.5.1", "4": "4.8.4"}
"""The servers: `socket.io` 2, and 4 with `allowEIO3`."""

INTERVAL = 1.0
TIMEOUT = 2.0


class Server:
    """A Socket.IO server that reports what it receives and takes orders."""

    def __init__(self, version: str, process: Process) -> None:
        """Store the started process."""
        self.version = version
        self.process = process
        self.reports: list[dict[str, Any]] = []
        self.port = 0
        self._reading = asyncio.create_task(self._read())

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://127.0.0.1:{self.port}"

    def seen(self, what: str) -> list[dict[str, Any]]:
        """Return the reports of a type."""
        return [report for report in self.reports if report["what"] == what]

    async def wait(
        self, what: str, count: int = 1, patience: float = PATIENCE
    ) -> dict[str, Any]:
        """Wait until `count` reports of a type have come, and return the last of these."""
        await eventually(
            lambda: len(self.seen(what)) >= count or self._reading.done(), patience
        )
        found = self.seen(what)
        assert len(found) >= count, f"the server ended after {self.reports}"
        return found[count - 1]

    def send(self, order: str, **more: Any) -> None:
        """Send an order."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"order": order, **more}).encode() + b"\n")

    def freeze(self) -> None:
        """Suspend the process; its connections stay open."""
        self.process.send_signal(signal.SIGSTOP)

    async def kill(self) -> None:
        """Kill the process."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        await self._reading

    async def _read(self) -> None:
        """Store the reports."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.reports.append(json.loads(line))


type Serve = Callable[..., Awaitable[Server]]


@pytest.fixture(scope="session")
def node() -> str:
    """Return Node's real binary; fail, not skip, if it or a server is missing."""
    for number, version in VERSIONS.items():
        package = MODULES / f"socket.io-{number}" / "package.json"
        if not NODE.exists() or not package.exists():
            pytest.fail(
                f"{package.parent} or {NODE} is missing: scripts/test creates them"
            )
        assert json.loads(package.read_text("utf-8"))["version"] == version
    return str(NODE.resolve())


@pytest.fixture
async def serve(node: str, nothing_left: None) -> AsyncIterator[Serve]:
    """Return a function that starts servers, which end with the test."""
    servers: list[Server] = []

    async def start(version: str, **options: Any) -> Server:
        options = {
            "pingInterval": int(INTERVAL * 1000),
            "pingTimeout": int(TIMEOUT * 1000),
        } | options
        process = await asyncio.create_subprocess_exec(
            node,
            SCRIPT,
            version,
            json.dumps(options),
            stdin=PIPE,
            stdout=PIPE,
            env={"NODE_PATH": str(MODULES)},
        )
        server = Server(version, process)
        servers.append(server)
        server.port = (await server.wait("listening"))["port"]
        return server

    yield start
    for server in servers:
        await server.kill()


@pytest.fixture(params=VERSIONS)
async def server(request: pytest.FixtureRequest, serve: Serve) -> Server:
    """Run a server of each version."""
    return await serve(request.param)

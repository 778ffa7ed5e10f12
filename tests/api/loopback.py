"""Support for tests with real sockets: fixtures, waiting, and checks for leaks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
import gc
import logging
from pathlib import Path
import traceback
from typing import Any

import aiohttp
from api.timing import Timing
from api.transport.channel import socket_headers, socket_params
from api.transport.engineio3 import EngineIO3
from api.transport.socketio2 import Socket
import pytest
import pytest_socket

PATIENCE = 10.0
"""Seconds to wait for a condition."""

TOKEN = "eyJhbGciOiJub25lIn0.eyJfaWQiOiJvd25lciJ9.c2VjcmV0LXNpZ25hdHVyZQ"

LOOPBACK = Timing(ping_timeout_least=0.05)
"""The client's timing, except that servers of tests may be faster."""

REFUSED_TLS = "Error on transport creation for incoming connection"
"""What a loop in debug mode logs about a server, here a test's, whose certificate was refused."""

STRICT = [
    pytest.mark.filterwarnings("error::ResourceWarning"),
    pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning"),
]
"""Marks of a module in which a test fails if it does not close its resources."""

OURS = ("metaapi", "socketio", "engineio", "aiohttp")


async def eventually[T](condition: Callable[[], T], patience: float = PATIENCE) -> T:
    """Wait until a condition is true, and return its value."""
    deadline = asyncio.get_running_loop().time() + patience
    while not (found := condition()):
        if asyncio.get_running_loop().time() > deadline:
            raise AssertionError(
                f"still not so after {patience} s: {_source(condition)}"
            )
        await asyncio.sleep(0.002)
    return found


def _source(condition: Callable[[], Any]) -> str:
    """Return the location of a condition."""
    code = condition.__code__
    return f"{code.co_filename}:{code.co_firstlineno}"


def own_connections() -> dict[str, tuple[int, int]]:
    """Return this process's TCP connections from the operating system.

    The key is the socket's inode, the value its local and remote port. Listening sockets are excluded.
    """
    inodes = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            target = str(entry.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    found = {}
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        _, local, remote, state, *rest = line.split()
        if (inode := rest[5]) in inodes and state != "0A":
            found[inode] = (int(local[-4:], 16), int(remote[-4:], 16))
    return found


def connections_to(port: int) -> list[str]:
    """Return the sockets of this process that are connected to a port."""
    return [inode for inode, (_, remote) in own_connections().items() if remote == port]


def find_leaks(secret: str, error: BaseException) -> list[str]:
    """Return every place with a secret in an exception and in everything attached to it."""
    found = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        waiting += [link.__cause__, link.__context__]
        texts = {
            "str": str(link),
            "repr": repr(link),
            "args": repr(link.args),
            "vars": repr(vars(link)),
            "notes": repr(getattr(link, "__notes__", "")),
            "doc": repr(getattr(link, "doc", "")),
            "traceback": "".join(traceback.format_exception(link)),
        }
        found += [
            f"{type(link).__name__}: {where}"
            for where, text in texts.items()
            if secret in text
        ]
    return found


def find_logged(secret: str, records: list[logging.LogRecord]) -> list[str]:
    """Return every log record with a secret in its message, arguments or traceback."""
    found = []
    for record in records:
        texts = [
            record.getMessage(),
            repr(record.msg),
            repr(record.args),
            repr(vars(record)),
        ]
        if record.exc_info and record.exc_info[1]:
            error = record.exc_info[1]
            texts += [
                "".join(traceback.format_exception(error)),
                *find_leaks(secret, error),
            ]
        if any(secret in text for text in texts):
            found.append(f"{record.name}: {record.getMessage()}")
    return found


class Events(list[tuple[str, Any]]):
    """The events that a socket passed on."""

    def __call__(self, name: str, argument: Any) -> None:
        """Record an event."""
        self.append((name, argument))


class Sockets:
    """Creates sockets, which are closed at the end of the test."""

    def __init__(self, session: aiohttp.ClientSession, events: Events) -> None:
        """Start without sockets."""
        self.session = session
        self.events = events
        self.made: list[Socket] = []

    def make(self, **options: Any) -> Socket:
        """Create a socket that is not connected; `timing` and `redact` are those of `Socket`."""
        timing = options.pop("timing", LOOPBACK)
        on_event = options.pop("on_event", self.events)
        socket = Socket(
            partial(EngineIO3, self.session, timing), on_event, timing=timing, **options
        )
        self.made.append(socket)
        return socket

    async def connect(self, url: str, token: str = TOKEN, **options: Any) -> Socket:
        """Create a socket and connect it as the client does."""
        socket = self.make(**options)
        await socket.connect(url, socket_params(token, "0.5"), socket_headers("0.5"))
        return socket

    async def close(self) -> None:
        """Close all sockets and release them, so that leaks are found."""
        for socket in self.made:
            await socket.close()
        self.made.clear()


@pytest.fixture(autouse=True)
def loopback() -> None:
    """Allow connections to this machine only, which Home Assistant's plugin forbids."""
    pytest_socket.enable_socket()
    pytest_socket.socket_allow_hosts(["127.0.0.1"])


@pytest.fixture
async def nothing_left(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fail a test that leaves tasks, sockets, unhandled errors, or warnings in the log.

    A test that expects warnings checks them and then clears `caplog`.
    """
    loop = asyncio.get_running_loop()
    faults: list[str] = []
    handler = loop.get_exception_handler()

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context["message"] != REFUSED_TLS:
            faults.append(str(context))

    loop.set_exception_handler(note)
    loop.set_debug(
        False
    )  # it keeps a stack for each step, which these tests have many of
    connections = own_connections()
    gc.freeze()  # what is there already need not be looked at again
    yield
    await eventually(lambda: own_connections().keys() <= connections.keys())
    await eventually(lambda: asyncio.all_tasks() <= {asyncio.current_task()})
    records = caplog.get_records("call")
    worrying = [
        record.getMessage()
        for record in records
        if record.levelno >= logging.WARNING and record.name.startswith(OURS)
    ]
    records.clear()  # their arguments keep alive what is looked for next
    gc.collect()
    gc.unfreeze()
    await asyncio.sleep(0)
    loop.set_exception_handler(handler)
    if faults:
        pytest.fail(f"The loop reported errors: {faults}")
    if worrying:
        pytest.fail(f"Logged: {worrying}")


@pytest.fixture
async def session(nothing_left: None) -> AsyncIterator[aiohttp.ClientSession]:
    """Return an HTTP session; check that nothing on it outlives the test."""
    async with aiohttp.ClientSession() as client_session:
        yield client_session


@pytest.fixture
def events() -> Events:
    """Return the events of the sockets."""
    return Events()


@pytest.fixture
async def sockets(
    session: aiohttp.ClientSession, events: Events
) -> AsyncIterator[Sockets]:
    """Return the factory of sockets."""
    made = Sockets(session, events)
    yield made
    await made.close()

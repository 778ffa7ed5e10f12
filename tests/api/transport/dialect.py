"""Support for the tests of both dialects with a hand-written server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
import ssl

import aiohttp
from api.timing import Timing
from api.transport.socketio2 import Socket
from hypothesis import Phase, given, settings, strategies as st
import pytest

from tests.api.loopback import Events, Sockets, connections_to, eventually
from tests.api.raw import CONNECTED, Peer, Raw, Script, opening, upgrade

SLACK = 0.4
"""How much later than promised is still in time, in seconds: machines are busy."""


CERTIFICATE = Path(__file__).parents[1] / "loopback.pem"


QUICK = Timing(connect=5, close=0.2, ping_timeout_least=0.05)


def now() -> float:
    """Return the event loop's time."""
    return asyncio.get_running_loop().time()


def loops_of_sockets() -> list[str]:
    """Return the names of sockets' running tasks."""
    return [
        task.get_name()
        for task in asyncio.all_tasks()
        if task.get_name().startswith("metaapi socket")
    ]


async def is_gone(server: Raw) -> None:
    """Wait until nothing of a socket to a server is left on our side."""
    await eventually(lambda: not loops_of_sockets())
    await eventually(lambda: not connections_to(server.port))


def saying(*texts: str) -> Script:
    """Return the script of a server that upgrades, sends these frames, and then serves."""

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        for text in texts:
            peer.send(text)
        await peer.serve()

    return script


STAGES: dict[str, list[str]] = {
    "accepted": [],
    "upgraded": ["switch"],
    "opened": ["switch", opening()],
}


def stuck(stage: str) -> tuple[Script, asyncio.Event]:
    """Return the script of a server that stops at a stage, and an event for that."""
    there = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        for step in STAGES[stage]:
            if step == "switch":
                peer.switch()
            else:
                peer.send(step)
        await peer.writer.drain()
        there.set()
        await peer.serve()

    return script, there


def silent_after_connect() -> tuple[Script, asyncio.Event]:
    """Return the script of a server that connects and then neither reads nor writes."""
    there = asyncio.Event()

    async def script(peer: Peer) -> None:
        await upgrade(peer)
        peer.send(opening())
        peer.send(CONNECTED)
        await peer.writer.drain()
        there.set()
        await peer.hold()

    return script, there


async def fill_send_buffer(socket: Socket) -> None:
    """Send until the buffer is full."""
    transport = socket._client.engine._connection
    for _ in range(10):
        await socket.emit("request", {"type": "x" * 1_000_000})
    sizes = [0]

    def stuck() -> bool:
        sizes.append(transport.get_write_buffer_size())
        return len(sizes) > 20 and len(set(sizes[-20:])) == 1 and sizes[-1] > 0

    await eventually(stuck)


def server_tls() -> ssl.SSLContext:
    """Return the server's SSL context."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE)
    return context


@pytest.fixture
async def any_sockets(nothing_left: None, events: Events) -> AsyncIterator[Sockets]:
    """Create sockets that trust the tests' certificate."""
    context = ssl.create_default_context(cafile=CERTIFICATE)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector) as session:
        made = Sockets(session, events)
        yield made
        await made.close()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


# Frames that close the socket, and pings, have other tests.
ENDING = ("1", "41", "44")


TEXTS = st.one_of(
    st.text(max_size=40),
    st.builds(str.__add__, st.text("0123456789", max_size=4), st.text(max_size=20)),
    st.builds(
        str.__add__,
        st.sampled_from(["4", "42", "43", "40", "45", "46", "0", "3", "42/", "40/"]),
        st.text('0123456789[]{}",:-/ae\\\u00e9', max_size=30),
    ),
)


# The leak check looks for references, which a frozen garbage collector does not show.
RANDOM = pytest.mark.filterwarnings("ignore:.*register_random")


def drawn(strategy: st.SearchStrategy[str]) -> list[str]:
    """Return 300 examples of a strategy."""
    examples: list[str] = []

    @settings(
        max_examples=300,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
    )
    @given(strategy)
    def collect(text: str) -> None:
        examples.append(text)

    collect()
    return examples

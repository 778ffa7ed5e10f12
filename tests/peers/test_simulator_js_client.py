"""Test the simulator with socket.io-client 2.4.0 for JavaScript, which MetaApi's SDK uses."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from functools import partial
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_socket

from simulator import SimAccount, Simulator
from simulator.framing import MAX_FRAME

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "node"
ENVIRONMENT = ROOT / ".venvs" / "node"
NODE = ENVIRONMENT / "node"
PACKAGE = ENVIRONMENT / "node_modules" / "socket.io-client-2" / "package.json"
DEADLINE = 20.0

PAGE_ACCOUNT = "865d3a4d-3803-486d-bdf3-a85679d9fad2"
PAGE_REQUEST = "9eb3a9fc-4cb4-4c1a-b7fb-1140a8ed29c9"
PAGE_URL = "https://mt-client-api-v1.agiliumtrade.agiliumtrade.ai"


@pytest.fixture(autouse=True)
def loopback(socket_enabled: None) -> None:
    """Allow connections to this machine, which Home Assistant's plugin forbids."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"])


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    """Fail, not skip, if the client is missing."""
    if not NODE.exists() or not PACKAGE.exists():
        pytest.fail(
            f"{ENVIRONMENT} has no Node or no socket.io-client-2: scripts/test makes it"
        )
    assert json.loads(PACKAGE.read_text("utf-8"))["version"] == "2.4.0"


class JavaScript:
    """A client in its own process."""

    def __init__(self, process: Process) -> None:
        """Store the process."""
        self.process = process

    async def line(self, timeout: float = DEADLINE) -> Any:
        """Return the next line of its output."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout):
            return json.loads(await self.process.stdout.readline())

    async def until(self, event: str, timeout: float = DEADLINE) -> Any:
        """Return the data of the next event with this name."""
        async with asyncio.timeout(timeout):
            while (line := await self.line(timeout))["event"] != event:
                # A failed poll is reported as an error first.
                assert event == "disconnect" or "error" not in line["event"], line
        return line["data"]

    async def emit(self, request: Any) -> None:
        """Make the client emit a request."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        await self.process.stdin.drain()

    async def subscribe(self, account_id: str) -> None:
        """Make the client subscribe."""
        await self.emit(
            {"type": "subscribe", "accountId": account_id, "requestId": "r"}
        )


class Clients:
    """Starts clients, and stops them."""

    def __init__(self) -> None:
        """Start without clients."""
        self.running: list[Process] = []

    async def __call__(
        self, sim: Simulator, *, token: str | None = None, **options: Any
    ) -> JavaScript:
        """Start the driver."""
        query = {"auth-token": token or sim.token} | options.pop("query", {})
        arguments = json.dumps({"url": sim.url, "options": {"query": query} | options})
        return await self.run(str(HERE / "client_driver.js"), arguments)

    async def run(self, *arguments: str, source: str = "") -> JavaScript:
        """Start Node."""
        process = await asyncio.create_subprocess_exec(
            NODE,
            # Node's own WebSocket, newer than the client, does not report why a handshake failed
            "--no-experimental-websocket",
            *arguments,
            cwd=ENVIRONMENT,
            env={"NODE_PATH": str(ENVIRONMENT / "node_modules"), "NO_COLOR": "1"},
            stdin=PIPE,
            stdout=PIPE,
            limit=MAX_FRAME,
        )
        self.running.append(process)
        if source:
            assert process.stdin is not None
            process.stdin.write(source.encode())
            process.stdin.close()
        return JavaScript(process)

    async def close(self) -> None:
        """Stop all clients."""
        for process in self.running:
            if process.returncode is None:
                process.kill()
            await process.communicate()


@pytest.fixture
async def start() -> AsyncIterator[Clients]:
    """Return the factory of clients."""
    clients = Clients()
    yield clients
    await clients.close()


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Run a simulator with the account of the documentation's page."""
    async with Simulator(
        accounts=[SimAccount(id=PAGE_ACCOUNT, name="Ä😀")],
        status_interval=0.05,
        subscribe_timeout=0.2,
        reconnect_delay=0.1,
    ) as simulator:
        yield simulator


async def test_sample_of_the_documentation(sim: Simulator, start: Clients) -> None:
    """It runs unchanged, except URL, token and the package's name, and prints both responses."""
    sample = (HERE / "client_seed_page.js").read_text("utf-8")
    for old, new in (
        (PAGE_URL, sim.url),
        ("'socket.io-client'", "'socket.io-client-2'"),
        ("'token'", json.dumps(sim.token)),
    ):
        assert sample.count(old) == 1
        sample = sample.replace(old, new)
    # Print JSON, so that the test can read it.
    prelude = (
        "console.log = (what) => process.stdout.write(JSON.stringify(what) + '\\n');\n"
    )
    sim.wire.minimal_authenticated = True
    client = await start.run("--input-type=module", "-", source=prelude + sample)
    assert await client.line() == {
        "type": "response",
        "requestId": PAGE_REQUEST,
        "accountId": PAGE_ACCOUNT,
    }
    assert await client.line() == {"type": "authenticated", "accountId": PAGE_ACCOUNT}
    assert [each.payload for each in sim.requests] == [
        {"accountId": PAGE_ACCOUNT, "type": "reconnect", "requestId": PAGE_REQUEST}
    ]
    (socket,) = sim.sockets
    assert socket.connects == 1
    assert socket.bad_frames == 0
    assert "protocol" not in socket.query
    assert len(sim.handshakes) == 1


@pytest.mark.parametrize(
    "transports", [["polling", "websocket"], ["websocket"], ["polling"]]
)
@pytest.mark.parametrize("protocol", [None, "3"])
async def test_requests_and_events(
    sim: Simulator, start: Clients, transports: list[str], protocol: str | None
) -> None:
    """All transports work; payloads are text if the query has a protocol, else objects."""
    query = {} if protocol is None else {"protocol": protocol}
    client = await start(sim, transports=transports, query=query)
    await client.until("connect")
    if transports == ["polling", "websocket"]:
        assert await client.until("upgrade") == "websocket"
    await client.emit(
        {
            "type": "subscribe",
            "accountId": PAGE_ACCOUNT,
            "requestId": "r1",
            "sessionId": "ä😀",
        }
    )

    async def read(event: str) -> Any:
        data = await client.until(event)
        assert isinstance(data, dict if protocol is None else str)
        return json.loads(data) if isinstance(data, str) else data

    assert (await read("response"))["requestId"] == "r1"
    authenticated = await read("synchronization")
    assert (authenticated["type"], authenticated["sessionId"]) == (
        "authenticated",
        "ä😀",
    )
    assert (await read("synchronization"))["type"] == "status"
    await client.emit({"type": "subscribe", "accountId": "nobody", "requestId": "r2"})
    error = await client.until("processingError")
    assert (error["error"], error["requestId"]) == ("NotFoundError", "r2")
    (socket,) = sim.sockets
    assert (socket.connects, socket.bad_frames) == (1, 0)
    assert socket.upgraded is (len(transports) == 2)


async def test_ten_ping_periods(sim: Simulator, start: Clients) -> None:
    """The client pings, gets its pongs, and stays connected."""
    sim.timing.ping_interval, sim.timing.ping_timeout = 0.2, 2.0
    client = await start(sim)
    await client.until("connect")
    for _ in range(12):
        await client.until("pong")
    assert sim.sockets[0].pings >= 12
    assert len(sim.handshakes) == 1
    assert not sim.past_sockets


async def test_frozen_server(sim: Simulator, start: Clients) -> None:
    """The client notices it within pingInterval and pingTimeout."""
    sim.timing.ping_interval, sim.timing.ping_timeout = 0.3, 0.3
    client = await start(sim)
    await client.until("pong")
    sim.freeze()
    begin = asyncio.get_running_loop().time()
    assert await client.until("disconnect") == "ping timeout"
    assert asyncio.get_running_loop().time() - begin < 2
    sim.unfreeze()
    await sim.wait_for(lambda: not sim.sockets)


@pytest.mark.parametrize(
    "transports", [["websocket"], ["polling"], ["polling", "websocket"]]
)
async def test_server_closes(
    sim: Simulator, start: Clients, transports: list[str]
) -> None:
    """The client reports each way of closing."""
    ends: list[tuple[Callable[[], int], tuple[str, ...]]] = [
        (sim.close_sockets, ("io server disconnect",)),
        (sim.disconnect_sockets, ("io server disconnect",)),
        (partial(sim.close_sockets, namespace=False), ("transport close",)),
        (
            partial(sim.close_sockets, namespace=False, packet=False),
            ("transport close",),
        ),
        (sim.drop_sockets, ("transport close", "transport error")),
    ]
    for end, reasons in ends:
        client = await start(sim, transports=transports)
        await client.until("connect")
        if len(transports) == 2:
            await client.until("upgrade")
        await client.subscribe(PAGE_ACCOUNT)
        await client.until("synchronization")
        assert end() == 1
        assert await client.until("disconnect") in reasons
        await sim.wait_for(lambda: not sim.sockets)


async def test_error_packet(sim: Simulator, start: Clients) -> None:
    """It is an error on an open socket."""
    client = await start(sim)
    await client.until("connect")
    sim.send_error_packet({"message": "no"})
    assert (await client.line())["event"] in ("error", "upgrade")
    sim.send_error_packet("again")
    while (line := await client.line())["event"] != "error" or line["data"] != "again":
        pass
    await client.subscribe(PAGE_ACCOUNT)
    await client.until("response")


@pytest.mark.parametrize("transports", [["websocket"], ["polling"]])
async def test_bad_token(sim: Simulator, start: Clients, transports: list[str]) -> None:
    """The client reports each way of refusing it."""
    client = await start(sim, token="bad", transports=transports)
    line = await client.line()
    assert line["event"] == "connect_error"
    assert line["data"] in (401, "Unexpected server response: 401")
    sim.wire.bad_token = "error_packet"
    client = await start(sim, token="bad", transports=transports)
    assert await client.line() == {"event": "error", "data": "Authentication error"}
    sim.wire.bad_token = "close"
    client = await start(sim, token="bad", transports=transports)
    await client.until("connect")
    assert await client.until("disconnect") == "io server disconnect"
    sim.wire.bad_token = "processing_error"
    client = await start(sim, token="bad", transports=transports)
    await client.until("connect")
    await client.subscribe(PAGE_ACCOUNT)
    assert (await client.until("processingError"))["error"] == "UnauthorizedError"


async def test_client_closes(sim: Simulator, start: Clients) -> None:
    """The end of the process closes the socket."""
    client = await start(sim)
    await client.until("upgrade")
    client.process.kill()
    await sim.wait_for(lambda: not sim.sockets)


async def test_big_frame(sim: Simulator, start: Clients) -> None:
    """A frame of 2 MB arrives completely."""
    client = await start(sim, transports=["websocket"])
    await client.until("connect")
    sim.inject('42["synchronization",{"type":"x","data":"' + "x" * 2_000_000 + '"}]')
    assert len((await client.until("synchronization"))["data"]) == 2_000_000

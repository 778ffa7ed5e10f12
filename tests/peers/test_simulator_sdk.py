"""Test the simulator with MetaApi's Python SDK 29.1.1."""

import asyncio
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
import json
from pathlib import Path
from typing import Any

import pytest
import pytest_socket

from simulator import PER_USER, Simulator

pytestmark = pytest.mark.peers

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venvs" / "sdk" / "bin" / "python"
DEADLINE = 30.0


@pytest.fixture(autouse=True)
def loopback(socket_enabled: None) -> None:
    """Allow connections to this machine, which Home Assistant's plugin forbids."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"])


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    """Fail, not skip, if the SDK is missing."""
    found = list(
        (ROOT / ".venvs" / "sdk").glob(
            "lib/*/site-packages/metaapi_cloud_sdk-*.dist-info"
        )
    )
    if not PYTHON.exists() or not found:
        pytest.fail(f"{PYTHON} has no MetaApi SDK: scripts/test makes it")
    assert [each.name for each in found] == ["metaapi_cloud_sdk-29.1.1.dist-info"]


class Sdk:
    """The SDK in its own process."""

    def __init__(self, process: Process) -> None:
        """Store the process."""
        self.process = process
        self.seen: list[dict[str, Any]] = []

    async def until(self, event: str, **fields: Any) -> dict[str, Any]:
        """Return the next report that has these fields."""
        assert self.process.stdout is not None
        wanted = {"event": event} | fields
        async with asyncio.timeout(DEADLINE):
            while line := await self.process.stdout.readline():
                # The SDK also prints its log to stdout.
                if line.startswith(b'{"event"'):
                    found: dict[str, Any] = json.loads(line)
                    self.seen.append(found)
                    if wanted.items() <= found.items():
                        return found
        raise AssertionError(f"the SDK ended without {wanted}")

    async def do(self, what: str, account_id: str, **fields: Any) -> None:
        """Send an order."""
        assert self.process.stdin is not None
        order = {"do": what, "account": account_id} | fields
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        await self.process.stdin.drain()


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    """Run a simulator."""
    async with Simulator(
        accounts=2,
        status_interval=0.2,
        subscribe_timeout=0.5,
        reconnect_delay=0.2,
        ping_interval=0.5,
        ping_timeout=0.5,
    ) as simulator:
        yield simulator


@pytest.fixture
def websocket() -> bool:
    """Return whether the SDK uses only websockets."""
    return True


@pytest.fixture
async def sdk(sim: Simulator, websocket: bool, tmp_path: Path) -> AsyncIterator[Sdk]:
    """Start the SDK."""
    options = {"url": sim.url, "token": sim.token, "websocket": websocket}
    process = await asyncio.create_subprocess_exec(
        PYTHON,
        Path(__file__).parent / "sdk_client.py",
        json.dumps(options),
        # The SDK writes a folder to its working directory.
        cwd=tmp_path,
        stdin=PIPE,
        stdout=PIPE,
    )
    yield Sdk(process)
    if process.returncode is None:
        process.kill()
    await process.communicate()


@pytest.mark.parametrize("websocket", [True, False])
async def test_life(sim: Simulator, sdk: Sdk, websocket: bool) -> None:
    """Subscribe, connected, broker, terminal dropped, disconnected; then all of it again."""
    account = sim.account
    instance = "london:0:ps-mpa-1"
    await sdk.until("accounts", names=["Swing", "Scalper"])
    await sdk.do("follow", account.id, instance=0)
    assert await sdk.until("connected") == {
        "event": "connected",
        "instance": instance,
        "replicas": 1,
    }
    await sdk.until("broker", instance=instance, connected=True)
    await sdk.until("health", status={"rpcApiHealthy": True})
    sim.set_broker(account.id, False)
    await sdk.until("broker", instance=instance, connected=False)
    sim.set_terminal(account.id, False)
    await sdk.until("disconnected", instance=instance)
    sim.set_broker(account.id, True)
    sim.set_terminal(account.id, True)
    await sdk.until("connected", instance=instance)
    await sdk.until("broker", connected=True)
    (socket,) = sim.subscribed(account.id)
    assert (socket.bad_frames, socket.connects, socket.query["protocol"]) == (0, 1, "3")
    assert socket.pings
    assert socket.upgraded is not websocket
    request = sim.requests_of("subscribe")[0].payload
    assert request["instanceIndex"] == 0
    assert request["application"] == "MetaApi"
    await sdk.do("unsubscribe", account.id)
    await sdk.until("unsubscribed")
    assert not sim.subscribed(account.id)
    assert socket.close_reason is None


async def test_socket_is_lost(sim: Simulator, sdk: Sdk) -> None:
    """The SDK connects and subscribes again by itself, with another client and session id."""
    account = sim.account.id
    await sdk.do("follow", account, instance=0)
    await sdk.until("connected")
    for end in (sim.drop_sockets, sim.close_sockets):
        before = sim.requests_of("subscribe")[-1]
        assert end(account) == 1
        await sdk.until("reconnected")
        await sdk.until("connected")
        after = sim.requests_of("subscribe")[-1]
        assert after.socket.client_id != before.socket.client_id
        assert after.socket.headers["Client-Id"] == after.socket.query["clientId"]
        assert after.payload["sessionId"] != before.payload["sessionId"]


async def test_errors_are_understood(sim: Simulator, sdk: Sdk) -> None:
    """Each error becomes an exception of the SDK."""
    account = sim.account.id

    async def raised(account_id: str = account) -> dict[str, Any]:
        await sdk.do("subscribe", account_id)
        return await sdk.until("raised")

    assert (await raised("nobody"))["error"] == "NotFoundException"
    sim.set_terminal(account, False)
    assert (await raised())["error"] == "TimeoutException"
    sim.limit_subscriptions(PER_USER, count=1)
    error = await raised()
    assert error["error"] == "TooManyRequestsException"
    assert error["metadata"]["type"] == PER_USER
    sim.set_subscribe_mode(account, "refuse", error="ForbiddenError")
    assert (await raised())["error"] == "ForbiddenException"
    sim.set_subscribe_mode(account, "refuse", error="ValidationError")
    assert (await raised())["error"] == "ValidationException"
    sim.set_subscribe_mode(account, "normal")
    sim.set_terminal(account, True)
    await sdk.do("subscribe", account)
    await sdk.until("subscribed")


async def test_account_is_read(sim: Simulator, sdk: Sdk) -> None:
    """REST has the fields that the SDK expects."""
    sim.set_broker(sim.account.id, False)
    await sdk.do("read", sim.account.id)
    assert await sdk.until("account") == {
        "event": "account",
        "id": sim.account.id,
        "name": "Swing",
        "region": "london",
        "state": "DEPLOYED",
        "status": "DISCONNECTED_FROM_BROKER",
    }

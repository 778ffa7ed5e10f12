"""Test start and stop, logging, cost and structure of the simulator."""

import ast
import asyncio
from dataclasses import fields
from graphlib import TopologicalSorter
import logging
from pathlib import Path
import time
from typing import Any, get_type_hints

import aiohttp
import pytest

from simulator import Settings, Simulator, plain_accounts
from simulator.settings import Api, Options, Quotas, Timing, Wire

from .client import Client, Clients, open_files

SIMULATOR = Path(__file__).parents[2] / "simulator"


async def settled(tasks: set[asyncio.Task[Any]], files: int) -> None:
    """Wait until only the given tasks and files are left."""
    async with asyncio.timeout(5):
        while asyncio.all_tasks() - tasks or open_files() > files:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def visit(sim: Simulator, manner: str) -> None:
    """Bring the simulator into some state."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        connect = Clients(session)
        client: Client | None = None
        if manner != "unused":
            client = await connect(sim)
            await client.subscribe(sim.account.id)
        if manner == "pending":
            assert client is not None
            sim.set_terminal(sim.account.id, False)
            await client.request("subscribe", sim.account.id)
            await client.request("reconnect", sim.account.id)
            await client.until("response")
        if manner == "frozen":
            sim.freeze(rest=True)
            for opening in (
                connect.raw(sim),
                session.get(sim.url + "/users/current/regions"),
            ):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(opening, 0.05)
        if manner == "polling":
            params = {"EIO": "3", "transport": "polling", "auth-token": sim.token}
            async with session.get(sim.url + "/ws/", params=params) as response:
                await response.read()
            params["sid"] = sim.sockets[-1].sid
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(
                    session.get(sim.url + "/ws/", params=params), 0.05
                )
        if manner == "lost":
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connect.raw(sim, path="/ws"), 0.05)
        if manner == "slow":
            sim.timing.rest_delay = sim.timing.handshake_delay = 30
            for opening in (
                connect.raw(sim),
                session.get(sim.url + "/users/current/regions"),
            ):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(opening, 0.05)
        if manner == "closing":
            sim.close_sockets()
        if manner == "zones":
            assert client is not None
            await connect(sim, url=await sim.listen("london"))
        start = asyncio.get_running_loop().time()
        await sim.close()
        assert asyncio.get_running_loop().time() - start < 1
        if client is not None:
            await client.ended()


@pytest.mark.parametrize(
    "manner",
    [
        "unused",
        "idle",
        "pending",
        "frozen",
        "polling",
        "lost",
        "slow",
        "closing",
        "zones",
    ],
)
async def test_nothing_is_left(manner: str) -> None:
    """No task and no socket is left from any state, and closing takes no time."""
    tasks, files = asyncio.all_tasks(), open_files()
    sim = Simulator(status_interval=0.02, reconnect_delay=30, subscribe_timeout=30)
    await sim.start()
    await visit(sim, manner)
    await settled(tasks, files)
    assert sim.sockets == []


async def test_server_stops_and_comes_back(sim: Simulator, connect: Clients) -> None:
    """Connections are refused meanwhile; then the same port serves the same state."""
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    url = sim.url
    regions, headers = url + "/users/current/regions", {"auth-token": sim.token}
    async with connect.session.get(regions, headers=headers) as response:
        await response.read()
    await sim.stop_listening()
    await client.ended()
    # An open keep-alive connection is not served any more, either.
    with pytest.raises(aiohttp.ClientConnectorError):
        await connect.session.get(regions, headers=headers)
    assert sim.past_sockets[0].close_reason == "server stopped"
    with pytest.raises(aiohttp.ClientConnectorError):
        await connect.raw(sim)
    sim.set_broker(sim.account.id, False)
    await sim.resume_listening()
    assert sim.url == url
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    assert (await client.until("status"))["connected"] is False


async def test_one_zone_stops(sim: Simulator, connect: Clients) -> None:
    """The other servers go on."""
    zone = await sim.listen("london")
    client, other = await connect(sim, url=zone), await connect(sim)
    await sim.stop_listening(zone)
    await client.ended()
    await other.subscribe(sim.account.id)
    await sim.resume_listening(zone)
    await connect(sim, url=zone)


async def test_token_is_never_logged(
    sim: Simulator, connect: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    """The token is neither in the log at any level nor in representations of objects."""
    caplog.set_level(logging.DEBUG)
    client = await connect(sim)
    await client.subscribe(sim.account.id)
    await client.ws.send_str("garbage")
    await client.ended()
    for bad in (f"bad-{sim.token}", "x"):
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await connect.raw(sim, token=bad)
    headers = {"auth-token": sim.token}
    async with connect.session.get(
        sim.url + "/users/current/regions", headers=headers
    ) as answer:
        assert answer.status == 200
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(sim.url.rsplit(":", 1)[1])
    )
    writer.write(
        f"GET /ws/?auth-token={sim.token}\x01 HTTP/1.1\r\nA B\r\n\r\n".encode()
    )
    await reader.read()
    writer.close()
    await writer.wait_closed()
    sim.drop_sockets()
    objects = (sim, *sim.past_sockets, *sim.handshakes, *sim.requests, *sim.rest_calls)
    for text in (caplog.text, *map(repr, (*objects, *sim.tokens.values()))):
        assert sim.token not in text
        assert sim.token[:40] not in text
    logging.getLogger("simulator").warning("a canary: %s", sim.token)
    assert sim.token in caplog.text


async def test_a_thousand_accounts(connect: Clients) -> None:
    """One status per second and account takes under a tenth of a core, and none is late."""
    accounts = plain_accounts(1000)
    rounds = 6
    async with Simulator(accounts=accounts, status_interval=1000) as sim:
        clients = [await connect(sim, protocol="3") for _ in range(10)]
        for number, account in enumerate(accounts):
            await clients[number // 100].request("subscribe", account.id)
        for client in clients:
            for _ in range(100):
                await client.until("authenticated")
        # Measure the simulator without its clients.
        cost = 0.0
        for _ in range(rounds):
            start = time.process_time()
            for account in accounts:
                sim._cloud.sync(account)
                sim._cloud.subscriptions.status(account)
            cost += time.process_time() - start
        assert cost / rounds < 0.1
        for client in clients:
            for _ in range(100 * rounds):
                assert (await client.event())[1]["type"] == "status"


def test_modules_are_small() -> None:
    """No module has much more than 400 lines."""
    for path in SIMULATOR.glob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) < 450, path.name


def test_options_are_the_settings() -> None:
    """Each setting is a keyword argument with the type and the default of its group."""
    groups = (Timing, Wire, Api, Quotas)
    kinds = {each.name: each.type for group in groups for each in fields(group)}
    assert kinds == get_type_hints(Options)
    settings = Settings(status_interval=1.5, bad_token="close")
    assert (settings.timing.status_interval, settings.wire.bad_token) == (1.5, "close")
    with pytest.raises(TypeError, match="no such setting: typo"):
        Simulator(typo=1)  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Simulator().status_interval = 1  # type: ignore[attr-defined]


def imports(path: Path) -> set[str]:
    """Return the modules of the simulator that a module imports, also for types."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names = [node.module] if node.module else [each.name for each in node.names]
            found.update(name.partition(".")[0] for name in names)
    return found


def test_there_are_no_circular_imports() -> None:
    """Imports for types count as well."""
    modules = {path.stem: imports(path) for path in SIMULATOR.glob("*.py")}
    assert modules["server"]
    # Raises CycleError
    order = list(TopologicalSorter(modules).static_order())
    assert set(order) == set(modules)


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the attributes that a class declares or assigns to itself."""
    found = {
        each.target.id
        for each in node.body
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
    }
    return found | {
        each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Attribute)
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id == "self"
    }


def test_classes_are_small() -> None:
    """No class has more than 350 lines or 15 attributes."""
    for path in SIMULATOR.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno < 350, node.name
                assert len(attributes(node)) <= 15, (node.name, attributes(node))

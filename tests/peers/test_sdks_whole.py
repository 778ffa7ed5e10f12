"""Test the simulator, under MetaApi's host names, with the public API of MetaApi's SDKs."""

from collections.abc import AsyncIterator
import json
from pathlib import Path

import pytest
import pytest_socket

from simulator import SimAccount, Simulator, account_id, hosts_in

from .named_cloud import MODULES, PYTHON, NamedCloud, Sdk, named_cloud, sdk

pytestmark = [pytest.mark.peers, pytest.mark.timeout(180)]

KINDS = ("python", "javascript")


@pytest.fixture(autouse=True)
def loopback(socket_enabled: None) -> None:
    """Allow connections to this machine, which Home Assistant's plugin forbids."""
    pytest_socket.socket_allow_hosts(["127.0.0.1"])


@pytest.fixture(scope="module", autouse=True)
def environment() -> None:
    """Fail, not skip, if an SDK is missing."""
    package = MODULES / "metaapi.cloud-sdk" / "package.json"
    python = list(
        PYTHON.parents[1].glob("lib/*/site-packages/metaapi_cloud_sdk-*.dist-info")
    )
    if not package.exists() or not python:
        pytest.fail(
            f"{package} or the SDK of {PYTHON} is missing: scripts/test makes them"
        )
    assert json.loads(package.read_text("utf-8"))["version"] == "29.3.3"
    assert [each.name for each in python] == ["metaapi_cloud_sdk-29.1.1.dist-info"]


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[NamedCloud]:
    """Run a simulator with an account in zone a, one in both zones, and an undeployed one."""
    accounts = [
        SimAccount(id=account_id(0), name="One"),
        SimAccount(id=account_id(1), name="Two", hosts=hosts_in((0, 1))),
        SimAccount(id=account_id(2), name="Off", state="UNDEPLOYED"),
    ]
    sim = Simulator(
        accounts=accounts,
        status_interval=0.5,
        subscribe_timeout=1.0,
        reconnect_delay=0.5,
    )
    async with named_cloud(tmp_path, sim) as served:
        yield served


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Return the language of each SDK."""
    return str(request.param)


@pytest.fixture
async def peer(kind: str, cloud: NamedCloud, tmp_path: Path) -> AsyncIterator[Sdk]:
    """Run an SDK and wait until it has synchronized all accounts."""
    async with sdk(kind, cloud, tmp_path) as started:
        await started.until("ready")
        yield started


async def test_life(cloud: NamedCloud, kind: str, peer: Sdk) -> None:
    """The SDK shows a connection, health, and the loss and return of broker and terminal."""
    sim = cloud.sim
    one, two, off = sim.accounts
    listed = await peer.until("accounts")
    assert [(each["id"], each["status"]) for each in listed["accounts"]] == [
        (one, "CONNECTED"),
        (two, "CONNECTED"),
    ]
    (call,) = [
        each for each in sim.rest_calls if each.path == "/users/current/accounts"
    ]
    assert call.query["state[]" if kind == "javascript" else "state"] == "DEPLOYED"
    instance = "london:0:ps-mpa-1"
    await peer.until("connected", account=one, instance=instance, replicas=1)
    await peer.until("connected", account=two, instance=instance, replicas=2)
    await peer.until("connected", account=two, instance="london:1:ps-mpb-1")
    for account in (one, two):
        report = await peer.until("synchronized", account=account)
        assert (report["connected"], report["balance"]) == (True, 10_000.0)
        await peer.until("broker", account=account, connected=True)
        await peer.until("health", account=account, status={"rpcApiHealthy": True})
    assert not [each for each in peer.reports if each.get("account") == off]
    start = len(peer.reports)
    sim.set_broker(one, False)
    await peer.until("broker", start=start, account=one, connected=False)
    states = await peer.states()
    assert (states[one]["connected"], states[one]["broker"]) == (True, False)
    assert states[two]["broker"] is True
    sim.set_broker(one, True)
    start = len(peer.reports)
    await peer.until("broker", start=start, account=one, connected=True)
    sim.set_terminal(one, False)
    await peer.until("disconnected", account=one, instance=instance)
    assert (await peer.states())[one]["connected"] is False
    start = len(peer.reports)
    sim.set_terminal(one, True)
    await peer.until("connected", start=start, account=one, instance=instance)
    assert (await peer.states())[one]["connected"] is True


async def test_sockets_are_lost(cloud: NamedCloud, kind: str, peer: Sdk) -> None:
    """The JavaScript SDK restores its sockets; the Python SDK subscribes again on new ones."""
    sim = cloud.sim
    one = sim.account.id
    before = sim.requests_of("subscribe")
    subscribed = {each.socket for each in before}
    clients = {each.client_id for each in subscribed}
    assert len(subscribed) == 2
    for socket in subscribed:
        assert (socket.sticky is not None) is (kind == "javascript")
    start = len(peer.reports)
    # The JavaScript SDK opens another socket to measure the latency of a region.
    assert sim.drop_sockets() >= 2
    # A client that restores its socket in time gets the events that it missed.
    sim.set_terminal(one, False)
    if kind == "javascript":
        await peer.until("disconnected", start=start, account=one)
        assert sim.requests_of("subscribe") == before
        assert clients >= {each.client_id for each in sim.subscribed(one)}
        assert "restoreStickyConnection" in sim.handshakes[-1].query
    else:
        count = len(sim.requests_of("subscribe", one))
        await sim.wait_for(
            lambda: len(sim.requests_of("subscribe", one)) > count, timeout=30
        )
        assert clients.isdisjoint(each.client_id for each in sim.subscribed(one))
    start = len(peer.reports)
    sim.set_terminal(one, True)
    await peer.until("connected", start=start, account=one)


async def test_sticky_connection_comes_too_late(
    cloud: NamedCloud, tmp_path: Path
) -> None:
    """The JavaScript SDK starts again and subscribes if the server cannot restore its socket."""
    sim = cloud.sim
    sim.timing.sticky_lifetime = 0.1
    async with sdk("javascript", cloud, tmp_path) as peer:
        await peer.until("ready")
        before = len(sim.requests_of("subscribe"))
        start = len(peer.reports)
        sim.drop_sockets()
        await sim.wait_for(
            lambda: len(sim.requests_of("subscribe")) > before, timeout=30
        )
        await peer.until("connected", start=start, account=sim.account.id)


async def test_nothing_is_deployed_yet(
    cloud: NamedCloud, kind: str, tmp_path: Path
) -> None:
    """A subscribe is invalid then, and each SDK repeats it until it succeeds."""
    sim = cloud.sim
    for account in sim.accounts:
        sim.undeploy(account)
    async with sdk(kind, cloud, tmp_path, ("UNDEPLOYED",)) as peer:
        await peer.until("ready")
        await sim.wait_for(lambda: len(sim.requests_of("subscribe")) >= 6, 30)
        assert not sim.subscribed(sim.account.id)
        assert not [each for each in peer.reports if each["event"] == "connected"]
        sim.deploy(sim.account.id)
        await peer.until("connected", account=sim.account.id)

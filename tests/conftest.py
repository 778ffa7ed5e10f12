"""Fixtures of the tests that run in Home Assistant."""

# Import this first, since Home Assistant's test plugin has its own package `custom_components`
import custom_components.metaapi  # noqa: F401, I001

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, override
from unittest.mock import AsyncMock, MagicMock, create_autospec, patch

from homeassistant import runner
from homeassistant.config_entries import (
    ConfigEntry,
    ConfigEntryState,
    ConfigSubentryData,
)
from homeassistant.const import CONF_TOKEN, Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.util import dt as dt_util, executor
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_fire_time_changed,
)
from pytest_homeassistant_custom_component.syrupy import HomeAssistantSnapshotExtension
from syrupy.assertion import SnapshotAssertion

from custom_components.metaapi.api import (
    Account,
    AccountState,
    CannotConnectError,
    Endpoints,
    Monitor,
    Outcome,
    Provisioning,
    ReconnectResult,
    Replica,
    ServerSettings,
    Status,
    TooManyRequestsError,
)
from custom_components.metaapi.const import (
    CONF_ACCOUNT_ID,
    CONF_REGION,
    DOMAIN,
    SUBENTRY_ACCOUNT,
)
from custom_components.metaapi.data import MetaApiData
from simulator import make_jwt
from tests.api.virtual_loop import VirtualLoop, paced_loops


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Any]:
    """Run tests with sockets on a loop whose clock leaves out what a busy machine takes.

    A test that sets the time of day needs the clock of the machine, which is set with it.
    """
    fixtures = getattr(item, "fixturenames", ())
    if "socket_enabled" in fixtures and "freezer" not in fixtures:
        return paced_loops(config, item)
    return {"home": asyncio.new_event_loop}


# On a busy machine a thread may take longer to end than Home Assistant gives it
executor.EXECUTOR_SHUTDOWN_TIMEOUT = 300


@pytest.fixture(autouse=True)
async def configure_event_loop() -> None:
    """Configure the loop as Home Assistant does, but keep a clock of its own."""
    loop = asyncio.get_running_loop()
    runner.configure_event_loop(loop)
    if isinstance(loop, VirtualLoop):
        del loop.time


@pytest.fixture(autouse=True)
async def enable_event_loop_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check threads and callbacks as debug mode does, but without its stacks, which take a third of the time."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    monkeypatch.setattr(loop, "get_debug", lambda: False)


TOKEN = make_jwt()
OWNER = "5f3c1a2b4d5e6f708192a3b4c5d6e7f8"

SWING = Account(
    account_id="11111111-aaaa-4bbb-8ccc-000000000001",
    name="Swing",
    login="90210",
    server="Broker-Live",
    version=5,
    type="cloud-g2",
    region="london",
    state="DEPLOYED",
)
SCALP = replace(
    SWING,
    account_id="22222222-aaaa-4bbb-8ccc-000000000002",
    name="Scalp",
    version=4,
    type="cloud-g1",
    region="new-york",
)

CONNECTED = AccountState(terminal=True, broker=True, status=Status.CONNECTED)
DISCONNECTED = AccountState(terminal=False, status=Status.DISCONNECTED)
NO_CONNECTION = AccountState(available=False, status=Status.NO_CONNECTION)


class FakeMonitor(Monitor):
    """Replaces the client's monitor, and shows the states that a test pushes.

    Arguments that are not named here are ignored; `test_fake_monitor.py` checks the named ones.
    """

    connected: bool | None = None
    token_refused = False
    sockets = (0, 0)

    def __init__(
        self,
        session: object,
        token: str,
        *,
        endpoints: Endpoints | None = None,
        application: str = "MetaApi",
        timing: object = None,
        **_more: object,
    ) -> None:
        """Start without accounts, as a monitor does."""
        self.token = token
        self.application = application
        self.endpoints = endpoints or Endpoints()
        self.closed = 0
        self.limits: dict[str, TooManyRequestsError] = {}
        self.described: dict[str, Any] = {"accounts": [], "events": []}
        self.regions: dict[str, str] = {}
        self.replicas: dict[str, list[Replica]] = {}
        self.facts: list[tuple[str, bool | None, bool]] = []
        self.connections: dict[str, tuple[str | None, float | None, bool | None]] = {}
        self.on_facts_wanted = lambda account_id: None
        self.on_before: set[str] = set()
        self.removed: list[str] = []
        self.reconnects: list[tuple[str, float]] = []
        self.reconnect_results: dict[str, list[ReconnectResult]] = {}
        self.on_reconnect: Callable[[str], Awaitable[ReconnectResult]] = self.result
        """What a reconnect of an account does."""
        self.token_checks = 0
        self.listeners: dict[str, list[Callable[[], None]]] = {}
        self.link_listeners: list[Callable[[], None]] = []
        self._states: dict[str, AccountState] = {}

    @override
    def state(self, account_id: str) -> AccountState:
        """Return the last state that was pushed."""
        return self._states[account_id]

    @override
    def limit(self, account_id: str) -> TooManyRequestsError | None:
        """Return the limit that the test set."""
        return self.limits.get(account_id)

    @override
    def diagnostics_parts(self) -> Iterator[tuple[str, Any]]:
        """Yield the parts that the test set."""
        for name, parts in self.described.items():
            if isinstance(parts, list):
                yield from ((name, part) for part in parts)
            else:
                yield name, parts

    @override
    def listen(
        self, account_id: str, listener: Callable[[], None]
    ) -> Callable[[], None]:
        """Call back when the state of an account is pushed."""
        listeners = self.listeners[account_id]
        listeners.append(listener)
        return lambda: listeners.remove(listener) if listener in listeners else None

    @override
    def listen_link(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call back when the state of the link is pushed."""
        self.link_listeners.append(listener)
        return lambda: self.link_listeners.remove(listener)

    @override
    def add_account(
        self,
        account_id: str,
        region: str = "",
        *,
        deployed: bool | None = None,
        replicas: Iterable[Replica] = (),
        was_on: bool = False,
        **_more: object,
    ) -> None:
        """Add an account."""
        if was_on:
            self.on_before.add(account_id)
        self.place_account(account_id, region, replicas)
        self.listeners[account_id] = []
        self._states[account_id] = AccountState()
        if deployed is not None:
            self.set_facts(account_id, deployed=deployed)

    @override
    async def remove_account(self, account_id: str, **_more: object) -> None:
        """Remove an account."""
        self.removed.append(account_id)
        self.listeners.pop(account_id).clear()
        del self.regions[account_id], self._states[account_id]

    @override
    def place_account(
        self,
        account_id: str,
        region: str,
        replicas: Iterable[Replica] = (),
        **_more: object,
    ) -> None:
        """Store where an account runs."""
        self.regions[account_id] = region
        self.replicas[account_id] = list(replicas)

    @override
    def set_facts(
        self,
        account_id: str,
        *,
        deployed: bool | None = None,
        exists: bool = True,
        connection: str | None = None,
        read_since: float | None = None,
        high_reliability: bool | None = None,
        **_more: object,
    ) -> None:
        """Store the facts of an account."""
        self.facts.append((account_id, deployed, exists))
        self.connections[account_id] = (connection, read_since, high_reliability)

    @override
    def check_token(self, *, said: bool = False, **_more: object) -> None:
        """Count the call."""
        self.token_checks += 1

    @override
    async def reconnect(
        self, account_id: str, timeout: float = 60.0, **_more: object
    ) -> ReconnectResult:
        """Return the result that the test set, or a success."""
        self.reconnects.append((account_id, timeout))
        return await self.on_reconnect(account_id)

    @override
    async def close(self) -> None:
        """Count the call."""
        self.closed += 1

    # -- used by tests ---------------------------------------------------------------------

    async def result(self, account_id: str) -> ReconnectResult:
        """Return the next result that the test set, or a success."""
        results = self.reconnect_results.get(account_id)
        return (
            results.pop(0) if results else ReconnectResult(Outcome.AUTHENTICATED, 1.25)
        )

    def push(self, account_id: str, state: AccountState) -> None:
        """Show another state of an account."""
        self._states[account_id] = state
        for listener in tuple(self.listeners[account_id]):
            listener()

    def push_link(self, connected: bool | None, *, token_refused: bool = False) -> None:
        """Show another state of the link to MetaApi."""
        self.connected = connected
        self.token_refused = token_refused
        for listener in tuple(self.link_listeners):
            listener()


def account_subentry(account: Account, **data: str) -> ConfigSubentryData:
    """Return the subentry of an account, as the config flow creates it."""
    return ConfigSubentryData(
        data={CONF_ACCOUNT_ID: account.account_id, CONF_REGION: account.region, **data},
        subentry_type=SUBENTRY_ACCOUNT,
        title=account.title,
        unique_id=account.account_id,
    )


def make_entry(
    *accounts: Account, token: str = TOKEN, **kwargs: Any
) -> MockConfigEntry:
    """Return an entry with subentries for some accounts."""
    return MockConfigEntry(
        domain=DOMAIN,
        title=kwargs.pop("title", "MetaApi"),
        unique_id=kwargs.pop("unique_id", OWNER),
        data={CONF_TOKEN: token, **kwargs.pop("data", {})},
        subentries_data=[account_subentry(account) for account in accounts],
        **kwargs,
    )


def value(hass: HomeAssistant, entity_id: str) -> str:
    """Return the state of an entity."""
    state = hass.states.get(entity_id)
    assert state is not None, entity_id
    return state.state


def entry_state(entry: ConfigEntry) -> ConfigEntryState:
    """Return the state of an entry; a type checker would assume that it never changes."""
    return entry.state


def device_of(
    hass: HomeAssistant, entry: ConfigEntry, identifier: str
) -> dr.DeviceEntry:
    """Return the device of an account, or for the entry's id that of the hub."""
    device = dr.async_get(hass).async_get_device_by_identifier(
        (DOMAIN, identifier), entry.entry_id
    )
    assert device is not None, identifier
    return device


def describe_entities(
    hass: HomeAssistant, entry: ConfigEntry, platform: Platform
) -> dict[str, dict[str, Any]]:
    """Return the relevant fields of a platform's entities, in any release."""
    described: dict[str, dict[str, Any]] = {}
    for entity in er.async_entries_for_config_entry(er.async_get(hass), entry.entry_id):
        if entity.domain != platform:
            continue
        device = dr.async_get(hass).async_get(entity.device_id or "")
        state = hass.states.get(entity.entity_id)
        assert device is not None
        assert state is not None, (
            f"{entity.entity_id} has no state; disabled by: {entity.disabled_by}"
        )
        described[entity.entity_id] = {
            "unique_id": entity.unique_id.replace(entry.entry_id, "<entry id>"),
            "device": device.name,
            "category": entity.entity_category and entity.entity_category.value,
            "disabled_by": entity.disabled_by,
            "hidden_by": entity.hidden_by,
            "translation_key": entity.translation_key,
            "state": state.state,
            "attributes": {str(key): one for key, one in state.attributes.items()},
        }
    return dict(sorted(described.items()))


def data_of(entry: MockConfigEntry) -> MetaApiData:
    """Return the runtime data of a loaded entry."""
    data: MetaApiData = entry.runtime_data
    return data


async def pass_time(hass: HomeAssistant, delta: timedelta) -> None:
    """Move the clock, and run what is due."""
    async_fire_time_changed(hass, dt_util.utcnow() + delta + timedelta(seconds=1))
    await hass.async_block_till_done(wait_background_tasks=True)


async def setup_entry(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Set up an entry."""
    entry.add_to_hass(hass)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()


@pytest.fixture(autouse=True)
def custom_integrations(request: pytest.FixtureRequest) -> None:
    """Enable custom integrations for tests that use Home Assistant."""
    if "recorder_mock" in request.fixturenames:
        # The recorder's database has to be set up before Home Assistant
        request.getfixturevalue("recorder_db_url")
    if "hass" in request.fixturenames:
        request.getfixturevalue("hass_storage")
        request.getfixturevalue("enable_custom_integrations")


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Return snapshots in Home Assistant's format."""
    return snapshot.use_extension(HomeAssistantSnapshotExtension)


@pytest.fixture
def mock_config_entry() -> MockConfigEntry:
    """Return an entry with two accounts."""
    return make_entry(SWING, SCALP)


@pytest.fixture
def monitors() -> Iterator[list[FakeMonitor]]:
    """Replace the monitor; each set-up creates a new one."""
    made: list[FakeMonitor] = []

    def make(*args: Any, **kwargs: Any) -> FakeMonitor:
        made.append(FakeMonitor(*args, **kwargs))
        return made[-1]

    with patch("custom_components.metaapi.Monitor", make):
        yield made


@pytest.fixture
def provisioning() -> Iterator[MagicMock]:
    """Replace the provisioning API; it lists two deployed accounts."""
    client: MagicMock = create_autospec(Provisioning, instance=True)
    client.accounts.return_value = [SWING, SCALP]

    async def account(account_id: str, **_more: object) -> Account:
        listed: list[Account] = client.accounts.return_value
        for one in listed:
            if one.account_id == account_id:
                return one
        raise CannotConnectError("down")

    # A test can replace this answer
    client.account = AsyncMock(wraps=account)
    client.server_settings.return_value = ServerSettings()
    with patch("custom_components.metaapi.Provisioning", return_value=client):
        yield client


@pytest.fixture
async def monitor(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> FakeMonitor:
    """Set up the entry, and return its monitor with both accounts connected."""
    await setup_entry(hass, mock_config_entry)
    fake = monitors[-1]
    fake.push_link(True)
    for account in (SWING, SCALP):
        fake.push(account.account_id, CONNECTED)
    await hass.async_block_till_done()
    return fake


@pytest.fixture
def listed_long_ago(monitor: FakeMonitor, mock_config_entry: MockConfigEntry) -> None:
    """Make the last listing an old one."""
    data_of(mock_config_entry).facts._pauses.listing -= 3600

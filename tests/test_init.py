"""Test the set-up and the unload of an entry."""

import asyncio
from dataclasses import replace
from datetime import timedelta
import logging
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
)
from pytest_homeassistant_custom_component.typing import (
    MockHAClientWebSocket,
    WebSocketGenerator,
)

from custom_components.metaapi.api import (
    Account,
    CannotConnectError,
    ForbiddenError,
    InternalError,
    MetaApiError,
    ServerSettings,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from custom_components.metaapi.const import (
    DEFAULT_TIMEOUT,
    DOMAIN,
    REREAD_INTERVAL,
    REREAD_PAUSE,
    SETUP_TIMEOUT,
)
from custom_components.metaapi.facts import async_get_pauses
from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.const import (
    EVENT_HOMEASSISTANT_STOP,
    EVENT_STATE_CHANGED,
    STATE_UNAVAILABLE,
)
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ConfigEntryError, ConfigEntryNotReady
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.setup import async_setup_component
from simulator import make_jwt

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    SCALP,
    SWING,
    TOKEN,
    FakeMonitor,
    account_subentry,
    device_of,
    entry_state,
    make_entry,
    pass_time,
    setup_entry,
    value,
)


async def test_setup_and_unload(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """An entry is set up with its accounts, and unloaded without a trace."""
    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert monitor.token == TOKEN
    assert monitor.application == "MetaApi"
    assert monitor.endpoints.api_url is None
    assert monitor.regions == {SWING.account_id: "london", SCALP.account_id: "new-york"}
    assert value(hass, "binary_sensor.swing_terminal") == "on"

    assert await hass.config_entries.async_unload(mock_config_entry.entry_id)
    await hass.async_block_till_done()

    assert entry_state(mock_config_entry) is ConfigEntryState.NOT_LOADED
    assert monitor.closed == 1
    assert not any(monitor.listeners.values())
    assert not monitor.link_listeners
    assert value(hass, "binary_sensor.swing_terminal") == STATE_UNAVAILABLE


async def test_reload(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
) -> None:
    """A reload closes the monitor and creates another one."""
    assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert len(monitors) == 2
    assert monitor.closed == 1
    assert monitors[1].closed == 0
    assert mock_config_entry.runtime_data.monitor is monitors[1]


async def test_devices(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """Each account is a device that is connected via the hub."""
    hub = device_of(hass, mock_config_entry, mock_config_entry.entry_id)
    device = device_of(hass, mock_config_entry, SWING.account_id)
    assert hub.name == "MetaApi"
    assert hub.entry_type is dr.DeviceEntryType.SERVICE
    assert hub.config_subentry_id is None
    assert device.name == "Swing"
    assert device.manufacturer == "MetaApi"
    assert device.model == "MetaTrader 5 · Broker-Live"
    assert device.serial_number == "90210"
    assert device.entry_type is dr.DeviceEntryType.SERVICE
    assert device.configuration_url == (
        f"https://app.metaapi.cloud/accounts/{SWING.account_id}"
    )
    assert device.via_device_id == hub.id
    assert [subentry.title for subentry in mock_config_entry.subentries.values()] == [
        "Swing",
        "Scalp",
    ]
    assert device.config_subentry_id == next(iter(mock_config_entry.subentries))


async def test_server_settings(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """The connections use the servers in MetaApi's settings."""
    settings = ServerSettings(hostname="elsewhere", domain="example.com")
    provisioning.server_settings.return_value = settings

    await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert monitors[0].endpoints.settings == settings
    assert mock_config_entry.data["server"] == {
        "hostname": "elsewhere",
        "domain": "example.com",
    }


async def test_server_settings_that_the_token_may_not_read(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """MetaApi's default servers are used instead."""
    provisioning.server_settings.side_effect = ForbiddenError("no")

    await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert monitors[0].endpoints.settings == ServerSettings()


async def test_api_url(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """With a custom URL, MetaApi's settings are not used."""
    entry = make_entry(
        SWING, data={"api_url": "http://127.0.0.1:1", "application": "Home"}
    )

    await setup_entry(hass, entry)

    assert entry_state(entry) is ConfigEntryState.LOADED
    assert monitors[0].endpoints.api_url == "http://127.0.0.1:1"
    assert monitors[0].application == "Home"
    provisioning.server_settings.assert_not_called()


@pytest.mark.parametrize(
    ("token", "listings", "polls"),
    [
        pytest.param(make_jwt(provisioning=False), 0, 0, id="the token says so"),
        pytest.param(TOKEN, 1, 1, id="REST says so"),
    ],
)
async def test_token_that_cannot_list(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    token: str,
    listings: int,
    polls: int,
) -> None:
    """The set-up succeeds without facts, and REST is not used again unless the 403 is temporary."""
    provisioning.accounts.side_effect = ForbiddenError("no")
    provisioning.server_settings.side_effect = UnauthorizedError("no")
    entry = make_entry(SWING, token=token)

    await setup_entry(hass, entry)

    assert entry_state(entry) is ConfigEntryState.LOADED
    assert provisioning.accounts.call_count == listings
    assert monitors[0].regions == {SWING.account_id: "london"}
    assert monitors[0].facts == []
    assert hass.states.get("button.swing_reconnect") is not None

    await pass_time(hass, REREAD_INTERVAL)
    assert provisioning.accounts.call_count == listings + polls


async def test_token_refused(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """A 401 of REST may be temporary: the connections are opened, and the monitor checks the token."""
    provisioning.accounts.side_effect = UnauthorizedError("no")

    await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert monitors[0].regions == {
        SWING.account_id: "london",
        SCALP.account_id: "new-york",
    }
    assert monitors[0].token_checks == 1
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)

    monitors[0].push_link(False, token_refused=True)
    await hass.async_block_till_done()
    flows = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert [flow["context"]["source"] for flow in flows] == ["reauth"]


DEDICATED = {"hostname": "mt-client-api-v1", "domain": "dedicated.example.com"}


@pytest.mark.parametrize("method", ["accounts", "server_settings"])
@pytest.mark.parametrize(
    "error",
    [
        pytest.param(CannotConnectError("down"), id="no name"),
        pytest.param(InternalError("oops"), id="504"),
        pytest.param(ValidationError("what?"), id="what no documentation knows"),
    ],
)
async def test_rest_away_at_start(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
    method: str,
    error: MetaApiError,
) -> None:
    """Stored data is enough to connect; the facts follow as soon as REST is back."""
    entry = make_entry(SWING, data={"server": DEDICATED})
    provisioning.server_settings.return_value = ServerSettings(**DEDICATED)
    getattr(provisioning, method).side_effect = error

    with caplog.at_level(logging.INFO, "custom_components.metaapi"):
        await setup_entry(hass, entry)

    assert entry_state(entry) is ConfigEntryState.LOADED
    assert monitors[0].regions == {SWING.account_id: "london"}
    assert monitors[0].endpoints.settings == ServerSettings(**DEDICATED)
    assert value(hass, "binary_sensor.swing_terminal") == "unknown"
    assert device_of(hass, entry, SWING.account_id).name == "Swing"
    if method == "accounts":
        assert device_of(hass, entry, SWING.account_id).model is None
        assert "MetaApi: the accounts are read later: " in caplog.text

    getattr(provisioning, method).side_effect = None
    await pass_time(hass, REREAD_PAUSE if error.retryable else REREAD_INTERVAL)
    assert (
        device_of(hass, entry, SWING.account_id).model == "MetaTrader 5 · Broker-Live"
    )
    assert monitors[0].facts[-1] == (SWING.account_id, True, True)
    assert len(monitors) == 1


async def test_server_settings_that_come_late(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """If they differ from the stored ones, the connections move."""
    provisioning.server_settings.side_effect = CannotConnectError("down")
    await setup_entry(hass, mock_config_entry)
    assert monitors[0].endpoints.settings == ServerSettings()

    provisioning.server_settings.side_effect = None
    provisioning.server_settings.return_value = ServerSettings(**DEDICATED)
    placed: list[ServerSettings] = []

    def place_account(*_args: object, **_kwargs: object) -> None:
        placed.append(monitors[0].endpoints.settings)

    with patch.object(monitors[0], "place_account", place_account):
        await pass_time(hass, REREAD_INTERVAL)

    assert placed == [ServerSettings(**DEDICATED)] * 2
    assert mock_config_entry.data["server"] == DEDICATED
    assert len(monitors) == 1


@pytest.mark.parametrize("method", ["accounts", "server_settings"])
@pytest.mark.parametrize(
    ("asked", "seconds"), [("1800", 1800), ("20", 300), (None, 300)]
)
async def test_metaapi_requests_a_pause(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    method: str,
    asked: str | None,
    seconds: int,
) -> None:
    """The pause is kept, however often the entry is reloaded."""
    call = getattr(provisioning, method)
    call.side_effect = TooManyRequestsError("slow", metadata={"retryAfter": asked})
    entry = make_entry(SWING)
    await setup_entry(hass, entry)
    assert entry_state(entry) is ConfigEntryState.LOADED
    call.side_effect = None
    pauses = async_get_pauses(hass, TOKEN)
    assert seconds - 9 < pauses.asking - hass.loop.time() <= seconds

    provisioning.reset_mock()
    for _ in range(3):
        await hass.config_entries.async_reload(entry.entry_id)
        assert entry_state(entry) is ConfigEntryState.LOADED
    await pass_time(hass, timedelta(seconds=seconds - 10))
    assert not provisioning.method_calls
    assert monitors[-1].facts == []

    await pass_time(hass, timedelta(seconds=seconds))
    assert provisioning.accounts.call_count == 1
    assert monitors[-1].facts == [(SWING.account_id, True, True)]


async def test_pause_depends_on_the_token(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """Another token has no pause, and no token is a key in shared data."""
    async_get_pauses(hass, TOKEN).asking = hass.loop.time() + 1800
    other = make_jwt(issued=1)
    entry = make_entry(SWING, token=other)
    await setup_entry(hass, entry)
    assert entry_state(entry) is ConfigEntryState.LOADED
    assert provisioning.accounts.call_count == 1
    kept = repr([item for item in hass.data.items() if DOMAIN in str(item[0])])
    assert "Pauses(" in kept
    assert not [token for token in (TOKEN, other) if token in kept]


async def test_metaapi_does_not_answer(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """A slow server does not delay the start."""

    async def hang() -> None:
        await asyncio.Event().wait()

    provisioning.accounts.side_effect = hang
    with patch("custom_components.metaapi.facts.SETUP_TIMEOUT", 0.01):
        await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert set(monitors[0].regions) == {SWING.account_id, SCALP.account_id}
    assert monitors[0].facts == []
    provisioning.accounts.side_effect = None
    await pass_time(hass, REREAD_PAUSE)
    assert len(monitors[0].facts) == 2


def test_setup_timeout() -> None:
    """The set-up takes ten seconds at most."""
    assert SETUP_TIMEOUT <= 10


async def test_setup_that_fails_late(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It closes the open connections."""
    with patch.object(
        hass.config_entries, "async_forward_entry_setups", side_effect=RuntimeError
    ):
        await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.SETUP_ERROR
    assert set(monitors[0].regions) == {SWING.account_id, SCALP.account_id}
    assert monitors[0].closed == 1
    assert not monitors[0].link_listeners
    caplog.clear()


async def test_unload_that_fails(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """The connections stay open, like the platforms."""
    with patch.object(
        hass.config_entries, "async_unload_platforms", return_value=False
    ):
        assert not await hass.config_entries.async_unload(mock_config_entry.entry_id)

    assert monitor.closed == 0
    mock_config_entry.runtime_data.facts.async_stop()


async def test_home_assistant_stops(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """The connections are closed, since entries are not unloaded at a stop."""
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert monitor.closed == 1


async def test_home_assistant_stops_during_set_up(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """Connections are closed even if the set-up is not complete."""
    forward = hass.config_entries.async_forward_entry_setups

    async def stop(*args: Any) -> None:
        assert monitors[0].regions
        hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
        await forward(*args)

    with patch.object(hass.config_entries, "async_forward_entry_setups", stop):
        await setup_entry(hass, mock_config_entry)

    assert monitors[0].closed == 1


async def set_up_to(
    hass: HomeAssistant,
    entry: MockConfigEntry,
    provisioning: MagicMock,
    state: ConfigEntryState,
) -> None:
    """Bring an entry to a state."""
    errors = {
        ConfigEntryState.SETUP_RETRY: ConfigEntryNotReady("later"),
        ConfigEntryState.SETUP_ERROR: ConfigEntryError("no"),
    }
    if error := errors.get(state):
        with patch.object(
            hass.config_entries, "async_forward_entry_setups", side_effect=error
        ):
            await setup_entry(hass, entry)
    else:
        await setup_entry(hass, entry)
    if state is ConfigEntryState.NOT_LOADED:
        await hass.config_entries.async_unload(entry.entry_id)
    assert entry_state(entry) is state


STATES = [
    ConfigEntryState.LOADED,
    ConfigEntryState.NOT_LOADED,
    ConfigEntryState.SETUP_ERROR,
    ConfigEntryState.SETUP_RETRY,
]


@pytest.mark.parametrize("state", STATES)
async def test_reload_from_any_state(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    state: ConfigEntryState,
) -> None:
    """After a reload there is one running monitor."""
    await set_up_to(hass, mock_config_entry, provisioning, state)

    assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert [monitor.closed for monitor in monitors] == [1, 0]
    assert value(hass, "button.swing_reconnect") != STATE_UNAVAILABLE


@pytest.mark.parametrize("state", STATES)
async def test_unload_from_any_state(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    state: ConfigEntryState,
) -> None:
    """After a removal nothing is left."""
    await set_up_to(hass, mock_config_entry, provisioning, state)

    await hass.config_entries.async_remove(mock_config_entry.entry_id)
    await hass.async_block_till_done()

    assert [monitor.closed for monitor in monitors] == [1]
    assert not monitors[0].link_listeners
    assert not any(monitors[0].listeners.values())
    assert not dr.async_get(hass).devices
    assert not er.async_get(hass).entities


async def test_reload_with_a_refused_token(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """A token that is refused before and after a reload is requested once."""
    monitor.push_link(False, token_refused=True)
    await hass.async_block_till_done()
    provisioning.accounts.side_effect = UnauthorizedError("no")
    assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    monitors[1].push_link(False, token_refused=True)
    await hass.async_block_till_done()

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert [one.closed for one in monitors] == [1, 0]
    assert len(hass.config_entries.flow.async_progress_by_handler(DOMAIN)) == 1


async def test_two_accounts_of_one_name(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """Each has its own device and entities, with numbered entity ids for the second."""
    twin = replace(SCALP, name="Swing")
    provisioning.accounts.return_value = [SWING, twin]
    entry = make_entry(SWING, twin)
    await setup_entry(hass, entry)
    monitors[0].push(SWING.account_id, CONNECTED)
    monitors[0].push(twin.account_id, DISCONNECTED)

    first = device_of(hass, entry, SWING.account_id)
    second = device_of(hass, entry, twin.account_id)
    assert first.id != second.id
    assert first.name == second.name == "Swing"
    assert value(hass, "binary_sensor.swing_terminal") == "on"
    assert value(hass, "binary_sensor.swing_terminal_2") == "off"
    assert value(hass, "sensor.swing_status_2") == "disconnected"

    await hass.services.async_call(
        "button", "press", {"entity_id": "button.swing_reconnect_2"}, blocking=True
    )
    assert monitors[0].reconnects == [(twin.account_id, DEFAULT_TIMEOUT)]


async def test_nothing_noisy(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """All entities are enabled, and each account has the same ones."""
    entities = er.async_entries_for_config_entry(
        er.async_get(hass), mock_config_entry.entry_id
    )
    disabled = [entity.entity_id for entity in entities if entity.disabled_by]
    assert not disabled, "every entity is enabled from the start"
    swing, scalp = (
        {entity_id.replace(name, "") for entity_id in entity_ids_of(hass, account)}
        for name, account in (("swing", SWING), ("scalp", SCALP))
    )
    assert swing == scalp
    assert "binary_sensor._terminal" in swing


def entity_ids_of(hass: HomeAssistant, account: Account) -> set[str]:
    """Return the entities of an account."""
    return {
        entity.entity_id
        for entity in er.async_get(hass).entities.values()
        if entity.unique_id.startswith(f"{account.account_id}_")
    }


def subentry_of(account: Account) -> ConfigSubentry:
    """Return a new subentry of an account."""
    data: dict[str, Any] = {**account_subentry(account)}
    return ConfigSubentry(**data)


GOLD = replace(
    SWING,
    account_id="33333333-aaaa-4bbb-8ccc-000000000003",
    name="Gold",
    state="UNDEPLOYED",
)


async def test_account_added(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """It is shown at once, without closing connections or writing other states."""
    states = async_capture_events(hass, EVENT_STATE_CHANGED)
    provisioning.account.return_value = GOLD
    provisioning.accounts.reset_mock()

    hass.config_entries.async_add_subentry(mock_config_entry, subentry_of(GOLD))
    await hass.async_block_till_done(wait_background_tasks=True)

    assert len(monitors) == 1
    assert monitor.closed == 0
    assert set(monitor.regions) == {
        account.account_id for account in (SWING, SCALP, GOLD)
    }
    assert {event.data["entity_id"] for event in states} == {
        entity_id.replace("swing", "gold") for entity_id in entity_ids_of(hass, SWING)
    }
    assert monitor.facts[-1] == (GOLD.account_id, False, True)
    provisioning.accounts.assert_not_called()
    device = device_of(hass, mock_config_entry, GOLD.account_id)
    assert (device.name, device.model) == ("Gold", "MetaTrader 5 · Broker-Live")

    monitor.push(GOLD.account_id, CONNECTED)
    assert value(hass, "binary_sensor.gold_terminal") == "on"
    assert value(hass, "binary_sensor.swing_terminal") == "on"


async def test_accounts_added_in_quick_succession(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """The second change starts from the result of the first."""
    silver = replace(GOLD, account_id="44444444-aaaa-4bbb-8ccc-000000000004")
    provisioning.account.side_effect = [GOLD, silver]
    for account in (GOLD, silver):
        hass.config_entries.async_add_subentry(mock_config_entry, subentry_of(account))
        assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    await hass.async_block_till_done(wait_background_tasks=True)

    assert len(monitors) == 1
    for account in (SWING, SCALP, GOLD, silver):
        entity_ids = entity_ids_of(hass, account)
        assert len(entity_ids) == len(entity_ids_of(hass, SWING)) > 0
        assert entity_ids <= set(hass.states.async_entity_ids())


async def test_account_added_and_removed_at_once(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """Facts of a removed account are ignored."""

    async def account(*_args: object, **_kwargs: object) -> Account:
        hass.config_entries.async_remove_subentry(
            mock_config_entry, subentry.subentry_id
        )
        await asyncio.sleep(0)
        return GOLD

    monitor.facts.clear()
    provisioning.account.side_effect = account
    subentry = subentry_of(GOLD)
    hass.config_entries.async_add_subentry(mock_config_entry, subentry)
    await hass.async_block_till_done(wait_background_tasks=True)

    assert monitor.facts == []
    assert monitor.removed == [GOLD.account_id]
    assert hass.states.get("binary_sensor.gold_terminal") is None


async def test_account_replaced_while_it_unsubscribes(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """An account that is removed and added again is watched, however long unsubscribing takes."""
    goodbye = asyncio.Event()
    remove_account = monitor.remove_account

    async def slowly(*args: Any, **kwargs: Any) -> None:
        await remove_account(*args, **kwargs)
        await goodbye.wait()

    provisioning.account.return_value = SCALP
    with patch.object(monitor, "remove_account", slowly):
        subentry_id = list(mock_config_entry.subentries)[1]
        hass.config_entries.async_remove_subentry(mock_config_entry, subentry_id)
        hass.config_entries.async_add_subentry(mock_config_entry, subentry_of(SCALP))
        await asyncio.sleep(0)
        goodbye.set()
        await hass.async_block_till_done(wait_background_tasks=True)

    monitor.push(SCALP.account_id, CONNECTED)
    assert value(hass, "binary_sensor.scalp_terminal") == "on"
    monitor.push(SCALP.account_id, DISCONNECTED)
    assert value(hass, "sensor.scalp_status") == "disconnected"


async def test_unload_while_an_account_is_removed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
) -> None:
    """Nothing is watched after an unload."""
    goodbye = asyncio.Event()

    async def slowly(*_args: object, **_kwargs: object) -> None:
        await goodbye.wait()

    with patch.object(monitor, "remove_account", slowly):
        subentry_id = list(mock_config_entry.subentries)[1]
        hass.config_entries.async_remove_subentry(mock_config_entry, subentry_id)
        hass.config_entries.async_add_subentry(mock_config_entry, subentry_of(GOLD))
        await asyncio.sleep(0)
        assert await hass.config_entries.async_unload(mock_config_entry.entry_id)
        goodbye.set()
        await hass.async_block_till_done(wait_background_tasks=True)

    assert GOLD.account_id not in monitor.regions


async def test_account_removed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
) -> None:
    """Its device and entities are removed; the others' connections and states stay."""
    entity_registry, device_registry = er.async_get(hass), dr.async_get(hass)
    entry_id = mock_config_entry.entry_id
    subentry_id = list(mock_config_entry.subentries)[1]
    others = {
        entity.entity_id
        for entity in er.async_entries_for_config_entry(entity_registry, entry_id)
        if entity.config_subentry_id != subentry_id
    }

    hass.config_entries.async_remove_subentry(mock_config_entry, subentry_id)
    await hass.async_block_till_done()

    assert len(monitors) == 1
    assert monitor.closed == 0
    assert monitor.removed == [SCALP.account_id]
    assert len(mock_config_entry.runtime_data.accounts.states) == 1
    assert value(hass, "binary_sensor.swing_terminal") == "on"
    assert hass.states.get("binary_sensor.scalp_terminal") is None
    assert (
        device_registry.async_get_device_by_identifier(
            (DOMAIN, SCALP.account_id), entry_id
        )
        is None
    )
    assert {"binary_sensor.metaapi_link", "binary_sensor.swing_terminal"} <= others
    assert others == {
        entity.entity_id
        for entity in er.async_entries_for_config_entry(entity_registry, entry_id)
    }


async def remove_device(
    hass: HomeAssistant, client: MockHAClientWebSocket, device: dr.DeviceEntry
) -> bool:
    """Delete a device as the frontend does; return whether that was allowed."""
    await client.send_json_auto_id(
        {"type": "config/device_registry/remove", "device_id": device.id}
    )
    response = await client.receive_json()
    await hass.async_block_till_done()
    return bool(response["success"])


async def test_device_removed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """Deleting an account's device removes the account; the hub's device cannot be deleted."""
    assert await async_setup_component(hass, "config", {})
    client = await hass_ws_client(hass)
    entry = mock_config_entry

    swing = device_of(hass, entry, SWING.account_id)
    assert await remove_device(hass, client, swing)
    assert [one.unique_id for one in entry.subentries.values()] == [SCALP.account_id]
    assert monitor.removed == [SWING.account_id]
    assert hass.states.get("binary_sensor.swing_terminal") is None

    assert not await remove_device(hass, client, device_of(hass, entry, entry.entry_id))
    assert value(hass, "binary_sensor.metaapi_link") == "on"


async def test_device_left_behind(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    hass_ws_client: WebSocketGenerator,
) -> None:
    """A device without an account can be deleted, and nothing else changes."""
    assert await async_setup_component(hass, "config", {})
    registry = dr.async_get(hass)
    stale = registry.async_get_or_create(
        config_entry_id=mock_config_entry.entry_id, identifiers={(DOMAIN, "long ago")}
    )

    assert await remove_device(hass, await hass_ws_client(hass), stale)

    assert registry.async_get(stale.id) is None
    assert len(mock_config_entry.subentries) == 2


async def test_account_removed_and_added_again(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """It is watched again."""
    provisioning.account.return_value = SCALP
    subentry_id = list(mock_config_entry.subentries)[1]
    hass.config_entries.async_remove_subentry(mock_config_entry, subentry_id)
    await hass.async_block_till_done()
    assert set(monitor.regions) == {SWING.account_id}
    hass.config_entries.async_add_subentry(mock_config_entry, subentry_of(SCALP))
    await hass.async_block_till_done(wait_background_tasks=True)

    assert len(monitors) == 1
    assert set(monitor.regions) == {SWING.account_id, SCALP.account_id}
    assert value(hass, "binary_sensor.scalp_terminal") == "unknown"


@pytest.mark.parametrize("late", [False, True])
async def test_accounts_change_during_set_up(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
    late: bool,
) -> None:
    """Accounts that are added and removed before the set-up is complete are handled."""
    gold = replace(SWING, account_id="33333333-aaaa-4bbb-8ccc-000000000003")
    provisioning.accounts.return_value = [SWING, SCALP, gold]
    provisioning.account.return_value = gold
    entry = mock_config_entry
    forward = hass.config_entries.async_forward_entry_setups
    first = True

    async def change(*args: Any) -> None:
        nonlocal first
        now, first = first, False
        if now and late:
            await forward(*args)
        if now:
            hass.config_entries.async_add_subentry(entry, subentry_of(gold))
            gone = next(iter(entry.subentries))
            hass.config_entries.async_remove_subentry(entry, gone)
        if not (now and late):
            await forward(*args)

    with patch.object(hass.config_entries, "async_forward_entry_setups", change):
        await setup_entry(hass, entry)
        await hass.async_block_till_done()

    assert entry_state(entry) is ConfigEntryState.LOADED
    assert set(monitors[-1].regions) == {SCALP.account_id, gold.account_id}
    for terminal in hass.states.async_entity_ids("binary_sensor"):
        assert value(hass, terminal) == "unknown"
    assert entity_ids_of(hass, SWING) == set()
    entity_ids = entity_ids_of(hass, SCALP) | entity_ids_of(hass, gold)
    for domain in ("binary_sensor", "button"):
        assert set(hass.states.async_entity_ids(domain)) - {
            "binary_sensor.metaapi_link"
        } == {one for one in entity_ids if one.startswith(f"{domain}.")}
    assert len(entity_ids_of(hass, SCALP)) == len(entity_ids_of(hass, gold)) > 0
    assert "Traceback" not in caplog.text


async def test_account_removed_during_set_up(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """An account that is removed before the set-up is complete is not watched any more."""
    forward = hass.config_entries.async_forward_entry_setups

    async def change(*args: Any) -> None:
        hass.config_entries.async_remove_subentry(
            mock_config_entry, list(mock_config_entry.subentries)[1]
        )
        await forward(*args)

    with patch.object(hass.config_entries, "async_forward_entry_setups", change):
        await setup_entry(hass, mock_config_entry)

    assert len(monitors) == 1
    assert monitors[0].removed == [SCALP.account_id]


async def test_hubs_of_two_users(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """The name of each hub is the title of its entry."""
    for account, title in ((SWING, "MetaApi"), (SCALP, "MetaApi 2")):
        await setup_entry(hass, make_entry(account, title=title, unique_id=title))
    names = {
        state.entity_id: state.name
        for state in hass.states.async_all("binary_sensor")
        if state.entity_id.endswith("_link")
    }
    assert names == {
        "binary_sensor.metaapi_link": "MetaApi Link",
        "binary_sensor.metaapi_2_link": "MetaApi 2 Link",
    }


async def test_other_changes_do_not_reload(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
) -> None:
    """A new title renames the hub, and does not close connections."""
    subentry = next(iter(mock_config_entry.subentries.values()))

    hass.config_entries.async_update_entry(mock_config_entry, title="Mine")
    hass.config_entries.async_update_subentry(
        mock_config_entry, subentry, title="Another"
    )
    await hass.async_block_till_done()

    assert len(monitors) == 1
    assert monitor.closed == 0
    assert device_of(hass, mock_config_entry, mock_config_entry.entry_id).name == "Mine"

"""Set-up and unload of an entry."""

import asyncio
from dataclasses import replace
from datetime import timedelta
import inspect
from typing import Any
from unittest.mock import MagicMock, patch

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi.api import (
    CannotConnectError,
    ForbiddenError,
    InternalError,
    MetaApiError,
    Monitor,
    ServerSettings,
    TooManyRequestsError,
    UnauthorizedError,
    ValidationError,
)
from custom_components.metaapi.const import (
    DATA_REST_PAUSES,
    DOMAIN,
    REREAD_INTERVAL,
    SETUP_TIMEOUT,
)
from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.const import EVENT_HOMEASSISTANT_STOP, STATE_UNAVAILABLE
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr, entity_registry as er
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
    setup_entry,
    value,
)


def test_fake_monitor_is_like_the_real_one() -> None:
    """What the tests put in the monitor's place has its public edge."""
    members = {
        name: member
        for name, member in vars(FakeMonitor).items()
        if inspect.isfunction(member) and not name.startswith("push")
    }
    assert len(members) == 13
    for name, member in members.items():
        real = inspect.signature(getattr(Monitor, name)).parameters
        fake = inspect.signature(member).parameters
        assert [(one.name, one.kind, one.default) for one in fake.values()] == [
            (one.name, one.kind, one.default) for one in real.values()
        ], name


async def test_setup_and_unload(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """An entry loads with its accounts, and unloads without a trace."""
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
    """A reload closes one monitor and opens another."""
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
    """Each account is a device behind the hub's."""
    hub = device_of(hass, mock_config_entry, mock_config_entry.entry_id)
    device = device_of(hass, mock_config_entry, SWING.account_id)
    assert hub.name == "MetaApi"
    assert hub.entry_type is dr.DeviceEntryType.SERVICE
    assert hub.config_subentry_id is None
    assert device.name == "Swing"
    assert device.manufacturer == "MetaApi"
    assert device.model == "MT5 · cloud-g2"
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
    """The sockets go where MetaApi serves this user."""
    settings = ServerSettings(hostname="elsewhere", domain="example.com")
    provisioning.server_settings.return_value = settings

    await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert monitors[0].endpoints.settings == settings


async def test_server_settings_that_the_token_may_not_read(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """Then MetaApi's usual servers are used."""
    provisioning.server_settings.side_effect = ForbiddenError("no")

    await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert monitors[0].endpoints.settings == ServerSettings()


async def test_api_url(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """With a server of the user's own, MetaApi's settings are of no use."""
    entry = make_entry(
        SWING, data={"api_url": "http://127.0.0.1:1", "application": "Home"}
    )

    await setup_entry(hass, entry)

    assert entry_state(entry) is ConfigEntryState.LOADED
    assert monitors[0].endpoints.api_url == "http://127.0.0.1:1"
    assert monitors[0].application == "Home"
    provisioning.server_settings.assert_not_called()


@pytest.mark.parametrize(
    ("token", "listings", "interval"),
    [
        pytest.param(make_jwt(provisioning=False), 0, None, id="the token says so"),
        pytest.param(TOKEN, 1, REREAD_INTERVAL, id="REST says so"),
    ],
)
async def test_token_that_cannot_list(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    token: str,
    listings: int,
    interval: timedelta | None,
) -> None:
    """A limited token goes on without facts; REST is left alone, unless the 403 may pass."""
    provisioning.accounts.side_effect = ForbiddenError("no")
    provisioning.server_settings.side_effect = UnauthorizedError("no")
    entry = make_entry(SWING, token=token)

    await setup_entry(hass, entry)

    assert entry_state(entry) is ConfigEntryState.LOADED
    assert provisioning.accounts.call_count == listings
    assert monitors[0].regions == {SWING.account_id: "london"}
    assert monitors[0].facts == []
    assert entry.runtime_data.update_interval == interval
    assert hass.states.get("button.swing_reconnect") is not None


async def test_token_refused(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """A token that MetaApi refuses starts a reauth, before any socket is opened."""
    provisioning.accounts.side_effect = UnauthorizedError("no")

    await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.SETUP_ERROR
    assert mock_config_entry.error_reason_translation_key == "invalid_token"
    flows = hass.config_entries.flow.async_progress_by_handler(DOMAIN)
    assert [flow["context"]["source"] for flow in flows] == ["reauth"]
    assert monitors[0].regions == {}
    assert monitors[0].closed == 1


@pytest.mark.parametrize("method", ["accounts", "server_settings"])
@pytest.mark.parametrize(
    ("error", "key", "text"),
    [
        (
            CannotConnectError("down"),
            "cannot_connect",
            (
                "MetaApi could not be reached: down. Home Assistant tries again by itself."
                " If this lasts, check the network, and the API URL if you set one"
            ),
        ),
        (
            InternalError("oops"),
            "answered_with_error",
            "MetaApi answered with an error: oops. Home Assistant tries again by itself",
        ),
    ],
)
async def test_metaapi_not_ready(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    method: str,
    error: MetaApiError,
    key: str,
    text: str,
) -> None:
    """What may be better later is tried again later, and the reason is told."""
    mock_config_entry = make_entry(SWING, SCALP)
    getattr(provisioning, method).side_effect = error

    await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.SETUP_RETRY
    assert mock_config_entry.error_reason_translation_key == key
    assert mock_config_entry.error_reason_translation_placeholders == {
        "error": str(error)
    }
    assert mock_config_entry.reason == text
    assert monitors[0].regions == {}
    assert monitors[0].closed == 1
    assert not hass.config_entries.flow.async_progress_by_handler(DOMAIN)

    getattr(provisioning, method).side_effect = None
    await hass.config_entries.async_reload(mock_config_entry.entry_id)
    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED


@pytest.mark.parametrize("method", ["accounts", "server_settings"])
@pytest.mark.parametrize(
    ("asked", "seconds"), [("1800", 1800), ("20", 300), (None, 300)]
)
async def test_metaapi_wants_a_rest(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    method: str,
    asked: str | None,
    seconds: int,
) -> None:
    """However often Home Assistant tries, MetaApi is not asked before the rest is over."""
    call = getattr(provisioning, method)
    call.side_effect = TooManyRequestsError("slow", metadata={"retryAfter": asked})
    entry = make_entry(SWING)
    await setup_entry(hass, entry)
    assert entry_state(entry) is ConfigEntryState.SETUP_RETRY
    assert entry.error_reason_translation_key == "answered_with_error"
    call.side_effect = None
    pauses = hass.data[DATA_REST_PAUSES]
    assert seconds - 9 < pauses[TOKEN] - hass.loop.time() <= seconds

    provisioning.reset_mock()
    for _ in range(3):
        await hass.config_entries.async_reload(entry.entry_id)
        assert entry_state(entry) is ConfigEntryState.SETUP_RETRY
        assert entry.error_reason_translation_key == "rest_asked"
    assert not provisioning.method_calls

    pauses[TOKEN] -= seconds
    await hass.config_entries.async_reload(entry.entry_id)
    assert entry_state(entry) is ConfigEntryState.LOADED
    assert not pauses


async def test_rest_is_that_of_a_token(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """Another token is another question."""
    hass.data[DATA_REST_PAUSES] = {TOKEN: hass.loop.time() + 1800}
    entry = make_entry(SWING, token=make_jwt(issued=1))
    await setup_entry(hass, entry)
    assert entry_state(entry) is ConfigEntryState.LOADED


async def test_listing_refused_for_another_reason(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """An answer that no documentation knows does not end in a broken entry."""
    provisioning.accounts.side_effect = ValidationError("what?")

    await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.SETUP_RETRY


async def test_metaapi_does_not_answer(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """Start-up is not held up by a server that is slow in everything."""

    async def hang() -> None:
        await asyncio.Event().wait()

    provisioning.accounts.side_effect = hang
    with patch("custom_components.metaapi.SETUP_TIMEOUT", 0.01):
        await setup_entry(hass, mock_config_entry)

    assert entry_state(mock_config_entry) is ConfigEntryState.SETUP_RETRY
    assert mock_config_entry.error_reason_translation_key == "no_answer"
    assert monitors[0].closed == 1


def test_setup_timeout() -> None:
    """Set-up never holds start-up for more than ten seconds."""
    assert SETUP_TIMEOUT <= 10


async def test_setup_that_fails_late(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A set-up that fails with sockets open closes them."""
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
    """While the platforms stay, so do the sockets."""
    with patch.object(
        hass.config_entries, "async_unload_platforms", return_value=False
    ):
        assert not await hass.config_entries.async_unload(mock_config_entry.entry_id)

    assert monitor.closed == 0
    await mock_config_entry.runtime_data.async_shutdown()


async def test_home_assistant_stops(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """The sockets are closed when Home Assistant stops, since entries are not unloaded then."""
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
    """Sockets that are open before the set-up is complete are closed as well."""
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
    """Bring an entry into a state."""
    errors = {
        ConfigEntryState.SETUP_RETRY: CannotConnectError("down"),
        ConfigEntryState.SETUP_ERROR: UnauthorizedError("no"),
    }
    provisioning.accounts.side_effect = errors.get(state)
    await setup_entry(hass, entry)
    if state is ConfigEntryState.NOT_LOADED:
        await hass.config_entries.async_unload(entry.entry_id)
    assert entry_state(entry) is state
    provisioning.accounts.side_effect = None


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
    """Whatever went before, a reload ends in one monitor that runs."""
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
    """Whatever went before, after a removal nothing of ours is left."""
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
    """A token refused while running, and again at the reload after it, is asked for once."""
    monitor.push_link(False, token_refused=True)
    await hass.async_block_till_done()
    provisioning.accounts.side_effect = UnauthorizedError("no")
    assert not await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()

    assert entry_state(mock_config_entry) is ConfigEntryState.SETUP_ERROR
    assert [one.closed for one in monitors] == [1, 1]
    assert len(hass.config_entries.flow.async_progress_by_handler(DOMAIN)) == 1


async def test_two_accounts_of_one_name(
    hass: HomeAssistant, monitors: list[FakeMonitor], provisioning: MagicMock
) -> None:
    """Each has its own device and entities; the ids of the second get a number."""
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
    assert monitors[0].reconnects == [(twin.account_id, 60)]


async def test_nothing_noisy(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """An account has four entities, all of them enabled."""
    entities = er.async_entries_for_config_entry(
        er.async_get(hass), mock_config_entry.entry_id
    )
    assert len(entities) == 2 * 7 + 1
    assert not [entity for entity in entities if entity.disabled_by]


async def test_account_added(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """A new account is there after a reload that nobody has to ask for."""
    entry = make_entry(SWING)
    await setup_entry(hass, entry)
    subentry: dict[str, Any] = {**account_subentry(SCALP)}

    hass.config_entries.async_add_subentry(entry, ConfigSubentry(**subentry))
    await hass.async_block_till_done()

    assert len(monitors) == 2
    assert set(monitors[1].regions) == {SWING.account_id, SCALP.account_id}
    assert hass.states.get("binary_sensor.scalp_terminal") is not None


async def test_account_removed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
) -> None:
    """With an account go its device and its entities; the others' sockets and states stay."""
    entity_registry, device_registry = er.async_get(hass), dr.async_get(hass)
    entry_id = mock_config_entry.entry_id
    subentry_id = list(mock_config_entry.subentries)[1]

    hass.config_entries.async_remove_subentry(mock_config_entry, subentry_id)
    await hass.async_block_till_done()

    assert len(monitors) == 1
    assert monitor.closed == 0
    assert monitor.removed == [SCALP.account_id]
    assert len(mock_config_entry.runtime_data.links) == 1
    assert value(hass, "binary_sensor.swing_terminal") == "on"
    assert hass.states.get("binary_sensor.scalp_terminal") is None
    assert (
        device_registry.async_get_device_by_identifier(
            (DOMAIN, SCALP.account_id), entry_id
        )
        is None
    )
    assert len(er.async_entries_for_config_entry(entity_registry, entry_id)) == 8


async def test_account_removed_and_added_again(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
) -> None:
    """What was let go is watched anew."""
    subentry_id = list(mock_config_entry.subentries)[1]
    hass.config_entries.async_remove_subentry(mock_config_entry, subentry_id)
    await hass.async_block_till_done()
    subentry: dict[str, Any] = {**account_subentry(SCALP)}
    hass.config_entries.async_add_subentry(
        mock_config_entry, ConfigSubentry(**subentry)
    )
    await hass.async_block_till_done()

    assert [set(one.regions) for one in monitors] == [
        {SWING.account_id},
        {SWING.account_id, SCALP.account_id},
    ]
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
    """What comes and goes between the watch and the end of the set-up is minded as well."""
    gold = replace(SWING, account_id="33333333-aaaa-4bbb-8ccc-000000000003")
    provisioning.accounts.return_value = [SWING, SCALP, gold]
    entry = mock_config_entry
    forward = hass.config_entries.async_forward_entry_setups
    first = True

    async def change(*args: Any) -> None:
        nonlocal first
        now, first = first, False
        if now and late:
            await forward(*args)
        if now:
            subentry: dict[str, Any] = {**account_subentry(gold)}
            hass.config_entries.async_add_subentry(entry, ConfigSubentry(**subentry))
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
    assert len(hass.states.async_entity_ids("button")) == 2
    assert "Traceback" not in caplog.text


async def test_account_removed_during_set_up(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """An account that goes between the watch and the end of the set-up is let go."""
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
    """Each hub is called as its entry is."""
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
    """A new title is no reason to close sockets."""
    subentry = next(iter(mock_config_entry.subentries.values()))

    hass.config_entries.async_update_entry(mock_config_entry, title="Mine")
    hass.config_entries.async_update_subentry(
        mock_config_entry, subentry, title="Another"
    )
    await hass.async_block_till_done()

    assert len(monitors) == 1
    assert monitor.closed == 0

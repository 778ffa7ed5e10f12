"""Test the devices: names, regions, models."""

from dataclasses import replace
from unittest.mock import MagicMock

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi.api import Account, CannotConnectError
from custom_components.metaapi.const import REREAD_INTERVAL
from custom_components.metaapi.device import async_account_name
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr

from .conftest import (
    SCALP,
    SWING,
    FakeMonitor,
    data_of,
    device_of,
    make_entry,
    pass_time,
    setup_entry,
)


async def test_renamed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """Device and subentry get the new name; entity ids stay."""
    provisioning.accounts.return_value = [replace(SWING, name="Long term"), SCALP]

    await pass_time(hass, REREAD_INTERVAL)

    assert device_of(hass, mock_config_entry, SWING.account_id).name == "Long term"
    assert next(iter(mock_config_entry.subentries.values())).title == "Long term"
    state = hass.states.get("binary_sensor.swing_terminal")
    assert state is not None
    assert state.name == "Long term Terminal"


async def test_renamed_after_the_user_named_it(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """The user's own names take precedence."""
    device = device_of(hass, mock_config_entry, SWING.account_id)
    dr.async_get(hass).async_update_device(device.id, name_by_user="Mine")
    subentry = next(iter(mock_config_entry.subentries.values()))
    hass.config_entries.async_update_subentry(
        mock_config_entry, subentry, title="My own"
    )
    provisioning.accounts.return_value = [replace(SWING, name="Long term"), SCALP]

    await pass_time(hass, REREAD_INTERVAL)

    device = device_of(hass, mock_config_entry, SWING.account_id)
    assert (device.name, device.name_by_user) == ("Long term", "Mine")
    assert subentry.title == "My own"
    state = hass.states.get("binary_sensor.swing_terminal")
    assert state is not None
    assert state.name == "Mine Terminal"


async def test_names_without_facts(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """Without facts from MetaApi, the device and the user's title stay as they are."""
    subentry = next(iter(mock_config_entry.subentries.values()))
    hass.config_entries.async_update_subentry(
        mock_config_entry, subentry, title="My own"
    )
    provisioning.accounts.return_value = [SCALP]
    provisioning.account.side_effect = CannotConnectError("down")
    await hass.config_entries.async_reload(mock_config_entry.entry_id)
    await hass.async_block_till_done()
    for accounts in ([SCALP], [SWING, SCALP]):
        provisioning.accounts.return_value = accounts
        await data_of(mock_config_entry).facts.async_read()
        device = device_of(hass, mock_config_entry, SWING.account_id)
        assert (device.name, device.model) == ("Swing", "MetaTrader 5 · Broker-Live")
        assert subentry.title == "My own"


@pytest.mark.parametrize("name", ["", "90210", "💰"])
@pytest.mark.parametrize(
    ("login", "server", "shown"),
    [
        ("90210", "Broker-Live", "90210 · Broker-Live"),
        ("90210", "", "90210"),
        ("", "", SWING.account_id),
    ],
)
async def test_name_without_letters(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    *,
    name: str,
    login: str,
    server: str,
    shown: str,
) -> None:
    """The login and server are the name instead, or the id."""
    account = replace(SWING, name=name, login=login, server=server)
    provisioning.accounts.return_value = [account]
    entry = make_entry(account)

    await setup_entry(hass, entry)

    assert device_of(hass, entry, SWING.account_id).name == shown


async def test_moved(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """An account in another region is watched there, without a reload."""
    provisioning.accounts.return_value = [replace(SWING, region="singapore"), SCALP]

    await pass_time(hass, REREAD_INTERVAL)

    assert len(monitors) == 1
    assert monitor.regions == {
        SWING.account_id: "singapore",
        SCALP.account_id: "new-york",
    }
    subentry = next(iter(mock_config_entry.subentries.values()))
    assert subentry.data["region"] == "singapore"


async def test_region_is_missing(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
) -> None:
    """The known region stays if REST does not report any."""
    provisioning.accounts.return_value = [replace(SWING, region=""), SCALP]

    await pass_time(hass, REREAD_INTERVAL)

    assert monitor.regions[SWING.account_id] == "london"
    subentry = next(iter(mock_config_entry.subentries.values()))
    assert subentry.data["region"] == "london"


@pytest.mark.parametrize(
    ("account", "model"),
    [
        (SWING, "MetaTrader 5 · Broker-Live"),
        (SCALP, "MetaTrader 4 · Broker-Live"),
        (replace(SWING, version=None), "Broker-Live"),
        (replace(SWING, server=""), "MetaTrader 5"),
        (replace(SWING, server="", version=None), None),
    ],
)
async def test_model(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    account: Account,
    model: str | None,
) -> None:
    """The model contains the platform and the server, if they are known."""
    provisioning.accounts.return_value = [account]
    entry = make_entry(account)

    await setup_entry(hass, entry)

    assert device_of(hass, entry, account.account_id).model == model


@pytest.mark.parametrize(("login", "serial"), [("90210", "90210"), ("", None)])
async def test_serial_number(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    login: str,
    serial: str | None,
) -> None:
    """The serial number is the login, and follows changes at MetaApi."""
    provisioning.accounts.return_value = [replace(SWING, login=login)]
    entry = make_entry(SWING)

    await setup_entry(hass, entry)

    assert device_of(hass, entry, SWING.account_id).serial_number == serial
    for changed, now in (("777", "777"), ("", None)):
        provisioning.accounts.return_value = [replace(SWING, login=changed)]
        await data_of(entry).facts.async_read()
        assert device_of(hass, entry, SWING.account_id).serial_number == now


async def test_name_without_a_device(hass: HomeAssistant) -> None:
    """Without a device the name is the title, and of a removed account the id."""
    entry = make_entry(SWING)
    entry.add_to_hass(hass)
    assert async_account_name(hass, entry, SWING.account_id) == "Swing"
    assert async_account_name(hass, entry, "gone") == "gone"

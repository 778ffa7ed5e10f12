"""Test the status sensor."""

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from custom_components.metaapi.api import AccountState, Status
from homeassistant.const import STATE_UNAVAILABLE, STATE_UNKNOWN, Platform
from homeassistant.core import HomeAssistant

from .conftest import SWING, FakeMonitor, describe_entities, value

STATUS = "sensor.swing_status"
OUT_OF_SIGHT = {
    Status.NO_CONNECTION,
    Status.QUOTA_EXHAUSTED,
    Status.FORBIDDEN,
    Status.NOT_FOUND,
    Status.NO_ANSWER,
    Status.TOKEN_REFUSED,
}


async def test_entities(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    snapshot: SnapshotAssertion,
) -> None:
    """The entities have the expected names and properties."""
    assert describe_entities(hass, mock_config_entry, Platform.SENSOR) == snapshot


@pytest.mark.parametrize("status", [one for one in Status if one is not Status.UNKNOWN])
async def test_states(
    hass: HomeAssistant, monitor: FakeMonitor, status: Status
) -> None:
    """Every status is shown, in sight and out of sight."""
    monitor.push(
        SWING.account_id,
        AccountState(available=status not in OUT_OF_SIGHT, status=status),
    )

    assert value(hass, STATUS) == status.value


@pytest.mark.parametrize("available", [True, False])
async def test_unknown(
    hass: HomeAssistant, monitor: FakeMonitor, available: bool
) -> None:
    """An unknown status is Home Assistant's `unknown`."""
    monitor.push(SWING.account_id, AccountState(available=available))

    assert value(hass, STATUS) == STATE_UNKNOWN


async def test_token_refused(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """The sensor is available while everything else is not."""
    monitor.push(
        SWING.account_id, AccountState(available=False, status=Status.TOKEN_REFUSED)
    )

    assert value(hass, "binary_sensor.swing_terminal") == STATE_UNAVAILABLE
    assert value(hass, STATUS) == "token_refused"

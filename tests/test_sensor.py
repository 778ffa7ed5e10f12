"""The sensor that says why."""

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
}


async def test_entities(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    snapshot: SnapshotAssertion,
) -> None:
    """The entities are what they are called."""
    assert describe_entities(hass, mock_config_entry, Platform.SENSOR) == snapshot


@pytest.mark.parametrize("status", [one for one in Status if one is not Status.UNKNOWN])
async def test_states(
    hass: HomeAssistant, monitor: FakeMonitor, status: Status
) -> None:
    """Every reason shows, whether the account is in sight or not."""
    monitor.push(
        SWING.account_id,
        AccountState(available=status not in OUT_OF_SIGHT, status=status),
    )

    assert value(hass, STATUS) == status.value


@pytest.mark.parametrize("available", [True, False])
async def test_unknown(
    hass: HomeAssistant, monitor: FakeMonitor, available: bool
) -> None:
    """A reason that is not known is what Home Assistant calls unknown."""
    monitor.push(SWING.account_id, AccountState(available=available))

    assert value(hass, STATUS) == STATE_UNKNOWN


async def test_token_refused(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """Only a token that MetaApi refuses makes the status unavailable."""
    monitor.push(SWING.account_id, AccountState(available=False, status=None))

    assert value(hass, STATUS) == STATE_UNAVAILABLE

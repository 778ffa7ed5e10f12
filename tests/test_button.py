"""Test the reconnect button."""

import asyncio

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from custom_components.metaapi.api import AccountState, Outcome, ReconnectResult, Status
from custom_components.metaapi.const import DEFAULT_TIMEOUT
from homeassistant.const import STATE_UNAVAILABLE, Platform
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError

from .conftest import (
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    describe_entities,
    value,
)

RECONNECT = "button.swing_reconnect"


async def press(hass: HomeAssistant, *entity_ids: str) -> None:
    """Press a button."""
    await hass.services.async_call(
        "button", "press", {"entity_id": list(entity_ids)}, blocking=True
    )


async def test_entities(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    snapshot: SnapshotAssertion,
) -> None:
    """The entities have the expected names and properties."""
    assert describe_entities(hass, mock_config_entry, Platform.BUTTON) == snapshot


async def test_press(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """A press reconnects this account, with the default timeout."""
    await press(hass, RECONNECT)

    assert monitor.reconnects == [(SWING.account_id, DEFAULT_TIMEOUT)]


@pytest.mark.parametrize(
    "link", [NO_CONNECTION, AccountState(available=False, status=Status.TOKEN_REFUSED)]
)
async def test_always_available(
    hass: HomeAssistant, monitor: FakeMonitor, link: AccountState
) -> None:
    """The button is needed most while everything else is unavailable."""
    monitor.push_link(False)
    monitor.push(SWING.account_id, link)
    assert value(hass, "binary_sensor.swing_terminal") == STATE_UNAVAILABLE

    assert value(hass, RECONNECT) != STATE_UNAVAILABLE
    await press(hass, RECONNECT)

    assert monitor.reconnects == [(SWING.account_id, DEFAULT_TIMEOUT)]


@pytest.mark.parametrize(
    ("result", "key", "message"),
    [
        (
            ReconnectResult(Outcome.REFUSED, 0.5, "Trading is closed"),
            "reconnect_refused",
            (
                "Swing: MetaApi refused to reconnect (Trading is closed)."
                " Look at the account at MetaApi"
            ),
        ),
        (
            ReconnectResult(Outcome.TIMED_OUT, 60),
            "reconnect_timed_out",
            (
                "Swing: the terminal did not come back in time, but still may."
                " Wait a minute and look at the status."
                " If it stays disconnected, look at the account at MetaApi"
            ),
        ),
        (
            ReconnectResult(Outcome.NO_CONNECTION, 60),
            "reconnect_no_connection",
            (
                "Swing: Home Assistant has no connection to MetaApi."
                " Check the network, then try again"
            ),
        ),
    ],
)
async def test_failure(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    result: ReconnectResult,
    key: str,
    message: str,
) -> None:
    """A failed press raises an error with the reason."""
    monitor.reconnect_results[SWING.account_id] = [result]

    with pytest.raises(HomeAssistantError) as raised:
        await press(hass, RECONNECT)

    assert raised.value.translation_key == key
    assert str(raised.value) == message


async def test_buttons_do_not_wait_for_each_other(
    hass: HomeAssistant, monitor: FakeMonitor
) -> None:
    """Two accounts are reconnected at the same time."""
    started: list[str] = []
    both = asyncio.Event()

    async def attempt(account_id: str) -> ReconnectResult:
        started.append(account_id)
        if len(started) == 2:
            both.set()
        await both.wait()
        return ReconnectResult(Outcome.AUTHENTICATED, 1.0)

    monitor.on_reconnect = attempt

    async with asyncio.timeout(30):
        await press(hass, RECONNECT, "button.scalp_reconnect")

    assert sorted(started) == [SWING.account_id, SCALP.account_id]

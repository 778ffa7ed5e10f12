"""The event that says how an attempt to reconnect ended."""

import asyncio

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from custom_components.metaapi.api import Outcome, ReconnectResult
from custom_components.metaapi.const import DOMAIN
from homeassistant.const import STATE_UNKNOWN, Platform
from homeassistant.core import HomeAssistant, State

from .conftest import (
    CONNECTED,
    NO_CONNECTION,
    SWING,
    FakeMonitor,
    describe_entities,
    value,
)

RESULT = "event.swing_reconnect_result"


def shown(hass: HomeAssistant) -> State:
    """Return the state of the event."""
    state = hass.states.get(RESULT)
    assert state is not None
    return state


async def reconnect(hass: HomeAssistant, **data: object) -> None:
    """Reconnect an account."""
    await hass.services.async_call(
        DOMAIN,
        "reconnect",
        {"entity_id": RESULT, **data},
        blocking=True,
        return_response=True,
    )


async def test_entities(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    snapshot: SnapshotAssertion,
) -> None:
    """The entities are what they are called."""
    assert describe_entities(hass, mock_config_entry, Platform.EVENT) == snapshot


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_outcomes(
    hass: HomeAssistant, monitor: FakeMonitor, outcome: Outcome
) -> None:
    """Every outcome is an event, with how long it took and what MetaApi said."""
    assert value(hass, RESULT) == STATE_UNKNOWN
    monitor.reconnect_results[SWING.account_id] = [
        ReconnectResult(outcome, 0.0, "said no"),
        ReconnectResult(outcome, 0.0, "said no"),
    ]
    await reconnect(hass)
    state = shown(hass)
    assert state.attributes["event_type"] == outcome
    assert state.attributes["error"] == "said no"
    assert state.attributes["seconds"] >= 0


async def test_always_available(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """A gap in sight writes no state: each would be a row in Activity."""
    await reconnect(hass)
    before = shown(hass)
    for state in (NO_CONNECTION, CONNECTED):
        monitor.push(SWING.account_id, state)
    await hass.async_block_till_done()
    assert shown(hass) is before


async def test_joined(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """Callers that wait for one attempt make one event, with the result of the last."""
    waiting: list[asyncio.Future[ReconnectResult]] = []

    async def wait(account_id: str) -> ReconnectResult:
        waiting.append(hass.loop.create_future())
        return await waiting[-1]

    monitor.on_reconnect = wait
    calls = [hass.async_create_task(reconnect(hass)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].set_result(ReconnectResult(Outcome.TIMED_OUT, 1.0))
    await calls[0]
    assert value(hass, RESULT) == STATE_UNKNOWN
    waiting[1].set_result(ReconnectResult(Outcome.AUTHENTICATED, 2.0))
    await calls[1]
    assert shown(hass).attributes["event_type"] == Outcome.AUTHENTICATED

"""Test the event entity with the results of reconnects."""

import asyncio

import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
)
from syrupy.assertion import SnapshotAssertion

from custom_components.metaapi.api import (
    AccountState,
    Outcome,
    ReconnectResult,
    Status,
)
from custom_components.metaapi.const import ATTR_MESSAGE, DOMAIN, EVENT_OUTAGE
from custom_components.metaapi.messages import Composer
from custom_components.metaapi.sensor import MetaApiOutageSensor
from homeassistant.const import STATE_UNKNOWN, Platform
from homeassistant.core import HomeAssistant, State
from homeassistant.helpers.translation import async_get_translations

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
    """Return the state of the event entity."""
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
    """The entities have the expected names and properties."""
    assert describe_entities(hass, mock_config_entry, Platform.EVENT) == snapshot


@pytest.mark.parametrize("outcome", list(Outcome))
async def test_outcomes(
    hass: HomeAssistant, monitor: FakeMonitor, outcome: Outcome
) -> None:
    """Every outcome is an event, with its duration and MetaApi's error."""
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
    """A gap in sight writes no state, since each one would be a row in Activity."""
    await reconnect(hass)
    before = shown(hass)
    for state in (NO_CONNECTION, CONNECTED):
        monitor.push(SWING.account_id, state)
    await hass.async_block_till_done()
    assert shown(hass) is before


async def test_joined(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """Several callers of one attempt cause one event, with the result of the last."""
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


AWAY = AccountState(terminal=True, broker=False, status=Status.BROKER_DISCONNECTED)


async def test_sentences_follow_the_language(
    hass: HomeAssistant, monitor: FakeMonitor
) -> None:
    """Once the home has another language, the next sentence is in it, even if its texts come late."""
    events = async_capture_events(hass, EVENT_OUTAGE)
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, AWAY)
    hass.config.language = "de"
    # Home Assistant has not loaded them yet
    monitor.push(SWING.account_id, CONNECTED)
    await async_get_translations(hass, "de", "common", {DOMAIN})
    monitor.push(SWING.account_id, AWAY)
    await hass.async_block_till_done()
    english, _, german = (event.data[ATTR_MESSAGE] for event in events)
    assert "broker" in english.casefold()
    assert german not in (english, "broker_lost")
    assert Composer(hass).text("broker_lost", account="Swing") in german


async def test_broker_costs_little(
    hass: HomeAssistant, monitor: FakeMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that comes and goes reads no sensor of outages, and makes no composer for each sentence."""
    events = async_capture_events(hass, EVENT_OUTAGE)
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, AWAY)
    done: list[str] = []
    for kind, name in ((MetaApiOutageSensor, "_read"), (Composer, "__init__")):
        monkeypatch.setattr(kind, name, lambda *_, name=name: done.append(name))
    for state in (CONNECTED, AWAY, CONNECTED):
        monitor.push(SWING.account_id, state)
    await hass.async_block_till_done()
    assert len(events) == 4
    assert done == []

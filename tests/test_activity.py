"""What Activity shows of an outage, by the real logbook: few rows, and who reconnected."""

from datetime import datetime, timedelta
from typing import Any
from unittest.mock import MagicMock

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry, MockUser
from pytest_homeassistant_custom_component.components.recorder.common import (
    async_wait_recording_done,
)

from custom_components.metaapi.api import (
    AccountState,
    Outcome,
    ReconnectResult,
    Status,
)
from homeassistant.components.logbook.helpers import async_determine_event_types
from homeassistant.components.logbook.processor import EventProcessor
from homeassistant.core import Context, HomeAssistant
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.recorder import get_instance
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    setup_entry,
)

TERMINAL = "binary_sensor.swing_terminal"
BUTTON = "button.swing_reconnect"
RESULT = "event.swing_reconnect_result"
RECONNECTING = AccountState(terminal=False, status=Status.RECONNECTING)

ON_THE_DASHBOARD = (RESULT,)


@pytest.fixture
async def monitor(
    recorder_mock: object,
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> FakeMonitor:
    """Set up the logbook and the entry, with both accounts connected."""
    # what the logbook needs of them is a place for its panel and its views
    hass.config.components |= {"frontend", "http"}
    hass.http = MagicMock()
    assert await async_setup_component(hass, "logbook", {})
    hass.config.components -= {"frontend", "http"}
    await setup_entry(hass, mock_config_entry)
    fake = monitors[-1]
    fake.push_link(True)
    for account in (SWING, SCALP):
        fake.push(account.account_id, CONNECTED)
    await hass.async_block_till_done()
    await async_wait_recording_done(hass)
    return fake


def let_reconnect(
    monitor: FakeMonitor, freezer: FrozenDateTimeFactory, outcome: Outcome
) -> None:
    """Let an attempt take longer than an entity remembers its context."""

    async def attempt(account_id: str) -> ReconnectResult:
        monitor.push(account_id, RECONNECTING)
        freezer.tick(8)
        monitor.push(
            account_id,
            CONNECTED
            if outcome is Outcome.AUTHENTICATED
            else AccountState(terminal=False, status=Status.RECONNECT_FAILED),
        )
        freezer.tick(0.1)
        return ReconnectResult(outcome, 8.1)

    monitor.on_reconnect = attempt


async def rows(
    hass: HomeAssistant, since: datetime, entity_ids: list[str]
) -> list[dict[str, Any]]:
    """Return what Activity shows of entities."""
    await async_wait_recording_done(hass)
    processor = EventProcessor(
        hass, async_determine_event_types(hass, entity_ids, None), entity_ids
    )
    return await get_instance(hass).async_add_executor_job(
        processor.get_events, since, dt_util.utcnow() + timedelta(seconds=1)
    )


def title(row: dict[str, Any]) -> str:
    """Return what a row is about: what Activity shows beside the entity, or its name."""
    text: str = row.get("message") or row["name"]
    return text.partition(" · ")[0]


async def outage(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> datetime:
    """Let a terminal drop, and return the moment before."""
    freezer.tick(60)
    since = dt_util.utcnow()
    freezer.tick(1)
    monitor.push(SWING.account_id, DISCONNECTED)
    await hass.async_block_till_done()
    freezer.tick(600)
    return since


async def test_reconnected_by_a_person(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    hass_admin_user: MockUser,
    freezer: FrozenDateTimeFactory,
) -> None:
    """An outage is three rows on the dashboard: lost, what the person's attempt came to, and back."""
    let_reconnect(monitor, freezer, Outcome.AUTHENTICATED)
    since = await outage(hass, monitor, freezer)
    await hass.services.async_call(
        "button",
        "press",
        {"entity_id": BUTTON},
        blocking=True,
        context=Context(user_id=hass_admin_user.id),
    )

    shown = await rows(hass, since, list(ON_THE_DASHBOARD))

    began = dt_util.as_local(since + timedelta(seconds=1))
    assert [
        (row.get("name"), row.get("message"), row.get("context_user_id"))
        for row in shown
    ] == [
        ("Swing", "Swing is down · Disconnected", None),
        (
            "Swing",
            f"Swing is back · It was down for 10 min, from {began:%H:%M}. Attempts to reconnect: 1.",
            hass_admin_user.id,
        ),
        ("Swing Reconnect result", None, hass_admin_user.id),
    ]
    assert shown[2]["attributes"] == {"event_type": "authenticated"}


async def test_reconnected_by_an_automation(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """An attempt that failed, and was made by an automation, shows both; later news is nobody's."""
    assert await async_setup_component(
        hass,
        "automation",
        {
            "automation": {
                "alias": "Repair my terminals",
                "triggers": {"trigger": "event", "event_type": "repair"},
                "actions": {
                    "action": "metaapi.reconnect",
                    "target": {"entity_id": TERMINAL},
                    "continue_on_error": True,
                },
            }
        },
    )
    let_reconnect(monitor, freezer, Outcome.TIMED_OUT)
    since = await outage(hass, monitor, freezer)
    hass.bus.async_fire("repair")
    await hass.async_block_till_done()
    freezer.tick(60)
    monitor.push(SWING.account_id, CONNECTED)
    await hass.async_block_till_done()

    shown = await rows(hass, since, list(ON_THE_DASHBOARD))

    assert [(title(row), row.get("context_name")) for row in shown] == [
        ("Swing is down", None),
        ("Swing Reconnect result", "Repair my terminals"),
        ("Swing is back", None),
    ]
    assert shown[1]["attributes"] == {"event_type": "timed_out"}


async def test_an_outage_that_ends_by_itself(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """Without an attempt an outage is two rows."""
    since = await outage(hass, monitor, freezer)
    monitor.push(SWING.account_id, CONNECTED)
    await hass.async_block_till_done()

    shown = await rows(hass, since, list(ON_THE_DASHBOARD))

    assert [title(row) for row in shown] == ["Swing is down", "Swing is back"]
    assert "It was down for 10 min" in shown[1]["message"]


async def test_other_outages(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
    freezer: FrozenDateTimeFactory,
) -> None:
    """A lost broker and a gap in sight are told as well; the first value and a reload are no outage."""
    since = dt_util.utcnow() - timedelta(minutes=5)
    for state in (
        AccountState(terminal=True, broker=False, status=Status.BROKER_DISCONNECTED),
        CONNECTED,
        NO_CONNECTION,
        CONNECTED,
    ):
        freezer.tick(60)
        monitor.push(SWING.account_id, state)
        await hass.async_block_till_done()

    await hass.config_entries.async_reload(mock_config_entry.entry_id)
    monitors[-1].push(SWING.account_id, CONNECTED)
    await hass.async_block_till_done()

    shown = [
        row
        for row in await rows(hass, since, list(ON_THE_DASHBOARD))
        if "message" in row
    ]

    assert [row["message"].split(",")[0] for row in shown] == [
        "Swing has lost its broker · Broker disconnected",
        "Swing has its broker again · It was without its broker for 1 min",
        "Swing is out of sight · MetaApi unreachable",
        "Swing is in sight again · Home Assistant could not see it for 1 min",
    ]


async def test_everything_that_follows_names_the_person(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    hass_admin_user: MockUser,
    freezer: FrozenDateTimeFactory,
) -> None:
    """On the page of the device every row that an attempt made names who made it, and no other does."""
    entity_ids = [
        entity.entity_id
        for entity in er.async_entries_for_config_entry(
            er.async_get(hass), mock_config_entry.entry_id
        )
        if "swing" in entity.entity_id
    ]
    assert {TERMINAL, RESULT} < set(entity_ids)
    let_reconnect(monitor, freezer, Outcome.AUTHENTICATED)
    since = await outage(hass, monitor, freezer)
    await hass.services.async_call(
        "metaapi",
        "reconnect",
        {"entity_id": TERMINAL},
        blocking=True,
        context=Context(user_id=hass_admin_user.id),
    )

    shown = await rows(hass, since, entity_ids)

    assert sorted(
        (row["entity_id"], row["state"])
        for row in shown
        if row.get("context_user_id") is None and "state" in row
    ) == [
        ("binary_sensor.swing_broker", "unknown"),
        (TERMINAL, "off"),
        ("sensor.swing_disconnected_since", shown_since(since)),
        ("sensor.swing_status", "disconnected"),
    ]
    assert sorted(
        (row["entity_id"], row["state"])
        for row in shown
        if row.get("context_user_id") == hass_admin_user.id
        and row["entity_id"] != RESULT
    ) == [
        ("binary_sensor.swing_broker", "on"),
        (TERMINAL, "on"),
        ("sensor.swing_disconnected_since", "unknown"),
        ("sensor.swing_status", "connected"),
        ("sensor.swing_status", "reconnecting"),
    ]


def shown_since(before: datetime) -> str:
    """Return when the outage began, as its sensor shows it."""
    return (before + timedelta(seconds=1)).isoformat(timespec="seconds")

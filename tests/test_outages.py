"""Test the stored record of accounts and their outages."""

from datetime import UTC, datetime, timedelta
import json
from typing import Any
from unittest.mock import MagicMock, patch

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.metaapi.api import AccountState, Outcome, ReconnectResult, Status
from custom_components.metaapi.binary_sensor import MetaApiBinarySensor
from custom_components.metaapi.const import DOMAIN, EVENT_OUTAGE
from custom_components.metaapi.outages import (
    DATA_OUTAGES,
    SIGNAL_CHANGED,
    STORAGE_KEY,
    AccountRecord,
    Change,
    Facet,
    News,
    Outages,
)
from custom_components.metaapi.sensor import MetaApiOutageSensor
from custom_components.metaapi.watcher import Watcher
from homeassistant.components import automation
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.const import (
    ATTR_ENTITY_ID,
    EVENT_HOMEASSISTANT_FINAL_WRITE,
    EVENT_HOMEASSISTANT_STOP,
    EVENT_STATE_CHANGED,
    STATE_OFF,
    STATE_ON,
    STATE_UNKNOWN,
)
from homeassistant.core import Event, HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.setup import async_setup_component

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    make_entry,
    setup_entry,
    value,
)

TERMINAL = "binary_sensor.swing_terminal"
SINCE = "sensor.swing_disconnected_since"
DOWNTIME = "sensor.swing_downtime"
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)

RECONNECTING = AccountState(terminal=False, status=Status.RECONNECTING)
RECONNECT_FAILED = AccountState(terminal=False, status=Status.RECONNECT_FAILED)


def stored(**changes: Any) -> dict[str, Any]:
    """Return the stored file of a home whose account dropped at noon."""
    facet = {"last": True, "since": None, "ended": None}
    return {
        "version": 1,
        "minor_version": 1,
        "key": STORAGE_KEY,
        "data": {
            SWING.account_id: {
                "terminal": {"last": False, "since": NOON.isoformat(), "ended": None},
                "broker": facet,
                "sight": facet,
                "was_on": True,
                "downtime": 1800.0,
                "counted_to": None,
                "attempts": 2,
                "attempted_at": NOON.isoformat(),
                **changes,
            }
        },
    }


async def pass_minutes(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, minutes: float
) -> None:
    """Move the clock, by half minutes."""
    for _ in range(int(minutes * 2)):
        freezer.tick(timedelta(seconds=30))
        async_fire_time_changed(hass)
        await hass.async_block_till_done()


def hours(hass: HomeAssistant) -> float:
    """Return the state of *Downtime*."""
    return float(value(hass, DOWNTIME))


# -- disconnected since ----------------------------------------------------------------


async def test_since(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """It is unknown while connected, and survives a gap in sight and a reload."""
    assert value(hass, SINCE) == STATE_UNKNOWN
    freezer.move_to(NOON)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert value(hass, SINCE) == NOON.isoformat()
    freezer.tick(60)
    for state in (NO_CONNECTION, DISCONNECTED):
        monitor.push(SWING.account_id, state)
        assert value(hass, SINCE) == NOON.isoformat()
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert value(hass, SINCE) == NOON.isoformat()


async def test_since_attempts(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """A failed attempt changes nothing; a successful one ends the outage."""
    freezer.move_to(NOON)
    monitor.push(SWING.account_id, DISCONNECTED)
    freezer.tick(300)
    for state in (RECONNECTING, RECONNECT_FAILED, RECONNECTING):
        monitor.push(SWING.account_id, state)
        assert value(hass, SINCE) == NOON.isoformat()
    monitor.push(SWING.account_id, CONNECTED)
    assert value(hass, SINCE) == STATE_UNKNOWN


async def test_since_own_reconnect(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """A reconnect of a connected terminal is an outage only if it fails, from its start on."""
    freezer.move_to(NOON)
    monitor.push(SWING.account_id, RECONNECTING)
    assert value(hass, SINCE) == STATE_UNKNOWN
    freezer.tick(10)
    monitor.push(SWING.account_id, CONNECTED)
    assert (value(hass, SINCE), hours(hass)) == (STATE_UNKNOWN, 0)

    freezer.move_to(NOON)
    monitor.push(SWING.account_id, RECONNECTING)
    freezer.tick(60)
    monitor.push(SWING.account_id, RECONNECT_FAILED)
    assert value(hass, SINCE) == NOON.isoformat()


# -- downtime --------------------------------------------------------------------------


async def test_downtime(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """It increases while the terminal is down, with one state per minute at most, and none while it is up."""
    freezer.move_to(NOON)
    states: list[Event[Any]] = []

    @callback
    def take(event: Event[Any]) -> None:
        if event.data["entity_id"] == DOWNTIME:
            states.append(event)

    hass.bus.async_listen(EVENT_STATE_CHANGED, take)
    await pass_minutes(hass, freezer, 30)
    assert (states, hours(hass)) == ([], 0)

    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_minutes(hass, freezer, 30)
    assert 29 <= len(states) <= 30
    assert hours(hass) == pytest.approx(0.5, abs=0.02)

    monitor.push(SWING.account_id, NO_CONNECTION)
    await pass_minutes(hass, freezer, 60)
    assert hours(hass) == pytest.approx(0.5, abs=0.02)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_minutes(hass, freezer, 30)
    monitor.push(SWING.account_id, CONNECTED)
    assert hours(hass) == pytest.approx(1, abs=0.001)

    states.clear()
    await pass_minutes(hass, freezer, 60)
    assert states == []


async def test_downtime_clock_set_back(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """It does not decrease when the clock is set back."""
    freezer.move_to(NOON)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_minutes(hass, freezer, 30)
    before = hours(hass)
    freezer.move_to(NOON - timedelta(hours=1))
    monitor.push(SWING.account_id, NO_CONNECTION)
    assert hours(hass) == before
    monitor.push(SWING.account_id, DISCONNECTED)
    freezer.tick(timedelta(minutes=30))
    monitor.push(SWING.account_id, CONNECTED)
    assert hours(hass) == pytest.approx(before + 0.5)


@pytest.mark.parametrize(
    ("counted_to", "expected"),
    [
        pytest.param(None, 0.5, id="stopped"),
        pytest.param(NOON.isoformat(), 1.5, id="crashed"),
        pytest.param(
            (NOON + timedelta(hours=3)).isoformat(), 0.5, id="clock behind the file"
        ),
    ],
)
async def test_downtime_restart(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    freezer: FrozenDateTimeFactory,
    counted_to: str | None,
    expected: float,
) -> None:
    """It never decreases: an outage during a crash has lasted until now."""
    freezer.move_to(NOON + timedelta(hours=1))
    hass_storage[STORAGE_KEY] = stored(counted_to=counted_to)
    await setup_entry(hass, mock_config_entry)
    assert hours(hass) == expected
    assert value(hass, SINCE) == NOON.isoformat()
    monitors[-1].push(SWING.account_id, CONNECTED)
    assert hours(hass) == expected
    assert value(hass, SINCE) == STATE_UNKNOWN


async def test_on_before(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """The client is told which terminals were ever on, however long ago."""
    await setup_entry(hass, mock_config_entry)
    (monitor,) = monitors
    assert monitor.on_before == set()
    monitor.push(SCALP.account_id, DISCONNECTED)
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, DISCONNECTED)
    await hass.config_entries.async_reload(mock_config_entry.entry_id)
    assert monitors[-1].on_before == {SWING.account_id}
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)
    await hass.async_block_till_done()
    stored = hass_storage[STORAGE_KEY]["data"]
    assert {one: data["was_on"] for one, data in stored.items()} == {
        SWING.account_id: True,
        SCALP.account_id: False,
    }


async def test_on_before_is_read_from_the_file(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """A restart changes nothing."""
    hass_storage[STORAGE_KEY] = stored()
    await setup_entry(hass, mock_config_entry)
    assert monitors[-1].on_before == {SWING.account_id}


async def test_lost_since(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """The status says since when it is so, of whatever is lost."""
    no_broker = AccountState(
        terminal=True, broker=False, status=Status.BROKER_DISCONNECTED
    )
    freezer.move_to(NOON)
    for minutes, (state, since) in enumerate(
        (
            (no_broker, 0),
            (DISCONNECTED, 1),
            (RECONNECT_FAILED, 1),
            (NO_CONNECTION, 3),
            (DISCONNECTED, 1),
            (CONNECTED, None),
        )
    ):
        freezer.move_to(NOON + timedelta(minutes=minutes))
        monitor.push(SWING.account_id, state)
        expected = (
            None if since is None else (NOON + timedelta(minutes=since)).isoformat()
        )
        shown = hass.states.get("sensor.swing_status")
        assert shown
        assert shown.attributes["since"] == expected, state


async def test_lost_since_before_the_start(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> None:
    """A restart does not make an outage of the broker younger."""
    lost = {"last": False, "since": NOON.isoformat(), "ended": None}
    up = {"last": True, "since": None, "ended": None}
    hass_storage[STORAGE_KEY] = stored(terminal=up, broker=lost)
    await setup_entry(hass, mock_config_entry)
    monitors[-1].push(
        SWING.account_id,
        AccountState(terminal=True, broker=False, status=Status.BROKER_DISCONNECTED),
    )
    shown = hass.states.get("sensor.swing_status")
    assert shown
    assert shown.attributes["since"] == NOON.isoformat()


async def test_stop(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    monitor: FakeMonitor,
    freezer: FrozenDateTimeFactory,
) -> None:
    """Nothing is recorded after Home Assistant has stopped."""
    freezer.move_to(NOON)
    monitor.push(SWING.account_id, DISCONNECTED)
    await hass.services.async_call(
        DOMAIN, "reconnect", {"entity_id": SINCE}, blocking=True
    )
    freezer.tick(3600)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_STOP)
    await hass.async_block_till_done()
    monitor.push(SWING.account_id, CONNECTED)
    freezer.tick(3600)
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)
    await hass.async_block_till_done()
    data = hass_storage[STORAGE_KEY]["data"][SWING.account_id]
    assert data["terminal"] == {
        "last": False,
        "since": NOON.isoformat(),
        "ended": None,
    }
    assert (data["downtime"], data["counted_to"]) == (3600, None)
    assert (data["attempts"], data["attempted_at"]) == (1, NOON.isoformat())


# -- the file --------------------------------------------------------------------------


def changed(key: str, value: object) -> str:
    """Return a file with one field changed."""
    return json.dumps(stored(**{key: value}))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "null",
        '"x"',
        "1",
        "{}",
        '{"version": 1}',
        '{"version": "1", "data": {}}',
        '{"version": 99, "minor_version": 1, "key": "x", "data": {}}',
        '{"version": 1, "minor_version": 1, "key": "x", "data": []}',
        '{"version": 1, "minor_version": 1, "key": "x", "data": [1]}',
        '{"version": 1, "minor_version": 1, "key": "x", "data": "x"}',
        '{"version": 1, "minor_version": 1, "key": "x", "data": {"x": true}}',
        changed("terminal", True),
        changed("terminal", {"last": 1, "since": None, "ended": None}),
        changed("terminal", {"last": True}),
        changed("broker", {"last": True, "since": "yesterday", "ended": None}),
        changed("broker", {"last": True, "since": "2026-11-18T12:00:00", "ended": 1}),
        changed("sight", None),
        changed("downtime", "long"),
        changed("downtime", None),
        changed("counted_to", 5),
        changed("attempts", []),
    ],
)
async def test_hostile_file(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
    content: str,
) -> None:
    """An invalid file causes at most one warning and an empty record, and automations work."""
    hass_storage[STORAGE_KEY] = json.loads(content)
    fired = async_capture_events(hass, "fired")
    assert await async_setup_component(
        hass,
        automation.DOMAIN,
        {
            automation.DOMAIN: {
                "id": "one",
                "alias": "One",
                "triggers": {
                    "trigger": "metaapi.disconnected",
                    "target": {"entity_id": "binary_sensor.swing_terminal"},
                },
                "actions": {"event": "fired"},
            }
        },
    )
    await setup_entry(hass, mock_config_entry)
    assert value(hass, "automation.one") == "on"
    assert value(hass, SINCE) == STATE_UNKNOWN
    assert hours(hass) == 0
    assert caplog.text.count("Could not read what was last known") <= 1
    monitors[-1].push(SWING.account_id, CONNECTED)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    await hass.async_block_till_done()
    assert len(fired) == 1
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)
    await hass.async_block_till_done()
    assert hass_storage[STORAGE_KEY]["data"][SWING.account_id]["terminal"]["last"] is (
        False
    )


@pytest.mark.parametrize("disabled", [False, True])
async def test_gone_with_the_last_entry(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    disabled: bool,
) -> None:
    """No file with account ids stays after the last entry, even if it was always disabled."""
    hass_storage[STORAGE_KEY] = stored()
    mock_config_entry.add_to_hass(hass)
    if disabled:
        await hass.config_entries.async_set_disabled_by(
            mock_config_entry.entry_id, ConfigEntryDisabler.USER
        )
    else:
        await hass.config_entries.async_setup(mock_config_entry.entry_id)
        monitors[-1].push(SWING.account_id, CONNECTED)
    await hass.config_entries.async_remove(mock_config_entry.entry_id)
    await hass.async_block_till_done()
    # A real store drops its pending write then; the one of the tests does not
    assert STORAGE_KEY not in hass_storage


async def test_account_removed(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
) -> None:
    """Its record is removed; the others keep theirs."""
    monitor.push(SWING.account_id, DISCONNECTED)
    (subentry, _) = mock_config_entry.subentries.values()
    assert hass.config_entries.async_remove_subentry(
        mock_config_entry, subentry.subentry_id
    )
    await hass.async_block_till_done()
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)
    await hass.async_block_till_done()
    data = hass_storage[STORAGE_KEY]["data"]
    assert SWING.account_id not in data
    assert len(data) == 1


async def test_attempt_of_a_connected_terminal(
    hass: HomeAssistant, hass_storage: dict[str, Any], monitor: FakeMonitor
) -> None:
    """An attempt that takes a terminal down and fails counts as one of the outage."""

    async def attempt(account_id: str) -> ReconnectResult:
        monitor.push(account_id, RECONNECTING)
        monitor.push(account_id, RECONNECT_FAILED)
        return ReconnectResult(Outcome.TIMED_OUT, 1.0)

    monitor.on_reconnect = attempt
    await hass.services.async_call(
        DOMAIN,
        "reconnect",
        {"entity_id": SINCE},
        blocking=True,
        return_response=True,
    )
    hass.bus.async_fire(EVENT_HOMEASSISTANT_FINAL_WRITE)
    await hass.async_block_till_done()
    assert hass_storage[STORAGE_KEY]["data"][SWING.account_id]["attempts"] == 1


async def test_fault_of_a_listener(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A sensor that raises an exception costs neither the others nor the record."""
    monitor.push(SWING.account_id, CONNECTED)
    take = MetaApiOutageSensor.async_take

    def fail(sensor: MetaApiOutageSensor, news: News) -> None:
        if sensor.entity_id == SINCE:
            raise RuntimeError("no state can be written")
        take(sensor, news)

    monkeypatch.setattr(MetaApiOutageSensor, "async_take", fail)
    rows = async_capture_events(hass, EVENT_OUTAGE)
    monitor.push(SWING.account_id, DISCONNECTED)
    await hass.async_block_till_done()
    assert value(hass, TERMINAL) == STATE_OFF
    assert [event.data[ATTR_ENTITY_ID] for event in rows] == [
        "event.swing_reconnect_result"
    ]
    monkeypatch.undo()
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert value(hass, SINCE) != STATE_UNKNOWN
    assert "no state can be written" in caplog.text
    caplog.clear()


async def test_fault_of_the_record(
    hass: HomeAssistant, monitor: FakeMonitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If what an account shows cannot be recorded, it is shown and watched all the same."""
    monitor.push(SWING.account_id, CONNECTED)
    watched: list[AccountState] = []
    with monkeypatch.context() as patch:
        patch.setattr(
            Watcher, "async_account_changed", lambda *args: watched.append(args[-1])
        )
        patch.setattr(Outages, "_async_set", MagicMock(side_effect=RuntimeError))
        with pytest.raises(RuntimeError):
            monitor.push(SWING.account_id, DISCONNECTED)
    assert value(hass, TERMINAL) == STATE_OFF
    assert watched == [DISCONNECTED]


async def test_account_removed_by_its_alarm(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """What follows a change may remove the account before all of the change is recorded."""
    monitor.push(SWING.account_id, CONNECTED)
    (subentry_id,) = (
        one.subentry_id
        for one in mock_config_entry.subentries.values()
        if one.unique_id == SWING.account_id
    )

    @callback
    def remove(change: Change) -> None:
        if subentry_id in mock_config_entry.subentries:
            hass.config_entries.async_remove_subentry(mock_config_entry, subentry_id)

    async_dispatcher_connect(hass, SIGNAL_CHANGED, remove)
    monitor.push(SWING.account_id, DISCONNECTED)
    await hass.async_block_till_done()
    assert hass.states.get(TERMINAL) is None


def test_listener_removed_by_another() -> None:
    """A listener that goes while others are called costs none of them its news."""
    record = AccountRecord()
    told: list[str] = []

    class Listener:
        """Notes what it is told, then goes."""

        def __init__(self, name: str) -> None:
            self._name = name

        def async_take(self, news: News) -> None:
            told.append(f"{self._name} {news}")
            record.listeners.remove(self)

    record.listeners += [Listener(name) for name in "abc"]
    record.async_tell(Facet.TERMINAL)
    record.async_tell(Facet.BROKER)
    assert told == ["a terminal", "b terminal", "c terminal"]


async def test_entities_listen_to_their_record(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """After a reload each entity listens once, and none that was removed."""
    record = hass.data[DATA_OUTAGES].record(SWING.account_id)
    before = list(record.listeners)
    assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    after = hass.data[DATA_OUTAGES].record(SWING.account_id).listeners
    assert len(after) == len(before)
    assert not set(map(id, after)) & set(map(id, before))
    for subentry_id in mock_config_entry.subentries:
        hass.config_entries.async_remove_subentry(mock_config_entry, subentry_id)
    await hass.async_block_till_done()
    assert after == []


async def test_entity_that_cannot_be_added(
    hass: HomeAssistant,
    monitors: list[FakeMonitor],
    mock_config_entry: MockConfigEntry,
    provisioning: MagicMock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An entity whose first state cannot be written is told of nothing, not even after a reload."""
    fault = RuntimeError("no state can be written")
    with patch.object(MetaApiBinarySensor, "async_write_ha_state", side_effect=fault):
        await setup_entry(hass, mock_config_entry)
    assert "no state can be written" in caplog.text
    caplog.clear()
    for _ in range(2):
        for state in (CONNECTED, DISCONNECTED):
            monitors[-1].push(SWING.account_id, state)
        assert "Error in a listener" not in caplog.text
        assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    assert value(hass, TERMINAL) == STATE_UNKNOWN


async def test_account_of_two_entries(
    hass: HomeAssistant, monitor: FakeMonitor, monitors: list[FakeMonitor]
) -> None:
    """Entities show what their own entry sees, though the entries share the record."""
    await setup_entry(hass, make_entry(SWING, unique_id="another owner"))
    monitors[1].push(
        SWING.account_id, AccountState(available=False, status=Status.TOKEN_REFUSED)
    )
    assert value(hass, TERMINAL) == STATE_ON
    assert value(hass, "sensor.swing_status") == Status.CONNECTED

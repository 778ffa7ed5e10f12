"""Test the binary sensors: terminal, broker, and the link to MetaApi."""

from unittest.mock import MagicMock

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry
from syrupy.assertion import SnapshotAssertion

from custom_components.metaapi.api import AccountState, Status
from custom_components.metaapi.outages import DATA_OUTAGES
from homeassistant.const import (
    STATE_OFF,
    STATE_ON,
    STATE_UNAVAILABLE,
    STATE_UNKNOWN,
    Platform,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity import Entity

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    describe_entities,
    setup_entry,
    value,
)

TERMINAL = "binary_sensor.swing_terminal"
BROKER = "binary_sensor.swing_broker"
LINK = "binary_sensor.metaapi_link"


async def test_entities(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    snapshot: SnapshotAssertion,
) -> None:
    """The entities have the expected names and properties."""
    assert (
        describe_entities(hass, mock_config_entry, Platform.BINARY_SENSOR) == snapshot
    )


@pytest.mark.parametrize(
    ("link", "terminal", "broker"),
    [
        pytest.param(
            AccountState(), STATE_UNKNOWN, STATE_UNKNOWN, id="not decided yet"
        ),
        pytest.param(CONNECTED, STATE_ON, STATE_ON, id="connected"),
        pytest.param(
            AccountState(terminal=True, status=Status.CONNECTED),
            STATE_ON,
            STATE_UNKNOWN,
            id="no word of the broker yet",
        ),
        pytest.param(
            AccountState(
                terminal=True, broker=False, status=Status.BROKER_DISCONNECTED
            ),
            STATE_ON,
            STATE_OFF,
            id="broker away",
        ),
        *(
            pytest.param(
                AccountState(terminal=False, status=status),
                STATE_OFF,
                STATE_UNKNOWN,
                id=status.value,
            )
            for status in (
                Status.DISCONNECTED,
                Status.SILENT,
                Status.RECONNECTING,
                Status.RECONNECT_FAILED,
                Status.NEVER_AUTHENTICATED,
                Status.NOT_DEPLOYED,
            )
        ),
        *(
            pytest.param(
                AccountState(available=False, status=status),
                STATE_UNAVAILABLE,
                STATE_UNAVAILABLE,
                id=f"out of sight: {status}",
            )
            for status in (
                Status.NO_CONNECTION,
                Status.QUOTA_EXHAUSTED,
                Status.FORBIDDEN,
                Status.NOT_FOUND,
                Status.TOKEN_REFUSED,
                Status.NO_ANSWER,
            )
        ),
    ],
)
async def test_states(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    link: AccountState,
    terminal: str,
    broker: str,
) -> None:
    """Each state is shown, and the other account keeps its own."""
    monitor.push(SWING.account_id, link)

    assert value(hass, TERMINAL) == terminal
    assert value(hass, BROKER) == broker
    assert value(hass, "binary_sensor.scalp_terminal") == STATE_ON
    assert value(hass, "binary_sensor.scalp_broker") == STATE_ON


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record which entities write their state."""
    entity_ids: list[str] = []
    write = Entity.async_write_ha_state

    def note(entity: Entity) -> None:
        entity_ids.append(entity.entity_id)
        write(entity)

    monkeypatch.setattr(Entity, "async_write_ha_state", note)
    return entity_ids


async def test_written_only_on_change(
    hass: HomeAssistant, monitor: FakeMonitor, written: list[str]
) -> None:
    """A push writes only the states of its account that changed."""
    written.clear()

    monitor.push(SWING.account_id, CONNECTED)
    monitor.push_link(True)
    assert written == []
    monitor.push(
        SWING.account_id,
        AccountState(terminal=True, broker=False, status=Status.BROKER_DISCONNECTED),
    )
    assert sorted(written) == [BROKER, "sensor.swing_status"]
    written.clear()
    monitor.push(SWING.account_id, DISCONNECTED)
    since = "sensor.swing_disconnected_since"
    assert sorted(written) == [BROKER, TERMINAL, since, "sensor.swing_status"]
    written.clear()
    monitor.push(SWING.account_id, AccountState(terminal=False, status=Status.SILENT))
    assert sorted(written) == ["sensor.swing_status"]
    written.clear()
    monitor.push_link(False)
    assert written == [LINK]


async def test_nothing_written_without_a_change(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    written: list[str],
) -> None:
    """The first push writes nothing if the state is the one from set-up."""
    await setup_entry(hass, mock_config_entry)
    written.clear()

    monitors[0].push(SWING.account_id, AccountState())
    monitors[0].push_link(None)

    assert written == []


def listening(hass: HomeAssistant, account_id: str) -> set[str]:
    """Return the entities that listen to an account, each of them once."""
    listeners = hass.data[DATA_OUTAGES].record(account_id).listeners
    entity_ids = {one.entity_id for one in listeners if isinstance(one, Entity)}
    assert len(entity_ids) == len(listeners)
    return entity_ids


async def test_listeners_end_with_the_entities(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> None:
    """Each entity listens to its own account, until it is removed."""
    for account, name in ((SWING, "swing"), (SCALP, "scalp")):
        entity_ids = listening(hass, account.account_id)
        assert all(f".{name}" in entity_id for entity_id in entity_ids)
        # by one listener, who tells the watcher as well
        assert len(monitor.listeners[account.account_id]) == 1
    before = listening(hass, SWING.account_id)
    assert {TERMINAL, BROKER} < before
    await hass.config_entries.async_unload_platforms(
        mock_config_entry, [Platform.BINARY_SENSOR]
    )
    left = listening(hass, SWING.account_id)
    assert left == {one for one in before if not one.startswith("binary_sensor.")}
    assert len(monitor.listeners[SWING.account_id]) == 1
    assert len(monitor.link_listeners) == 1
    await hass.config_entries.async_forward_entry_setups(
        mock_config_entry, [Platform.BINARY_SENSOR]
    )


async def test_link(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """The hub's sensor shows our own connection, and is always available."""
    shown = []
    for connected, token_refused in (
        (None, False),
        (True, False),
        (False, False),
        (True, False),
        (False, True),
    ):
        monitor.push_link(connected, token_refused=token_refused)
        for account in (SWING, SCALP):
            monitor.push(account.account_id, CONNECTED if connected else NO_CONNECTION)
        shown.append(value(hass, LINK))

    assert shown == [STATE_UNKNOWN, STATE_ON, STATE_OFF, STATE_ON, STATE_OFF]
    await hass.async_block_till_done()

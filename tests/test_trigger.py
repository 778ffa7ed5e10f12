"""The triggers, in automations of a home with the integration's own entities."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from unittest.mock import MagicMock, patch

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import (
    MockConfigEntry,
    async_capture_events,
    async_fire_time_changed,
)

from custom_components.metaapi.api import Account, AccountState, Status
from custom_components.metaapi.const import DOMAIN
from custom_components.metaapi.outages import STORAGE_KEY, Facet
from homeassistant.components import automation
from homeassistant.config_entries import ConfigEntryState, ConfigSubentry
from homeassistant.core import CoreState, Event, HomeAssistant
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    floor_registry as fr,
    label_registry as lr,
)
from homeassistant.helpers.icon import async_get_icons
from homeassistant.helpers.storage import Store
from homeassistant.helpers.translation import async_get_translations
from homeassistant.helpers.trigger import async_get_all_descriptions
from homeassistant.setup import async_setup_component

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
    device_of,
    entry_state,
    make_entry,
    setup_entry,
    value,
)

SWING_TERMINAL = "binary_sensor.swing_terminal"
SCALP_TERMINAL = "binary_sensor.scalp_terminal"
BROKER = "binary_sensor.swing_broker"
LINK = "binary_sensor.metaapi_link"
BOTH = [SWING_TERMINAL, SCALP_TERMINAL]

UNKNOWN = AccountState()
RECONNECTING = AccountState(terminal=False, status=Status.RECONNECTING)
RECONNECT_FAILED = AccountState(terminal=False, status=Status.RECONNECT_FAILED)
BROKER_AWAY = AccountState(
    terminal=True, broker=False, status=Status.BROKER_DISCONNECTED
)


def automation_config(
    trigger: str, target: dict[str, Any], options: dict[str, Any], name: str
) -> dict[str, Any]:
    """Return an automation that tells what it heard."""
    return {
        "id": name,
        "alias": name,
        "mode": "queued",
        "triggers": {
            "trigger": f"{DOMAIN}.{trigger}",
            "target": target,
            "options": options,
        },
        "actions": {
            "event": "told",
            "event_data": {
                "by": name,
                "entity_id": "{{ trigger.entity_id }}",
                "device_id": "{{ trigger.device_id }}",
                "account": "{{ trigger.account }}",
                "phase": "{{ trigger.phase }}",
                "status": "{{ trigger.status }}",
                "duration": "{{ trigger.duration }}",
                "since": "{{ trigger.since }}",
                "attempts": "{{ trigger.attempts }}",
                "title": "{{ trigger.title }}",
                "message": "{{ trigger.message }}",
                "for": "{{ trigger.for }}",
                "description": "{{ trigger.description }}",
                "at_start": "{{ trigger.at_start }}",
                "already": "{{ trigger.already }}",
            },
        },
    }


class Told:
    """What automations told."""

    def __init__(self, hass: HomeAssistant) -> None:
        """Listen."""
        self._hass = hass
        self.events: list[Event] = async_capture_events(hass, "told")

    async def __call__(self) -> list[str]:
        """Return whom automations told of since the last call."""
        await self._hass.async_block_till_done()
        entity_ids = [event.data["entity_id"] for event in self.events]
        self.events.clear()
        return entity_ids


@pytest.fixture
def told(hass: HomeAssistant) -> Told:
    """Listen to automations."""
    return Told(hass)


async def arm(
    hass: HomeAssistant,
    trigger: str = "disconnected",
    target: dict[str, Any] | None = None,
    *,
    names: tuple[str, ...] = ("one",),
    lasting: int | None = None,
    behavior: str | None = None,
    at_start: bool = False,
) -> None:
    """Set up automations."""
    options: dict[str, Any] = {}
    if at_start:
        options["at_start"] = True
    if lasting is not None:
        options["for"] = {"seconds": lasting}
    if behavior is not None:
        options["behavior"] = behavior
    target = {"entity_id": SWING_TERMINAL} if target is None else target
    assert await async_setup_component(
        hass,
        automation.DOMAIN,
        {
            automation.DOMAIN: [
                automation_config(trigger, target, options, name) for name in names
            ]
        },
    )
    await hass.async_block_till_done()
    for name in names:
        assert value(hass, f"automation.{name}") == "on"


async def pass_time(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, seconds: float
) -> None:
    """Move the clock."""
    freezer.tick(timedelta(seconds=seconds))
    async_fire_time_changed(hass)
    await hass.async_block_till_done()


# -- what fires ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "links", "expected"),
    [
        pytest.param("disconnected", [DISCONNECTED], True, id="off"),
        pytest.param("connected", [DISCONNECTED], False, id="connected: off"),
        pytest.param(
            "connected", [DISCONNECTED, CONNECTED], True, id="connected: off, on"
        ),
        pytest.param(
            "disconnected", [NO_CONNECTION, DISCONNECTED], True, id="hidden, off"
        ),
        pytest.param("disconnected", [UNKNOWN, DISCONNECTED], True, id="unknown, off"),
        pytest.param(
            "disconnected",
            [NO_CONNECTION, UNKNOWN, NO_CONNECTION, DISCONNECTED],
            True,
            id="hidden and unknown, off",
        ),
        pytest.param("connected", [NO_CONNECTION, CONNECTED], False, id="hidden, on"),
        pytest.param("connected", [UNKNOWN, CONNECTED], False, id="unknown, on"),
        pytest.param("disconnected", [NO_CONNECTION], False, id="hidden"),
        pytest.param("disconnected", [UNKNOWN], False, id="unknown"),
        pytest.param("disconnected", [BROKER_AWAY], False, id="broker away"),
    ],
)
async def test_turns(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    trigger: str,
    links: list[AccountState],
    expected: bool,
) -> None:
    """A trigger fires at the last of some states of a terminal that was connected, or never."""
    await arm(hass, trigger)
    for link in links[:-1]:
        monitor.push(SWING.account_id, link)
        assert await told() == []
    monitor.push(SWING.account_id, links[-1])
    assert await told() == ([SWING_TERMINAL] if expected else [])


@pytest.mark.parametrize("hidden", [NO_CONNECTION, UNKNOWN])
async def test_still_disconnected(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told, hidden: AccountState
) -> None:
    """A terminal that was out of sight and is as it was is no news, and then comes back once."""
    await arm(hass)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]
    monitor.push(SWING.account_id, hidden)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await told() == []


async def test_back_out_of_sight(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told
) -> None:
    """A terminal that came back while out of sight is told of."""
    await arm(hass, "connected")
    monitor.push(SWING.account_id, DISCONNECTED)
    monitor.push(SWING.account_id, NO_CONNECTION)
    assert await told() == []
    monitor.push(SWING.account_id, CONNECTED)
    assert await told() == [SWING_TERMINAL]


async def test_first_ever(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    told: Told,
) -> None:
    """What was never known before is no news."""
    await setup_entry(hass, mock_config_entry)
    await arm(hass)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    assert await told() == []


async def test_variables(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """An automation is told which account it is, since when, why, and the whole in sentences."""
    await hass.config.async_set_time_zone("Europe/Berlin")
    freezer.move_to("2026-11-18T02:12:00+00:00")
    await arm(hass, lasting=60)
    monitor.push(SWING.account_id, NO_CONNECTION)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 60)
    (event,) = told.events
    assert event.data == {
        "by": "one",
        "entity_id": SWING_TERMINAL,
        "device_id": device_of(hass, mock_config_entry, SWING.account_id).id,
        "account": "Swing",
        "phase": "lost",
        "status": "disconnected",
        "duration": "0:01:00",
        "since": "2026-11-18 02:12:00+00:00",
        "attempts": 0,
        "title": "Swing is down",
        "message": "Terminal lost at 03:12 (MetaTrader 5, 90210, Broker-Live).",
        "for": "0:01:00",
        "description": "Swing is down",
        "at_start": False,
        "already": False,
    }


async def test_detached(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """An automation that is turned off gives up what it waits for, and hears nothing more."""
    await arm(hass, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    for action in ("turn_off", "turn_on"):
        await hass.services.async_call(
            automation.DOMAIN, action, {"entity_id": "automation.one"}, blocking=True
        )
    await pass_time(hass, freezer, 600)
    assert await told() == []

    await hass.services.async_call(
        automation.DOMAIN, "turn_off", {"entity_id": "automation.one"}, blocking=True
    )
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 600)
    assert await told() == []


# -- targets ---------------------------------------------------------------------------


@pytest.fixture
def places(hass: HomeAssistant, monitor: FakeMonitor) -> dict[str, dict[str, str]]:
    """Put all devices and sensors, and those of another integration, in one place and under one label."""
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    floor = fr.async_get(hass).async_create("Upstairs")
    area = ar.async_get(hass).async_create("Desk", floor_id=floor.floor_id)
    on_device = lr.async_get(hass).async_create("Trading")
    on_sensor = lr.async_get(hass).async_create("Sensors")
    other = MockConfigEntry(domain="other")
    other.add_to_hass(hass)
    foreign = dr.async_get(hass).async_get_or_create(
        config_entry_id=other.entry_id, identifiers={("other", "1")}
    )
    registry = er.async_get(hass)
    registry.async_get_or_create(
        "binary_sensor",
        "other",
        "1_terminal",
        suggested_object_id="other",
        device_id=foreign.id,
        config_entry=other,
        original_device_class="connectivity",
    )
    hass.states.async_set("binary_sensor.other", "on")
    devices = [
        device_of(hass, entry, identifier)
        for identifier in (SWING.account_id, SCALP.account_id, entry.entry_id)
    ]
    for device in (*devices, foreign):
        dr.async_get(hass).async_update_device(
            device.id, area_id=area.id, labels={on_device.label_id}
        )
    for entity_id in (*BOTH, BROKER, LINK, "binary_sensor.other"):
        registry.async_update_entity(entity_id, labels={on_sensor.label_id})
    return {
        "device": {"device_id": devices[0].id},
        "hub": {"device_id": devices[2].id},
        "area": {"area_id": area.id},
        "floor": {"floor_id": floor.floor_id},
        "label of devices": {"label_id": on_device.label_id},
        "label of sensors": {"label_id": on_sensor.label_id},
        "foreign": {"entity_id": "binary_sensor.other"},
        "another entity": {"entity_id": "sensor.swing_status"},
    }


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("device", [SWING_TERMINAL]),
        ("hub", BOTH),
        ("area", BOTH),
        ("floor", BOTH),
        ("label of devices", BOTH),
        ("label of sensors", BOTH),
        ("foreign", []),
        ("another entity", [SWING_TERMINAL]),
    ],
)
async def test_targets(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    places: dict[str, dict[str, str]],
    place: str,
    expected: list[str],
) -> None:
    """A place means its accounts: no broker, no link, nothing of others."""
    await arm(hass, target=places[place])
    for account in (SWING, SCALP):
        monitor.push(account.account_id, BROKER_AWAY)
        monitor.push(account.account_id, DISCONNECTED)
    monitor.push_link(False)
    hass.states.async_set("binary_sensor.other", "off")
    assert await told() == expected


@pytest.mark.parametrize("entity_id", [BROKER, "button.swing_reconnect"])
async def test_named_by_another_entity(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told, entity_id: str
) -> None:
    """Whichever entity of an account is named, the trigger is about its terminal: the picker offers several."""
    await arm(hass, target={"entity_id": entity_id})
    monitor.push(SWING.account_id, BROKER_AWAY)
    monitor.push_link(False)
    assert await told() == []
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]


async def test_target_follows_the_registry(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """What joins a target counts from then on; what leaves it no longer, not even what waits."""
    label = lr.async_get(hass).async_create("Trading")
    registry = er.async_get(hass)
    await arm(hass, target={"label_id": label.label_id}, lasting=60)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 61)
    assert await told() == []

    registry.async_update_entity(SCALP_TERMINAL, labels={label.label_id})
    monitor.push(SCALP.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 61)
    assert await told() == [SCALP_TERMINAL]

    monitor.push(SCALP.account_id, CONNECTED)
    monitor.push(SCALP.account_id, DISCONNECTED)
    registry.async_update_entity(SCALP_TERMINAL, labels=set())
    await pass_time(hass, freezer, 61)
    assert await told() == []


async def test_renamed(hass: HomeAssistant, monitor: FakeMonitor, told: Told) -> None:
    """What was known of a terminal outlives another entity id."""
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    device = device_of(hass, entry, SWING.account_id)
    await arm(hass, target={"device_id": device.id})
    monitor.push(SWING.account_id, NO_CONNECTION)
    er.async_get(hass).async_update_entity(
        SWING_TERMINAL, new_entity_id="binary_sensor.my_swing"
    )
    await hass.async_block_till_done()
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await told() == ["binary_sensor.my_swing"]


@pytest.mark.parametrize("behavior", ["each", "first", "all"])
async def test_renamed_while_it_lasts(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
    behavior: str,
) -> None:
    """Another entity id does not end a duration, and is the one that is told."""
    (entry,) = hass.config_entries.async_entries(DOMAIN)
    device = device_of(hass, entry, SWING.account_id)
    await arm(hass, target={"device_id": device.id}, behavior=behavior, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 100)
    er.async_get(hass).async_update_entity(
        SWING_TERMINAL, new_entity_id="binary_sensor.my_swing"
    )
    await pass_time(hass, freezer, 199)
    assert await told() == []
    await pass_time(hass, freezer, 2)
    assert await told() == ["binary_sensor.my_swing"]


@pytest.mark.parametrize("change", ["hidden", "disabled", "renamed"])
@pytest.mark.parametrize("place", ["entity", "device", "label"])
async def test_an_account_whatever_its_entities_look_like(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    told: Told,
    change: str,
    place: str,
) -> None:
    """A terminal that is hidden, disabled or renamed while an automation is attached is still watched."""
    registry = er.async_get(hass)
    label = lr.async_get(hass).async_create("Trading").label_id
    registry.async_update_entity(SWING_TERMINAL, labels={label})
    device = device_of(hass, mock_config_entry, SWING.account_id)
    targets: dict[str, dict[str, Any]] = {
        "entity": {"entity_id": SWING_TERMINAL},
        "device": {"device_id": device.id},
        "label": {"label_id": label},
    }
    await arm(hass, target=targets[place])
    changes: dict[str, dict[str, Any]] = {
        "hidden": {"hidden_by": er.RegistryEntryHider.USER},
        "disabled": {"disabled_by": er.RegistryEntryDisabler.USER},
        "renamed": {"new_entity_id": "binary_sensor.my_swing"},
    }
    registry.async_update_entity(SWING_TERMINAL, **changes[change])
    assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    monitors[-1].push(SWING.account_id, CONNECTED)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    assert await told() == [
        "binary_sensor.my_swing" if change == "renamed" else SWING_TERMINAL
    ]


async def test_leaves_the_target_while_it_lasts(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """What leaves the target for a while and changes there begins anew."""
    label = lr.async_get(hass).async_create("Trading").label_id
    registry = er.async_get(hass)
    registry.async_update_entity(SWING_TERMINAL, labels={label})
    await arm(hass, target={"label_id": label}, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 100)
    registry.async_update_entity(SWING_TERMINAL, labels=set())
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, DISCONNECTED)
    registry.async_update_entity(SWING_TERMINAL, labels={label})
    await pass_time(hass, freezer, 300)
    assert await told() == []


# -- each, first, all ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [("each", [1, 1]), ("first", [1, 0]), ("all", [0, 1])],
)
async def test_behavior(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    behavior: str,
    expected: list[int],
) -> None:
    """A trigger fires for each, the first or all of several terminals, and again the next time."""
    await arm(hass, target={"entity_id": BOTH}, behavior=behavior)
    for _ in range(2):
        counts = []
        for account in (SWING, SCALP):
            monitor.push(account.account_id, DISCONNECTED)
            counts.append(len(await told()))
        assert counts == expected
        for account in (SWING, SCALP):
            monitor.push(account.account_id, CONNECTED)
        assert await told() == []


@pytest.mark.parametrize("behavior", ["each", "first", "all"])
async def test_others_do_not_count(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told, behavior: str
) -> None:
    """A terminal that the target does not mean changes nothing."""
    await arm(hass, behavior=behavior)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]
    monitor.push(SCALP.account_id, DISCONNECTED)
    assert await told() == []


async def test_all_after_a_gap(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told
) -> None:
    """Terminals that come into sight one by one are all disconnected only when the last one is."""
    await arm(hass, target={"entity_id": BOTH}, behavior="all")
    for account in (SWING, SCALP):
        monitor.push(account.account_id, NO_CONNECTION)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await told() == []
    monitor.push(SCALP.account_id, DISCONNECTED)
    assert await told() == [SCALP_TERMINAL]


async def test_all_ignores_what_was_never_known(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    told: Told,
) -> None:
    """A terminal that nothing is known of does not count."""
    await setup_entry(hass, mock_config_entry)
    await arm(hass, target={"entity_id": BOTH}, behavior="all")
    monitors[-1].push(SWING.account_id, CONNECTED)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]


# -- for -------------------------------------------------------------------------------


async def test_for(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """With a duration, it fires for what lasts, and once."""
    await arm(hass, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 299)
    assert await told() == []
    await pass_time(hass, freezer, 2)
    assert await told() == [SWING_TERMINAL]
    await pass_time(hass, freezer, 600)
    assert await told() == []


async def test_for_is_over_too_soon(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """What does not last long enough does not fire; the next time counts from its own start."""
    await arm(hass, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 200)
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 200)
    assert await told() == []
    await pass_time(hass, freezer, 101)
    assert await told() == [SWING_TERMINAL]


@pytest.mark.parametrize("behavior", ["each", "first", "all"])
async def test_for_begins_again_after_a_gap(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
    behavior: str,
) -> None:
    """Out of sight nothing lasts; back in sight it lasts from then on, and is told of."""
    await arm(hass, behavior=behavior, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 200)
    monitor.push(SWING.account_id, NO_CONNECTION)
    await pass_time(hass, freezer, 200)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 299)
    assert await told() == []
    await pass_time(hass, freezer, 2)
    assert await told() == [SWING_TERMINAL]


async def test_for_is_over_out_of_sight(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """A terminal that is back when it comes into sight is not told of."""
    await arm(hass, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    monitor.push(SWING.account_id, NO_CONNECTION)
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, NO_CONNECTION)
    await pass_time(hass, freezer, 600)
    assert await told() == []


@pytest.mark.parametrize(
    ("behavior", "expected"),
    [("each", [SCALP_TERMINAL]), ("first", [SWING_TERMINAL]), ("all", [])],
)
async def test_for_with_several(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
    behavior: str,
    expected: list[str],
) -> None:
    """For the first, any of them has to last; for all, all of them; for each, each its own."""
    await arm(hass, target={"entity_id": BOTH}, behavior=behavior, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 100)
    monitor.push(SCALP.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 100)
    monitor.push(SWING.account_id, CONNECTED)
    await pass_time(hass, freezer, 101)
    first = await told()
    await pass_time(hass, freezer, 100)
    assert first + await told() == expected


# -- reloads and re-creation -----------------------------------------------------------


@pytest.mark.parametrize(
    ("trigger", "before", "after", "expected"),
    [
        ("disconnected", CONNECTED, DISCONNECTED, True),
        ("disconnected", DISCONNECTED, DISCONNECTED, False),
        ("connected", CONNECTED, CONNECTED, False),
        ("connected", DISCONNECTED, CONNECTED, True),
    ],
)
async def test_reload_of_the_entry(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    told: Told,
    trigger: str,
    before: AccountState,
    after: AccountState,
    expected: bool,
) -> None:
    """What happens while the entry reloads is told once it is seen."""
    monitor.push(SWING.account_id, before)
    await arm(hass, trigger)
    assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    assert await told() == []
    monitors[-1].push(SWING.account_id, after)
    assert await told() == ([SWING_TERMINAL] if expected else [])


async def test_new_entity(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    told: Told,
) -> None:
    """What was known of a terminal outlives its entity."""
    await arm(hass)
    er.async_get(hass).async_remove(SWING_TERMINAL)
    await hass.async_block_till_done()
    assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]


async def test_reload_of_automations(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told
) -> None:
    """An automation that comes anew knows what was known before it."""
    await arm(hass)
    monitor.push(SWING.account_id, NO_CONNECTION)
    config = automation_config("disconnected", {"entity_id": SWING_TERMINAL}, {}, "two")
    with patch(
        "homeassistant.config.async_hass_config_yaml",
        return_value={automation.DOMAIN: [config]},
    ):
        await hass.services.async_call(automation.DOMAIN, "reload", blocking=True)
    assert await told() == []
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]


async def test_armed_while_disconnected(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told
) -> None:
    """An automation that is made during an outage hears of the next one."""
    monitor.push(SWING.account_id, DISCONNECTED)
    await arm(hass)
    assert await told() == []
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]


async def remove_and_add(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Remove the first account and add it again."""
    subentry = next(iter(entry.subentries.values()))
    assert subentry.unique_id == SWING.account_id
    hass.config_entries.async_remove_subentry(entry, subentry.subentry_id)
    await hass.async_block_till_done()
    hass.config_entries.async_add_subentry(
        entry,
        ConfigSubentry(
            data=subentry.data,
            subentry_type=subentry.subentry_type,
            title=subentry.title,
            unique_id=subentry.unique_id,
        ),
    )
    await hass.async_block_till_done()


async def test_account_added_again(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    told: Told,
) -> None:
    """An account that was removed starts without a past; the others keep theirs."""
    await arm(hass, target={"entity_id": BOTH})
    await remove_and_add(hass, mock_config_entry)
    for account in (SWING, SCALP):
        monitors[-1].push(account.account_id, DISCONNECTED)
    assert await told() == [SCALP_TERMINAL]
    monitors[-1].push(SWING.account_id, CONNECTED)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]


async def test_account_removed_while_it_lasts(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """What an account has begun ends with it."""
    await arm(hass, lasting=300)
    monitor.push(SWING.account_id, DISCONNECTED)
    await remove_and_add(hass, mock_config_entry)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 301)
    assert await told() == []


async def test_account_removed_during_a_reconnect(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    told: Told,
) -> None:
    """The account that is added again knows nothing of the reconnect; with `at_start` it is a new one."""
    await arm(hass, at_start=True)
    monitor.push(SWING.account_id, RECONNECTING)
    await remove_and_add(hass, mock_config_entry)
    left, right = (len(monitor.listeners[one.account_id]) for one in (SWING, SCALP))
    assert left == right
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    await hass.async_block_till_done()
    assert [
        (event.data["at_start"], event.data["already"]) for event in told.events
    ] == [(True, True)]


async def test_account_removed_from_the_file(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    hass_storage: dict[str, Any],
    freezer: FrozenDateTimeFactory,
) -> None:
    """A restart between the removal and the return brings no past either."""
    await pass_time(hass, freezer, 11)
    assert stored_terminals(hass_storage)[SWING.account_id] is True
    await remove_and_add(hass, mock_config_entry)
    await pass_time(hass, freezer, 11)
    known = stored_terminals(hass_storage)
    assert known.get(SWING.account_id) is None
    assert known[SCALP.account_id] is True


# -- our own reconnect -----------------------------------------------------------------


@pytest.mark.parametrize("trigger", ["disconnected", "connected"])
async def test_reconnect_that_works(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told, trigger: str
) -> None:
    """A reconnect that works is no outage: neither its off nor its on is told."""
    await arm(hass, trigger)
    monitor.push(SWING.account_id, RECONNECTING)
    assert value(hass, SWING_TERMINAL) == "off"
    monitor.push(SWING.account_id, CONNECTED)
    assert await told() == []


@pytest.mark.parametrize("end", [RECONNECT_FAILED, DISCONNECTED])
async def test_reconnect_that_fails(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told, end: AccountState
) -> None:
    """A reconnect that fails is told of when it failed, once, and so is the end of the outage."""
    await arm(hass)
    monitor.push(SWING.account_id, RECONNECTING)
    monitor.push(SWING.account_id, RECONNECTING)
    assert await told() == []
    monitor.push(SWING.account_id, end)
    await hass.async_block_till_done()
    assert await told() == [SWING_TERMINAL]
    monitor.push(SWING.account_id, DISCONNECTED)
    monitor.push(SWING.account_id, RECONNECTING)
    monitor.push(SWING.account_id, RECONNECT_FAILED)
    assert await told() == []


async def test_back_after_a_reconnect_that_failed(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told
) -> None:
    """The way back from a failed reconnect is told of."""
    await arm(hass, "connected")
    monitor.push(SWING.account_id, RECONNECTING)
    monitor.push(SWING.account_id, RECONNECT_FAILED)
    assert await told() == []
    monitor.push(SWING.account_id, CONNECTED)
    assert await told() == [SWING_TERMINAL]


async def test_reconnect_of_a_terminal_that_is_off(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told
) -> None:
    """A reconnect that mends an outage is told of as its end."""
    await arm(hass, "connected")
    monitor.push(SWING.account_id, DISCONNECTED)
    monitor.push(SWING.account_id, RECONNECTING)
    assert await told() == []
    monitor.push(SWING.account_id, CONNECTED)
    assert await told() == [SWING_TERMINAL]


@pytest.mark.parametrize(
    ("end", "expected"), [(DISCONNECTED, True), (CONNECTED, False)]
)
async def test_reconnect_out_of_sight(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    end: AccountState,
    expected: bool,
) -> None:
    """When the link to MetaApi is lost on the way, what is seen next decides."""
    await arm(hass)
    monitor.push(SWING.account_id, RECONNECTING)
    monitor.push(SWING.account_id, NO_CONNECTION)
    assert await told() == []
    monitor.push(SWING.account_id, end)
    assert await told() == ([SWING_TERMINAL] if expected else [])


@pytest.mark.parametrize(
    ("end", "expected"), [(DISCONNECTED, True), (CONNECTED, False)]
)
async def test_reload_during_a_reconnect(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    told: Told,
    end: AccountState,
    expected: bool,
) -> None:
    """When the entry reloads on the way, what is seen next decides, and the old monitor is let go."""
    await arm(hass)
    monitor.push(SWING.account_id, RECONNECTING)
    assert await hass.config_entries.async_reload(mock_config_entry.entry_id)
    assert monitor.listeners[SWING.account_id] == []
    monitors[-1].push(SWING.account_id, end)
    assert await told() == ([SWING_TERMINAL] if expected else [])


async def test_terminal_removed_during_a_reconnect(
    hass: HomeAssistant, monitor: FakeMonitor, told: Told
) -> None:
    """An entity that goes away during a reconnect takes the waiting with it."""
    await arm(hass)
    monitor.push(SWING.account_id, RECONNECTING)
    er.async_get(hass).async_remove(SWING_TERMINAL)
    await hass.async_block_till_done()
    monitor.push(SWING.account_id, RECONNECT_FAILED)
    assert await told() == []


async def test_for_after_a_reconnect_that_failed(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """A duration counts from when the reconnect failed."""
    await arm(hass, lasting=60)
    monitor.push(SWING.account_id, RECONNECTING)
    await pass_time(hass, freezer, 100)
    monitor.push(SWING.account_id, RECONNECT_FAILED)
    await pass_time(hass, freezer, 59)
    assert await told() == []
    await pass_time(hass, freezer, 2)
    assert await told() == [SWING_TERMINAL]


async def test_off_that_someone_else_wrote(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    told: Told,
) -> None:
    """A state written by hand says nothing of the account."""
    await arm(hass)
    assert await hass.config_entries.async_unload(mock_config_entry.entry_id)
    hass.states.async_set(SWING_TERMINAL, "off")
    assert await told() == []


# -- restarts --------------------------------------------------------------------------


def remember(hass_storage: dict[str, Any], **known: bool) -> None:
    """Let Home Assistant find what it knew before it stopped."""
    accounts = {"swing": SWING, "scalp": SCALP}
    hass_storage[STORAGE_KEY] = {
        "version": 1,
        "minor_version": 1,
        "key": STORAGE_KEY,
        "data": {
            accounts[name].account_id: stored_account(terminal=one)
            for name, one in known.items()
        },
    }


def stored_account(**last: bool) -> dict[str, Any]:
    """Return what is stored of an account of which some last values are known."""
    return {
        **{
            facet.value: {"last": last.get(facet), "since": None, "ended": None}
            for facet in Facet
        },
        "was_on": False,
        "downtime": 0.0,
        "counted_to": None,
        "attempts": 0,
        "attempted_at": None,
    }


def stored_terminals(hass_storage: dict[str, Any]) -> dict[str, bool | None]:
    """Return the last values of terminals that are stored, by account."""
    return {
        account_id: data["terminal"]["last"]
        for account_id, data in hass_storage[STORAGE_KEY]["data"].items()
    }


def register(hass: HomeAssistant, entry: MockConfigEntry) -> None:
    """Register the terminals, as an earlier run did."""
    entry.add_to_hass(hass)
    for account, subentry in zip(
        (SWING, SCALP), entry.subentries.values(), strict=True
    ):
        er.async_get(hass).async_get_or_create(
            "binary_sensor",
            DOMAIN,
            f"{account.account_id}_terminal",
            suggested_object_id=f"{account.name.lower()}_terminal",
            config_entry=entry,
            config_subentry_id=subentry.subentry_id,
        )


class Boot:
    """The start of a Home Assistant that may have known terminals before."""

    def __init__(
        self,
        hass: HomeAssistant,
        hass_storage: dict[str, Any],
        entry: MockConfigEntry,
        monitors: list[FakeMonitor],
    ) -> None:
        """Take what there is."""
        self.hass = hass
        self.entry = entry
        self._hass_storage = hass_storage
        self._monitors = monitors

    def begin(self, **known: bool) -> None:
        """Begin, with what was known before; automations do not run yet."""
        remember(self._hass_storage, **known)
        register(self.hass, self.entry)
        self.hass.set_state(CoreState.not_running)

    async def load(self) -> None:
        """Set the entry up."""
        assert await self.hass.config_entries.async_setup(self.entry.entry_id)
        await self.hass.async_block_till_done()

    def show(self, account: Account, link: AccountState) -> None:
        """Show a state of an account."""
        self._monitors[-1].push(account.account_id, link)

    async def start(self) -> None:
        """Let automations run."""
        await self.hass.async_start()
        await self.hass.async_block_till_done()

    @property
    def stored(self) -> dict[str, bool | None]:
        """Return what is known after the next start."""
        return stored_terminals(self._hass_storage)


@pytest.fixture
def boot(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
) -> Boot:
    """Start a Home Assistant."""
    return Boot(hass, hass_storage, mock_config_entry, monitors)


type Step = Callable[[], Awaitable[None]]


@pytest.mark.parametrize("automations_first", [True, False])
@pytest.mark.parametrize("seen_late", [True, False])
@pytest.mark.parametrize(
    ("trigger", "known", "link", "expected"),
    [
        ("disconnected", {"swing": True}, DISCONNECTED, True),
        ("disconnected", {"swing": False}, DISCONNECTED, False),
        ("disconnected", {}, DISCONNECTED, False),
        ("connected", {"swing": True}, CONNECTED, False),
        ("connected", {"swing": False}, CONNECTED, True),
        ("disconnected", {"swing": True}, CONNECTED, False),
    ],
)
async def test_start(
    hass: HomeAssistant,
    boot: Boot,
    told: Told,
    automations_first: bool,
    seen_late: bool,
    trigger: str,
    known: dict[str, bool],
    link: AccountState,
    expected: bool,
) -> None:
    """What changed while Home Assistant was down is told once to each automation, whoever is up first."""
    boot.begin(**known)

    async def automations() -> None:
        await arm(hass, trigger, names=("one", "two"))

    async def entry() -> None:
        await boot.load()
        await hass.async_block_till_done()
        if not seen_late:
            boot.show(SWING, link)

    steps: list[Step] = [automations, entry]
    for step in steps if automations_first else reversed(steps):
        await step()
    assert await told() == []

    await boot.start()
    if seen_late:
        assert await told() == []
        boot.show(SWING, link)
    assert await told() == ([SWING_TERMINAL] * 2 if expected else [])
    boot.show(SWING, NO_CONNECTION)
    boot.show(SWING, link)
    assert await told() == []


@pytest.mark.parametrize(
    ("trigger", "expected"), [("disconnected", [SCALP_TERMINAL]), ("connected", [])]
)
async def test_over_before_the_start(
    hass: HomeAssistant,
    boot: Boot,
    told: Told,
    trigger: str,
    expected: list[str],
) -> None:
    """An outage that is over before automations run is not told; one that is not over, is."""
    boot.begin(swing=True, scalp=True)
    await boot.load()
    await arm(hass, trigger, target={"entity_id": BOTH})
    for account in (SWING, SCALP):
        boot.show(account, DISCONNECTED)
    boot.show(SWING, CONNECTED)
    await boot.start()
    assert await told() == expected


async def test_seen_before_the_triggers(
    hass: HomeAssistant,
    boot: Boot,
    told: Told,
) -> None:
    """A terminal that is seen before Home Assistant loads the triggers is compared as well."""
    boot.begin(swing=True)
    with patch.object(FakeMonitor, "state", return_value=DISCONNECTED):
        await boot.load()
        await arm(hass)
        await boot.start()
        assert await told() == [SWING_TERMINAL]


@pytest.mark.parametrize("seen_late", [True, False])
@pytest.mark.parametrize(
    ("known", "link", "expected"),
    [
        ({"swing": True}, DISCONNECTED, [False]),
        ({"swing": False}, DISCONNECTED, [True]),
        ({}, DISCONNECTED, [True]),
        ({"swing": False}, CONNECTED, []),
    ],
)
async def test_also_at_start(
    hass: HomeAssistant,
    boot: Boot,
    told: Told,
    seen_late: bool,
    known: dict[str, bool],
    link: AccountState,
    expected: list[bool],
) -> None:
    """Where that is asked for, an outage that is known already fires at a start too, and says so."""
    boot.begin(**known)
    await arm(hass, at_start=True)
    await boot.load()
    if not seen_late:
        boot.show(SWING, link)
    await boot.start()
    boot.show(SWING, link)
    await hass.async_block_till_done()
    assert [event.data["already"] for event in told.events] == expected
    assert all(event.data["at_start"] for event in told.events)
    told.events.clear()

    # Seen once, it is no longer the start
    boot.show(SWING, NO_CONNECTION)
    assert await hass.config_entries.async_reload(boot.entry.entry_id)
    boot.show(SWING, link)
    assert await told() == []
    boot.show(SWING, CONNECTED)
    boot.show(SWING, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]


@pytest.mark.parametrize("seen_late", [True, False])
@pytest.mark.parametrize("at_start", [True, False])
@pytest.mark.parametrize(
    ("known", "fires"),
    [
        pytest.param(
            {"swing": True, "scalp": True},
            {"each": 2, "first": 1, "all": 1},
            id="both turned",
        ),
        pytest.param(
            {"swing": True, "scalp": False},
            {"each": 1, "first": 0, "all": 1},
            id="first turned",
        ),
        pytest.param(
            {"swing": False, "scalp": True},
            {"each": 1, "first": 0, "all": 1},
            id="last turned",
        ),
        pytest.param(
            {"swing": False, "scalp": False},
            {"each": 0, "first": 0, "all": 0},
            id="no news",
        ),
        pytest.param({}, {"each": 0, "first": 0, "all": 0}, id="never known"),
    ],
)
@pytest.mark.parametrize("behavior", ["each", "first", "all"])
async def test_start_with_several(
    hass: HomeAssistant,
    boot: Boot,
    told: Told,
    seen_late: bool,
    at_start: bool,
    known: dict[str, bool],
    fires: dict[str, int],
    behavior: str,
) -> None:
    """At a start as well the first fires once and all fire once; with `at_start`, whatever was known."""
    always = {"each": 2, "first": 1, "all": 1}
    boot.begin(**known)
    await boot.load()
    await arm(hass, target={"entity_id": BOTH}, behavior=behavior, at_start=at_start)

    async def disconnect() -> None:
        for account in (SWING, SCALP):
            boot.show(account, DISCONNECTED)
        await hass.async_block_till_done()

    if not seen_late:
        await disconnect()
    await boot.start()
    if seen_late:
        assert await told() == []
        await disconnect()
    assert len(await told()) == (always if at_start else fires)[behavior]

    for account in (SWING, SCALP):
        boot.show(account, CONNECTED)
    await disconnect()
    assert len(await told()) == always[behavior]


async def test_stop_before_the_start(
    hass: HomeAssistant,
    boot: Boot,
    told: Told,
    freezer: FrozenDateTimeFactory,
) -> None:
    """What no automation heard of is still news at the next start."""
    boot.begin(swing=True, scalp=True)
    await boot.load()
    await arm(hass)
    boot.show(SWING, DISCONNECTED)
    await pass_time(hass, freezer, 11)
    assert boot.stored[SWING.account_id] is True
    await boot.start()
    assert await told() == [SWING_TERMINAL]
    await pass_time(hass, freezer, 11)
    assert boot.stored[SWING.account_id] is False


async def test_gone_before_the_start(
    hass: HomeAssistant,
    boot: Boot,
    told: Told,
) -> None:
    """A terminal that is gone when automations run is not told of; another one is."""
    boot.begin(swing=True, scalp=True)
    await boot.load()
    await arm(hass, target={"entity_id": BOTH})
    for account in (SWING, SCALP):
        boot.show(account, DISCONNECTED)
    er.async_get(hass).async_remove(SWING_TERMINAL)
    await boot.start()
    assert await told() == [SCALP_TERMINAL]


async def test_automation_made_after_the_start(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    told: Told,
) -> None:
    """An automation that is made later does not hear of what was before it."""
    remember(hass_storage, swing=True)
    register(hass, mock_config_entry)
    assert await hass.config_entries.async_setup(mock_config_entry.entry_id)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    await arm(hass)
    assert await told() == []


async def test_out_of_sight_at_the_stop(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    hass_storage: dict[str, Any],
) -> None:
    """What was last known is kept, whatever hid it before the stop."""
    monitor.push(SCALP.account_id, DISCONNECTED)
    for account in (SWING, SCALP):
        monitor.push(account.account_id, NO_CONNECTION)
    await hass.async_block_till_done()
    await hass.async_stop(force=True)
    known = stored_terminals(hass_storage)
    assert known[SWING.account_id] is True
    assert known[SCALP.account_id] is False


async def test_kept_without_a_stop(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    hass_storage: dict[str, Any],
    freezer: FrozenDateTimeFactory,
) -> None:
    """What is known is written soon, for a Home Assistant that has no time to stop."""
    monitor.push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 11)
    known = stored_terminals(hass_storage)
    assert known[SWING.account_id] is False
    assert known[SCALP.account_id] is True


async def test_stop_during_a_reconnect(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    hass_storage: dict[str, Any],
    freezer: FrozenDateTimeFactory,
) -> None:
    """A reconnect that the stop cuts short leaves the terminal as it was before."""
    monitor.push(SWING.account_id, RECONNECTING)
    await pass_time(hass, freezer, 11)
    await hass.async_stop(force=True)
    assert stored_terminals(hass_storage)[SWING.account_id] is True


async def test_forgets_what_is_gone(
    hass: HomeAssistant,
    hass_storage: dict[str, Any],
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    freezer: FrozenDateTimeFactory,
) -> None:
    """Accounts that are gone are forgotten at the next start."""
    remember(hass_storage, swing=True, scalp=True)
    entry = make_entry(SWING)
    provisioning.accounts.return_value = [SWING]
    await setup_entry(hass, entry)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    await pass_time(hass, freezer, 11)
    assert SCALP.account_id not in stored_terminals(hass_storage)


async def test_leaves_no_file_behind(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    mock_config_entry: MockConfigEntry,
    hass_storage: dict[str, Any],
    freezer: FrozenDateTimeFactory,
) -> None:
    """The last entry takes the file along; another entity's end does not."""
    await pass_time(hass, freezer, 11)
    er.async_get(hass).async_remove(SWING_TERMINAL)
    await hass.async_block_till_done()
    assert STORAGE_KEY in hass_storage
    await hass.config_entries.async_remove(mock_config_entry.entry_id)
    await hass.async_block_till_done()
    await pass_time(hass, freezer, 60)
    assert STORAGE_KEY not in hass_storage

    # Nor does it look again whenever anything else is removed
    remember(hass_storage)
    other = er.async_get(hass).async_get_or_create("binary_sensor", "other", "1")
    er.async_get(hass).async_remove(other.entity_id)
    await hass.async_block_till_done()
    assert STORAGE_KEY in hass_storage


# -- the platform ----------------------------------------------------------------------


async def test_described(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """The editor offers the triggers, with their target and fields, name, description and icon."""
    descriptions = await async_get_all_descriptions(hass)
    texts = await async_get_translations(hass, "en", "triggers", {DOMAIN})
    icons = (await async_get_icons(hass, "triggers", {DOMAIN}))[DOMAIN]
    common = {
        "at_start",
        "behavior",
        "for",
        "quiet_entities",
        "quiet_weekend",
        "together",
    }
    fields = {
        "broker_connected": common | {"lasted"},
        "broker_disconnected": common,
        "connected": common | {"lasted"},
        "disconnected": common | {"attempts", "reconnect"},
        "in_sight": common | {"lasted"},
        "out_of_sight": common,
    }
    keys = set(fields)
    assert set(icons) == keys
    assert {
        key.removeprefix(f"{DOMAIN}.") for key in descriptions if DOMAIN in key
    } == keys
    for key in keys:
        description = descriptions[f"{DOMAIN}.{key}"]
        assert description is not None
        assert set(description["fields"]) == fields[key]
        assert description["target"] == {
            "entity": [
                {
                    "integration": DOMAIN,
                    "domain": ["binary_sensor"],
                    "device_class": ["connectivity"],
                }
            ]
        }
        assert icons[key]["trigger"].startswith("mdi:")
        of_key = f"component.{DOMAIN}.triggers.{key}"
        for text in (
            "name",
            "description",
            "fields.at_start.name",
            "fields.at_start.description",
            "fields.behavior.name",
            "fields.for.name",
        ):
            assert texts[f"{of_key}.{text}"]


@pytest.mark.parametrize("platform", ["trigger", "condition"])
async def test_broken_platform(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    platform: str,
) -> None:
    """A Home Assistant whose triggers or conditions work otherwise costs nothing but those."""
    with patch.dict("sys.modules", {f"custom_components.metaapi.{platform}": None}):
        await setup_entry(hass, mock_config_entry)
        assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert hass.states.get(SWING_TERMINAL) is not None


async def test_unreadable_file(
    hass: HomeAssistant,
    mock_config_entry: MockConfigEntry,
    monitors: list[FakeMonitor],
    provisioning: MagicMock,
    told: Told,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A file that cannot be read costs no more than what it held."""
    with patch.object(Store, "async_load", side_effect=HomeAssistantError("worn out")):
        await setup_entry(hass, mock_config_entry)
    assert entry_state(mock_config_entry) is ConfigEntryState.LOADED
    assert "last known of the accounts" in caplog.text
    assert "worn out" in caplog.text
    await arm(hass)
    monitors[-1].push(SWING.account_id, CONNECTED)
    monitors[-1].push(SWING.account_id, DISCONNECTED)
    assert await told() == [SWING_TERMINAL]

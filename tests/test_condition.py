"""Test the conditions."""

from typing import Any

from freezegun.api import FrozenDateTimeFactory
import pytest
from pytest_homeassistant_custom_component.common import async_capture_events

from custom_components.metaapi.const import DOMAIN
from homeassistant.components import automation
from homeassistant.core import HomeAssistant
from homeassistant.helpers import condition
from homeassistant.helpers.icon import async_get_icons
from homeassistant.helpers.translation import async_get_translations
from homeassistant.setup import async_setup_component

from .conftest import (
    CONNECTED,
    DISCONNECTED,
    NO_CONNECTION,
    SCALP,
    SWING,
    FakeMonitor,
)
from .test_trigger import (
    BOTH,
    BROKER,
    BROKER_AWAY,
    SCALP_TERMINAL,
    SWING_TERMINAL,
    UNKNOWN,
    pass_time,
    places,
)

__all__ = ["places"]


async def check(
    hass: HomeAssistant, key: str, target: dict[str, Any], **options: Any
) -> bool | None:
    """Check a condition."""
    config = await condition.async_validate_condition_config(
        hass,
        {"condition": f"{DOMAIN}.{key}", "target": target, "options": options},
    )
    checker = await condition.async_from_config(hass, config)
    try:
        return checker.async_check()
    finally:
        checker.async_unload()


@pytest.mark.parametrize(
    ("link", "connected", "disconnected"),
    [
        pytest.param(CONNECTED, True, False, id="connected"),
        pytest.param(BROKER_AWAY, True, False, id="broker away"),
        pytest.param(DISCONNECTED, False, True, id="disconnected"),
        pytest.param(NO_CONNECTION, False, False, id="out of sight"),
        pytest.param(UNKNOWN, False, False, id="unknown"),
    ],
)
async def test_state(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    link: Any,
    connected: bool,
    disconnected: bool,
) -> None:
    """A terminal is connected, disconnected, or neither while it is out of sight."""
    monitor.push(SWING.account_id, link)
    target = {"entity_id": SWING_TERMINAL}
    assert await check(hass, "is_connected", target) is connected
    assert await check(hass, "is_disconnected", target) is disconnected


@pytest.mark.parametrize(
    ("place", "means"),
    [
        ("device", [SWING_TERMINAL]),
        ("area", BOTH),
        ("floor", BOTH),
        ("label of devices", BOTH),
        ("label of sensors", BOTH),
        ("hub", BOTH),
        ("foreign", []),
        ("another entity", [SWING_TERMINAL]),
    ],
)
async def test_targets(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    places: dict[str, dict[str, str]],
    place: str,
    means: list[str],
) -> None:
    """A target stands for its accounts, not for brokers, links or foreign entities."""
    target = places[place]
    monitor.push_link(False)
    hass.states.async_set("binary_sensor.other", "off")
    for account in (SWING, SCALP):
        monitor.push(account.account_id, BROKER_AWAY)
    assert await check(hass, "is_disconnected", target) is False
    for account, entity_id in ((SWING, SWING_TERMINAL), (SCALP, SCALP_TERMINAL)):
        monitor.push(account.account_id, DISCONNECTED)
        assert await check(hass, "is_disconnected", target) is (entity_id in means)
        monitor.push(account.account_id, CONNECTED)


async def test_named_by_another_entity(
    hass: HomeAssistant, monitor: FakeMonitor
) -> None:
    """Any entity of an account stands for its terminal."""
    target = {"entity_id": BROKER}
    monitor.push(SWING.account_id, BROKER_AWAY)
    assert await check(hass, "is_disconnected", target) is False
    assert await check(hass, "is_connected", target) is True


@pytest.mark.parametrize("key", ["is_connected", "is_disconnected"])
@pytest.mark.parametrize("behavior", ["any", "all"])
@pytest.mark.parametrize("link", [NO_CONNECTION, UNKNOWN, None])
async def test_nothing_known(
    hass: HomeAssistant, monitor: FakeMonitor, key: str, behavior: str, link: Any
) -> None:
    """If nothing is known or the target is empty, both conditions are false."""
    target = {"entity_id": SWING_TERMINAL if link else "binary_sensor.nothing"}
    if link:
        monitor.push(SWING.account_id, link)
    assert await check(hass, key, target, behavior=behavior) is False


async def test_all_that_are_known(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """Accounts out of sight do not count for `all`."""
    monitor.push(SCALP.account_id, NO_CONNECTION)
    target = {"entity_id": BOTH}
    assert await check(hass, "is_connected", target, behavior="all") is True


@pytest.mark.parametrize(("behavior", "expected"), [("any", True), ("all", False)])
async def test_behavior(
    hass: HomeAssistant, monitor: FakeMonitor, behavior: str, expected: bool
) -> None:
    """One of several terminals is enough, or all are needed."""
    target = {"entity_id": BOTH}
    monitor.push(SWING.account_id, DISCONNECTED)
    for key in ("is_disconnected", "is_connected"):
        assert await check(hass, key, target, behavior=behavior) is expected
    monitor.push(SCALP.account_id, DISCONNECTED)
    assert await check(hass, "is_disconnected", target, behavior=behavior) is True


async def test_for(
    hass: HomeAssistant, monitor: FakeMonitor, freezer: FrozenDateTimeFactory
) -> None:
    """With a duration, the state must have lasted."""
    target = {"entity_id": SWING_TERMINAL}
    monitor.push(SWING.account_id, DISCONNECTED)
    options = {"for": {"minutes": 5}}
    await pass_time(hass, freezer, 299)
    assert await check(hass, "is_disconnected", target, **options) is False
    await pass_time(hass, freezer, 2)
    assert await check(hass, "is_disconnected", target, **options) is True


async def test_in_an_automation(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """An automation continues if its condition is true."""
    fired = async_capture_events(hass, "fired")
    assert await async_setup_component(
        hass,
        automation.DOMAIN,
        {
            automation.DOMAIN: {
                "alias": "one",
                "triggers": {"trigger": "event", "event_type": "ask"},
                "conditions": {
                    "condition": f"{DOMAIN}.is_disconnected",
                    "target": {"entity_id": SWING_TERMINAL},
                },
                "actions": {"event": "fired"},
            }
        },
    )
    hass.bus.async_fire("ask")
    await hass.async_block_till_done()
    assert not fired
    monitor.push(SWING.account_id, DISCONNECTED)
    hass.bus.async_fire("ask")
    await hass.async_block_till_done()
    assert len(fired) == 1


async def test_described(hass: HomeAssistant, monitor: FakeMonitor) -> None:
    """The editor gets targets, fields, names, descriptions and icons of both conditions."""
    descriptions = await condition.async_get_all_descriptions(hass)
    texts = await async_get_translations(hass, "en", "conditions", {DOMAIN})
    icons = (await async_get_icons(hass, "conditions", {DOMAIN}))[DOMAIN]
    keys = {"is_connected", "is_disconnected"}
    assert set(icons) == keys
    assert {
        key.removeprefix(f"{DOMAIN}.") for key in descriptions if DOMAIN in key
    } == keys
    for key in keys:
        description = descriptions[f"{DOMAIN}.{key}"]
        assert description is not None
        assert set(description["fields"]) == {"behavior", "for"}
        assert description["target"]["entity"][0]["integration"] == DOMAIN
        assert icons[key]["condition"].startswith("mdi:")
        of_key = f"component.{DOMAIN}.conditions.{key}"
        for text in ("name", "description", "fields.behavior.name", "fields.for.name"):
            assert texts[f"{of_key}.{text}"]

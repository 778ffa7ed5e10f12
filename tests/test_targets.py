"""Test that members of a trigger's target that are no accounts are reported."""

from itertools import pairwise
from typing import Any

from freezegun.api import FrozenDateTimeFactory
import pytest

from custom_components.metaapi.const import DOMAIN
from homeassistant.components import automation
from homeassistant.core import HomeAssistant
from homeassistant.helpers import (
    area_registry as ar,
    entity_registry as er,
    issue_registry as ir,
    label_registry as lr,
)

from .conftest import CONNECTED, DISCONNECTED, SWING, FakeMonitor
from .test_trigger import SWING_TERMINAL, Fired, arm, fired, pass_time

__all__ = ["fired"]


def issues(hass: HomeAssistant) -> set[str]:
    """Return the members that repair issues report."""
    return {
        issue_id.removeprefix("unknown_target_")
        for domain, issue_id in ir.async_get(hass).issues
        if domain == DOMAIN
    }


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"entity_id": SWING_TERMINAL}, set()),
        (
            {"entity_id": [SWING_TERMINAL, "binary_sensor.gone"]},
            {"entity_id: binary_sensor.gone"},
        ),
        ({"device_id": "gone"}, {"device_id: gone"}),
        ({"area_id": "gone"}, {"area_id: gone"}),
        ({"floor_id": "gone"}, {"floor_id: gone"}),
        ({"label_id": ["gone", "away"]}, {"label_id: gone", "label_id: away"}),
    ],
)
async def test_unknown_member(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    freezer: FrozenDateTimeFactory,
    caplog: pytest.LogCaptureFixture,
    target: dict[str, Any],
    expected: set[str],
) -> None:
    """A repair issue and the log report it, until the automation no longer uses it."""
    await arm(hass, target=target, names=("one", "two"))
    await pass_time(hass, freezer, 10)
    assert issues(hass) == expected
    for one in expected:
        assert caplog.text.count(f"no account of MetaApi: {one}") == 1
    await hass.services.async_call(
        automation.DOMAIN, "turn_off", {"entity_id": "automation.one"}, blocking=True
    )
    assert issues(hass) == expected
    await hass.services.async_call(
        automation.DOMAIN, "turn_off", {"entity_id": "automation.two"}, blocking=True
    )
    assert issues(hass) == set()


async def test_area_emptied(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    freezer: FrozenDateTimeFactory,
    fired: Fired,
) -> None:
    """An area that loses its account is reported until it contains an account again."""
    area = ar.async_get(hass).async_create("Desk").id
    registry = er.async_get(hass)
    registry.async_update_entity(SWING_TERMINAL, area_id=area)
    await arm(hass, target={"area_id": area})
    await pass_time(hass, freezer, 10)
    assert issues(hass) == set()
    registry.async_update_entity(SWING_TERMINAL, area_id=None)
    await hass.async_block_till_done()
    await pass_time(hass, freezer, 10)
    assert issues(hass) == {f"area_id: {area}"}
    registry.async_update_entity("button.swing_reconnect", area_id=area)
    await hass.async_block_till_done()
    await pass_time(hass, freezer, 10)
    assert issues(hass) == set()
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await fired() == [SWING_TERMINAL]


async def test_renamed_twice(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    freezer: FrozenDateTimeFactory,
    fired: Fired,
) -> None:
    """A target with an entity id follows each rename, without a report."""
    await arm(hass)
    registry = er.async_get(hass)
    names = [SWING_TERMINAL, "binary_sensor.first", "binary_sensor.second"]
    for old, new in pairwise(names):
        registry.async_update_entity(old, new_entity_id=new)
        await hass.async_block_till_done()
    await pass_time(hass, freezer, 10)
    assert issues(hass) == set()
    monitor.push(SWING.account_id, CONNECTED)
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await fired() == ["binary_sensor.second"]


async def test_label_given_later(
    hass: HomeAssistant,
    monitor: FakeMonitor,
    freezer: FrozenDateTimeFactory,
    fired: Fired,
) -> None:
    """A label that no account has is reported until an account has it."""
    label = lr.async_get(hass).async_create("Trading").label_id
    await arm(hass, target={"label_id": label})
    await pass_time(hass, freezer, 10)
    assert issues(hass) == {f"label_id: {label}"}
    er.async_get(hass).async_update_entity(SWING_TERMINAL, labels={label})
    await hass.async_block_till_done()
    await pass_time(hass, freezer, 10)
    assert issues(hass) == set()
    monitor.push(SWING.account_id, DISCONNECTED)
    assert await fired() == [SWING_TERMINAL]

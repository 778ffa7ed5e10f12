"""Test how targets are resolved to accounts."""

from typing import Any

import pytest
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.metaapi.account_target import async_target_accounts
from homeassistant.config_entries import ConfigEntryDisabler
from homeassistant.core import HomeAssistant
from homeassistant.helpers import (
    area_registry as ar,
    device_registry as dr,
    entity_registry as er,
    floor_registry as fr,
    label_registry as lr,
)
from homeassistant.helpers.target import TargetSelection
from homeassistant.setup import async_setup_component

from .conftest import SCALP, SWING, FakeMonitor, device_of

SWING_ID = SWING.account_id
SCALP_ID = SCALP.account_id
BOTH = {SWING_ID, SCALP_ID}

type Target = dict[str, Any]


def meant(hass: HomeAssistant, target: Target | TargetSelection) -> set[str]:
    """Return the ids of the accounts in a target."""
    return {account_id for _entry, account_id in async_target_accounts(hass, target)}


def place_device(
    hass: HomeAssistant, entry: MockConfigEntry, identifier: str, **changes: Any
) -> None:
    """Change the device of an account, or of the hub."""
    device = device_of(hass, entry, identifier)
    dr.async_get(hass).async_update_device(device.id, **changes)


@pytest.fixture
async def targets(
    hass: HomeAssistant, monitor: FakeMonitor, mock_config_entry: MockConfigEntry
) -> dict[str, Target]:
    """Return targets of each kind: those with both accounts, and those with Swing only."""
    entry = mock_config_entry
    hub = device_of(hass, entry, entry.entry_id)
    swing, scalp = (
        device_of(hass, entry, account_id) for account_id in (SWING_ID, SCALP_ID)
    )
    assert await async_setup_component(
        hass,
        "group",
        {"group": {"swings": {"entities": ["binary_sensor.swing_terminal"]}}},
    )
    await hass.async_block_till_done()
    ground = fr.async_get(hass).async_create("Ground").floor_id
    areas = ar.async_get(hass)
    office = areas.async_create("Office", floor_id=ground)
    kitchen = areas.async_create("Kitchen", labels={"of_the_area"})
    labels = lr.async_get(hass)
    for name in ("Of both", "Of the device", "Of the entity", "Of the area"):
        labels.async_create(name)
    place_device(
        hass, entry, SWING_ID, area_id=office.id, labels={"of_both", "of_the_device"}
    )
    place_device(hass, entry, SCALP_ID, labels={"of_both"})
    er.async_get(hass).async_update_entity(
        "binary_sensor.swing_broker", area_id=kitchen.id, labels={"of_the_entity"}
    )
    return {
        "all": {"entity_id": "all"},
        "hub": {"device_id": hub.id},
        "link": {"entity_id": "binary_sensor.metaapi_link"},
        "both devices": {"device_id": [swing.id, scalp.id]},
        "both entities": {
            "entity_id": ["sensor.swing_status", "button.scalp_reconnect"]
        },
        "both by a label": {"label_id": "of_both"},
        "both by several kinds": {
            "area_id": office.id,
            "entity_id": "sensor.scalp_status",
        },
        "entity": {"entity_id": "binary_sensor.swing_terminal"},
        "diagnostic entity": {"entity_id": "binary_sensor.swing_broker"},
        "all entities": {
            "entity_id": [
                "binary_sensor.swing_broker",
                "binary_sensor.swing_terminal",
                "button.swing_reconnect",
                "sensor.swing_status",
            ]
        },
        "group": {"entity_id": "group.swings"},
        "device": {"device_id": swing.id},
        "area": {"area_id": office.id},
        "area of an entity": {"area_id": kitchen.id},
        "floor": {"floor_id": ground},
        "label of a device": {"label_id": "of_the_device"},
        "label of an entity": {"label_id": "of_the_entity"},
        "label of an area": {"label_id": "of_the_area"},
    }


OF_BOTH = (
    "all",
    "hub",
    "link",
    "both devices",
    "both entities",
    "both by a label",
    "both by several kinds",
)
OF_SWING = (
    "entity",
    "diagnostic entity",
    "all entities",
    "group",
    "device",
    "area",
    "area of an entity",
    "floor",
    "label of a device",
    "label of an entity",
    "label of an area",
)


@pytest.mark.parametrize("kind", OF_BOTH)
def test_both(hass: HomeAssistant, targets: dict[str, Target], kind: str) -> None:
    """A target can contain several accounts."""
    assert meant(hass, targets[kind]) == BOTH


@pytest.mark.parametrize("kind", OF_SWING)
def test_one(hass: HomeAssistant, targets: dict[str, Target], kind: str) -> None:
    """A target can contain one account."""
    assert meant(hass, targets[kind]) == {SWING_ID}


@pytest.mark.parametrize("kind", OF_BOTH)
def test_exclude_one(
    hass: HomeAssistant, targets: dict[str, Target], kind: str
) -> None:
    """An excluded account is left out, and the others stay."""
    for excluded in OF_SWING:
        target = {**targets[kind], "exclude": targets[excluded]}
        assert meant(hass, target) == {SCALP_ID}, excluded


@pytest.mark.parametrize("kind", [*OF_BOTH, *OF_SWING])
def test_exclude_everything(
    hass: HomeAssistant, targets: dict[str, Target], kind: str
) -> None:
    """Nothing is left, even of a device whose entities are all excluded."""
    for excluded in OF_BOTH if kind in OF_BOTH else (*OF_BOTH, *OF_SWING):
        target = {**targets[kind], "exclude": targets[excluded]}
        assert meant(hass, target) == set(), excluded


@pytest.mark.parametrize("kind", OF_BOTH)
def test_selection(hass: HomeAssistant, targets: dict[str, Target], kind: str) -> None:
    """Home Assistant's own target selection with `exclude` gives the same result."""
    for excluded in OF_SWING:
        selection = TargetSelection({**targets[kind], "exclude": targets[excluded]})
        left = {SCALP_ID} if hasattr(selection, "exclude") else BOTH
        assert meant(hass, selection) == left, excluded


def test_exclude_nothing(hass: HomeAssistant, targets: dict[str, Target]) -> None:
    """An empty `exclude` has no effect."""
    for exclude in (
        {},
        {"entity_id": "none"},
        {"area_id": ["no_such_area"], "device_id": ["no_such_device"]},
    ):
        assert meant(hass, {**targets["all"], "exclude": exclude}) == BOTH


def test_exclude_without_a_target(
    hass: HomeAssistant, targets: dict[str, Target]
) -> None:
    """A target with only an `exclude` is empty."""
    assert meant(hass, {"exclude": targets["device"]}) == set()


@pytest.mark.parametrize("by", ["area_id", "floor_id", "label_id"])
@pytest.mark.parametrize("part", ["device", "entity"])
def test_hub_in_a_group(
    hass: HomeAssistant,
    targets: dict[str, Target],
    mock_config_entry: MockConfigEntry,
    by: str,
    part: str,
) -> None:
    """An area or label of the hub stands for the accounts in it, not for all accounts."""
    entry = mock_config_entry
    changes: dict[str, Any] = (
        {"labels": {"of_the_device"}}
        if by == "label_id"
        else {"area_id": targets["area"]["area_id"]}
    )
    if part == "device":
        place_device(hass, entry, entry.entry_id, **changes)
    else:
        er.async_get(hass).async_update_entity("binary_sensor.metaapi_link", **changes)
    kind = {"area_id": "area", "floor_id": "floor", "label_id": "label of a device"}[by]

    assert meant(hass, targets[kind]) == {SWING_ID}
    assert meant(hass, {**targets["all"], "exclude": targets[kind]}) == {SCALP_ID}
    assert meant(hass, {**targets[kind], **targets["hub"]}) == BOTH


@pytest.mark.parametrize("how", ["hidden_by", "disabled_by"])
@pytest.mark.parametrize("kind", ["area of an entity", "label of an entity"])
def test_hidden_entity(
    hass: HomeAssistant, targets: dict[str, Target], kind: str, how: str
) -> None:
    """An entity with its own area or label stands for its account, even if it is hidden."""
    by: dict[str, Any] = {
        "hidden_by": er.RegistryEntryHider.USER,
        "disabled_by": er.RegistryEntryDisabler.USER,
    }
    er.async_get(hass).async_update_entity(
        "binary_sensor.swing_broker", **{how: by[how]}
    )

    assert meant(hass, targets[kind]) == {SWING_ID}
    assert meant(hass, {**targets["all"], "exclude": targets[kind]}) == {SCALP_ID}


async def test_disabled_device(
    hass: HomeAssistant, targets: dict[str, Target], mock_config_entry: MockConfigEntry
) -> None:
    """It is not in the target by its area or label, but it can be excluded by them."""
    place_device(
        hass, mock_config_entry, SWING_ID, disabled_by=dr.DeviceEntryDisabler.USER
    )
    await hass.async_block_till_done()

    for kind in ("device", "area", "label of a device", "label of an entity"):
        assert meant(hass, targets[kind]) == set(), kind
        assert meant(hass, {**targets["all"], "exclude": targets[kind]}) == {SCALP_ID}
    assert meant(hass, targets["all"]) == BOTH


async def test_disabled_entry(
    hass: HomeAssistant, targets: dict[str, Target], mock_config_entry: MockConfigEntry
) -> None:
    """`all` does not contain its accounts; naming them does."""
    await hass.config_entries.async_set_disabled_by(
        mock_config_entry.entry_id, ConfigEntryDisabler.USER
    )
    await hass.async_block_till_done()

    assert meant(hass, targets["all"]) == set()
    assert async_target_accounts(hass, targets["entity"]) == {
        (mock_config_entry, SWING_ID)
    }


def test_foreign(hass: HomeAssistant, targets: dict[str, Target]) -> None:
    """Entities and devices of other integrations are ignored."""
    other = MockConfigEntry(domain="other")
    other.add_to_hass(hass)
    device = dr.async_get(hass).async_get_or_create(
        config_entry_id=other.entry_id, identifiers={("other", "lamp")}
    )
    entity = er.async_get(hass).async_get_or_create(
        "light", "other", "lamp", config_entry=other, device_id=device.id
    )

    foreign = {
        "device_id": [device.id, "no_such_device"],
        "entity_id": [entity.entity_id, "light.no_such_light"],
        "label_id": "no_such_label",
    }
    assert meant(hass, foreign) == set()
    assert meant(hass, {**foreign, **targets["area"]}) == {SWING_ID}

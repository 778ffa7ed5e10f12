"""The accounts that a target means: the same for actions, triggers and conditions."""

from collections.abc import Iterable

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import (
    ATTR_AREA_ID,
    ATTR_DEVICE_ID,
    ATTR_ENTITY_ID,
    ATTR_FLOOR_ID,
    ATTR_LABEL_ID,
    CONF_EXCLUDE,
    ENTITY_MATCH_ALL,
)
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers import device_registry as dr, entity_registry as er
from homeassistant.helpers.target import (
    SelectedEntities,
    TargetSelection,
    async_extract_referenced_entity_ids,
)
from homeassistant.helpers.typing import ConfigType

from .const import CONF_ACCOUNT_ID, DOMAIN
from .device import account_subentries

type TargetAccount = tuple[ConfigEntry, str]
"""An entry, loaded or not, and the id of one of its accounts."""


@callback
def async_target_accounts(
    hass: HomeAssistant, target: ConfigType | TargetSelection
) -> set[TargetAccount]:
    """Return the accounts that a target means; what is not ours is left out.

    A device, or any entity of an account, means the account. The hub (its device or its entity) means all
    its accounts, but only where it is named itself: not by its area, floor or label. `exclude` is resolved
    by the same rules, alone, and its accounts are taken away. Home Assistant's own `exclude` would take away
    entities one by one, and an account whose device is left would still be meant.
    """
    selection, exclude = _split(target)
    accounts = _async_accounts(hass, selection)
    if exclude is not None:
        accounts -= _async_accounts(hass, exclude, excluding=True)
    return accounts


def _split(
    target: ConfigType | TargetSelection,
) -> tuple[TargetSelection, TargetSelection | None]:
    """Return what a target selects and what it excludes, each as a target of its own."""
    if isinstance(target, TargetSelection):
        # Before Home Assistant 2026.11 there is no such attribute
        exclude: TargetSelection | None = getattr(target, CONF_EXCLUDE, None)
        plain = {
            ATTR_ENTITY_ID: [*target.entity_ids],
            ATTR_DEVICE_ID: [*target.device_ids],
            ATTR_AREA_ID: [*target.area_ids],
            ATTR_FLOOR_ID: [*target.floor_ids],
            ATTR_LABEL_ID: [*target.label_ids],
        }
        return TargetSelection(plain), exclude
    plain = {key: value for key, value in target.items() if key != CONF_EXCLUDE}
    excluded = target.get(CONF_EXCLUDE)
    return TargetSelection(plain), TargetSelection(excluded) if excluded else None


@callback
def _async_accounts(
    hass: HomeAssistant, selection: TargetSelection, *, excluding: bool = False
) -> set[TargetAccount]:
    """Return the accounts of a target without `exclude`.

    What the user disabled is meant by an exclusion only: `all` and the hub mean it otherwise.
    """
    entries = hass.config_entries.async_entries(DOMAIN)
    selected = async_extract_referenced_entity_ids(hass, selection)
    entities = er.async_get(hass).entities
    # Ids of entries, ours or not, and of subentries
    accounts: set[tuple[str | None, str | None]] = set()
    hubs: set[str | None] = set()
    if ENTITY_MATCH_ALL in selection.entity_ids:
        hubs.update(
            entry.entry_id for entry in entries if excluding or not entry.disabled_by
        )
    device_registry = dr.async_get(hass)
    for device_id in selected.referenced_devices:
        device = device_registry.async_get(device_id)
        if device is None or (device.disabled and not excluding):
            continue
        if device.config_subentry_id is not None:
            accounts.add((device.config_entry_id, device.config_subentry_id))
        elif device_id in selection.device_ids:
            hubs.add(device.config_entry_id)
    for entity_id in selected.referenced:
        if (entity := entities.get(entity_id)) is None:
            continue
        if entity.config_subentry_id is not None:
            accounts.add((entity.config_entry_id, entity.config_subentry_id))
        else:
            hubs.add(entity.config_entry_id)
    for entity in _found_entities(entities, selection, selected):
        device = device_registry.async_get(entity.device_id or "")
        if device is None or excluding or not device.disabled:
            accounts.add((entity.config_entry_id, entity.config_subentry_id))
    return {
        (entry, subentry.data[CONF_ACCOUNT_ID])
        for entry in entries
        for subentry in account_subentries(entry)
        if entry.entry_id in hubs or (entry.entry_id, subentry.subentry_id) in accounts
    }


def _found_entities(
    entities: er.EntityRegistryItems,
    selection: TargetSelection,
    selected: SelectedEntities,
) -> Iterable[er.RegistryEntry]:
    """Yield the entities that a target finds without naming them.

    Home Assistant leaves out those that are hidden or disabled though they carry the label or the area
    themselves; which of an account's entities a person hides says nothing about the account.
    """
    for entity_id in selected.indirectly_referenced:
        if entity := entities.get(entity_id):
            yield entity
    for label_id in selection.label_ids:
        yield from entities.get_entries_for_label(label_id)
    for area_id in selected.referenced_areas:
        yield from entities.get_entries_for_area_id(area_id)

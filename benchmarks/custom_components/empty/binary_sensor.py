"""Binary sensors that know nothing."""

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.config_entries import ConfigEntry
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from . import DOMAIN
from .entity import EmptyEntity

DESCRIPTIONS = (
    BinarySensorEntityDescription(
        key="terminal",
        translation_key="terminal",
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
    ),
    BinarySensorEntityDescription(
        key="broker",
        translation_key="broker",
        device_class=BinarySensorDeviceClass.CONNECTIVITY,
        entity_category=EntityCategory.DIAGNOSTIC,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the binary sensors."""
    async_add_entities([EmptyHubBinarySensor(entry)])
    for subentry in entry.subentries.values():
        async_add_entities(
            [
                EmptyBinarySensor(hass, entry, subentry, description)
                for description in DESCRIPTIONS
            ],
            config_subentry_id=subentry.subentry_id,
        )


class EmptyBinarySensor(EmptyEntity, BinarySensorEntity):
    """A binary sensor of an account."""


class EmptyHubBinarySensor(BinarySensorEntity):
    """The binary sensor of the hub."""

    _attr_has_entity_name = True
    _attr_should_poll = False
    _attr_translation_key = "link"
    _attr_device_class = BinarySensorDeviceClass.CONNECTIVITY
    _attr_entity_category = EntityCategory.DIAGNOSTIC

    def __init__(self, entry: ConfigEntry) -> None:
        """Attach it to the hub's device."""
        self._attr_unique_id = f"{entry.entry_id}_link"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, entry.entry_id)})

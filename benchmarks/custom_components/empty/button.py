"""Buttons that do nothing."""

from homeassistant.components.button import (
    ButtonDeviceClass,
    ButtonEntity,
    ButtonEntityDescription,
)
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import EmptyEntity

RECONNECT = ButtonEntityDescription(
    key="reconnect",
    translation_key="reconnect",
    device_class=ButtonDeviceClass.RESTART,
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the buttons."""
    for subentry in entry.subentries.values():
        async_add_entities(
            [EmptyButton(hass, entry, subentry, RECONNECT)],
            config_subentry_id=subentry.subentry_id,
        )


class EmptyButton(EmptyEntity, ButtonEntity):
    """A button of an account."""

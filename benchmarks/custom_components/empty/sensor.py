"""Sensors that know nothing."""

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
)
from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .entity import EmptyEntity

STATUS = SensorEntityDescription(
    key="status",
    translation_key="status",
    device_class=SensorDeviceClass.ENUM,
    options=[
        "connected",
        "broker_disconnected",
        "disconnected",
        "silent",
        "reconnecting",
        "reconnect_failed",
        "never_authenticated",
        "not_deployed",
        "not_found",
        "quota_exhausted",
        "forbidden",
        "no_connection",
    ],
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: ConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors."""
    for subentry in entry.subentries.values():
        async_add_entities(
            [EmptySensor(hass, entry, subentry, STATUS)],
            config_subentry_id=subentry.subentry_id,
        )


class EmptySensor(EmptyEntity, SensorEntity):
    """A sensor of an account."""

"""Sensors: why an account's terminal is on, off or out of sight."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
)
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .api import AccountState, Status
from .coordinator import MetaApiConfigEntry
from .entity import MetaApiLinkEntity, MetaApiLinkEntityDescription

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MetaApiSensorEntityDescription(
    MetaApiLinkEntityDescription, SensorEntityDescription
):
    """Describes a sensor of an account."""

    value_fn: Callable[[AccountState], str | None]


SENSORS = (
    MetaApiSensorEntityDescription(
        key="status",
        translation_key="status",
        device_class=SensorDeviceClass.ENUM,
        # Home Assistant has a state of its own for "unknown"
        options=[status.value for status in Status if status is not Status.UNKNOWN],
        value_fn=lambda link: None if link.status is Status.UNKNOWN else link.status,
        available_fn=lambda link: link.status is not None,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MetaApiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of an entry."""
    for subentry in entry.runtime_data.watched_subentries():
        async_add_entities(
            [MetaApiSensor(entry, subentry, description) for description in SENSORS],
            config_subentry_id=subentry.subentry_id,
        )


class MetaApiSensor(MetaApiLinkEntity, SensorEntity):
    """A sensor of an account."""

    entity_description: MetaApiSensorEntityDescription

    @property
    @override
    def native_value(self) -> str | None:
        """Return the reason."""
        return self.entity_description.value_fn(self.link)

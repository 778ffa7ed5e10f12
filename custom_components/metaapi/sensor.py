"""Sensors: why an account's terminal is on, off or out of sight."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
)
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .api import AccountState, Status
from .data import MetaApiConfigEntry
from .entity import MetaApiStateEntity, MetaApiStateEntityDescription

PARALLEL_UPDATES = 0


@dataclass(frozen=True, kw_only=True)
class MetaApiSensorEntityDescription(
    MetaApiStateEntityDescription, SensorEntityDescription
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
        value_fn=lambda state: None if state.status is Status.UNKNOWN else state.status,
        # It is there to say why nothing else is known
        available_fn=lambda _state: True,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MetaApiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the sensors of an entry."""

    @callback
    def async_add_account(subentry: ConfigSubentry) -> None:
        """Add those of an account."""
        async_add_entities(
            [
                MetaApiSensor(hass, entry, subentry, description)
                for description in SENSORS
            ],
            config_subentry_id=subentry.subentry_id,
        )

    entry.runtime_data.accounts.async_on_account(async_add_account)


class MetaApiSensor(MetaApiStateEntity, SensorEntity):
    """A sensor of an account."""

    entity_description: MetaApiSensorEntityDescription

    @property
    @override
    def native_value(self) -> str | None:
        """Return the reason."""
        return self.entity_description.value_fn(self.account_state)

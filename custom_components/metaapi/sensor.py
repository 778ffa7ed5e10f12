"""Sensors: why an account's terminal is on, off or out of sight, since when, and how long in all."""

from collections.abc import Callable
from datetime import datetime
from typing import override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import UnitOfTime
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .api import AccountState, Status
from .data import MetaApiConfigEntry
from .entity import MetaApiRecordEntity, MetaApiStateEntity
from .outages import AccountRecord, Facet, News

PARALLEL_UPDATES = 0


STATUS = SensorEntityDescription(
    key="status",
    translation_key="status",
    device_class=SensorDeviceClass.ENUM,
    # Home Assistant has a state of its own for "unknown"
    options=[status.value for status in Status if status is not Status.UNKNOWN],
)


def _status(state: AccountState) -> str | None:
    """Return the reason."""
    return None if state.status is Status.UNKNOWN else state.status


def _disconnected_since(record: AccountRecord) -> datetime | None:
    """Return when the running outage began."""
    return record.terminal.since if record.terminal.last is False else None


def _downtime(record: AccountRecord) -> float:
    """Return how long the terminal was down in all, in hours."""
    return round(record.downtime / 3600, 4)


DISCONNECTED_SINCE = SensorEntityDescription(
    key="disconnected_since",
    translation_key="disconnected_since",
    device_class=SensorDeviceClass.TIMESTAMP,
)

DOWNTIME = SensorEntityDescription(
    key="downtime",
    translation_key="downtime",
    device_class=SensorDeviceClass.DURATION,
    state_class=SensorStateClass.TOTAL_INCREASING,
    native_unit_of_measurement=UnitOfTime.HOURS,
    suggested_display_precision=2,
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
                MetaApiStatusSensor(entry, subentry, STATUS, _status),
                MetaApiOutageSensor(
                    entry, subentry, DISCONNECTED_SINCE, _disconnected_since
                ),
                MetaApiOutageSensor(entry, subentry, DOWNTIME, _downtime),
            ],
            config_subentry_id=subentry.subentry_id,
        )

    entry.runtime_data.accounts.async_on_account(async_add_account)


class MetaApiSensor(MetaApiStateEntity[str], SensorEntity):
    """A sensor of what is known of an account's terminal."""

    @property
    @override
    def native_value(self) -> str | None:
        """Return the value."""
        return self.shown[1]


class MetaApiStatusSensor(MetaApiSensor):
    """The sensor that says why the terminal is on, off or out of sight."""

    @override
    def _is_available(self, state: AccountState) -> bool:
        """Return True: it is there to say why nothing else is known."""
        return True

    @property
    @override
    def extra_state_attributes(self) -> dict[str, str | None]:
        """Return since when: the state alone would say since the start of Home Assistant."""
        since = self.record.lost_since
        return {"since": since.isoformat() if since else None}


class MetaApiOutageSensor(MetaApiRecordEntity, SensorEntity):
    """A sensor of an account's outages: always available, whatever can be seen of the account."""

    def __init__(
        self,
        entry: MetaApiConfigEntry,
        subentry: ConfigSubentry,
        description: SensorEntityDescription,
        value_fn: Callable[[AccountRecord], datetime | float | None],
    ) -> None:
        """Show what `value_fn` returns."""
        super().__init__(entry, subentry, description)
        self.value_fn = value_fn

    @override
    async def async_added_to_hass(self) -> None:
        """Show what there is to show."""
        await super().async_added_to_hass()
        self._attr_native_value = self._read()

    @callback
    @override
    def async_take(self, news: News) -> None:
        """Write the state when it changed, which only the terminal can do."""
        if news is not Facet.TERMINAL:
            return
        if (now := self._read()) != self._attr_native_value:
            self._attr_native_value = now
            self._async_write()

    def _read(self) -> datetime | float | None:
        """Return what there is to show."""
        return self.value_fn(self.record)

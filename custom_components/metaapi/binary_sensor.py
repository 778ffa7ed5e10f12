"""Binary sensors: an account's terminal and broker, and the link to MetaApi."""

from typing import override

from homeassistant.components.binary_sensor import (
    BinarySensorDeviceClass,
    BinarySensorEntity,
    BinarySensorEntityDescription,
)
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .api import AccountState
from .const import DOMAIN
from .data import MetaApiConfigEntry
from .entity import MetaApiEntity, MetaApiStateEntity

PARALLEL_UPDATES = 0


TERMINAL = BinarySensorEntityDescription(
    key="terminal",
    translation_key="terminal",
    device_class=BinarySensorDeviceClass.CONNECTIVITY,
)

BROKER = BinarySensorEntityDescription(
    key="broker",
    translation_key="broker",
    device_class=BinarySensorDeviceClass.CONNECTIVITY,
    entity_category=EntityCategory.DIAGNOSTIC,
)

LINK = BinarySensorEntityDescription(
    key="link",
    translation_key="link",
    device_class=BinarySensorDeviceClass.CONNECTIVITY,
    entity_category=EntityCategory.DIAGNOSTIC,
)


def _terminal(state: AccountState) -> bool | None:
    """Return whether the terminal is authenticated."""
    return state.terminal


def _broker(state: AccountState) -> bool | None:
    """Return whether the terminal is connected to its broker."""
    return state.broker


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MetaApiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the binary sensors of an entry."""
    async_add_entities([MetaApiLinkBinarySensor(entry)])

    @callback
    def async_add_account(subentry: ConfigSubentry) -> None:
        """Add those of an account."""
        async_add_entities(
            [
                MetaApiBinarySensor(entry, subentry, TERMINAL, _terminal),
                MetaApiBinarySensor(entry, subentry, BROKER, _broker),
            ],
            config_subentry_id=subentry.subentry_id,
        )

    entry.runtime_data.accounts.async_on_account(async_add_account)


class MetaApiBinarySensor(MetaApiStateEntity[bool], BinarySensorEntity):
    """A binary sensor of an account."""

    @property
    @override
    def is_on(self) -> bool | None:
        """Return whether it is connected; None while not known."""
        return self.shown[1]


class MetaApiLinkBinarySensor(MetaApiEntity, BinarySensorEntity):
    """Our own link to MetaApi: always available, since it is there to show its loss."""

    def __init__(self, entry: MetaApiConfigEntry) -> None:
        """Attach it to the hub's device."""
        super().__init__(entry, entry.entry_id, LINK)
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, entry.entry_id)})

    @override
    async def async_added_to_hass(self) -> None:
        """Listen to the link to MetaApi."""
        await super().async_added_to_hass()
        self._attr_is_on = self.monitor.connected
        self.async_on_remove(self.monitor.listen_link(self._async_link_changed))

    @callback
    def _async_link_changed(self) -> None:
        """Write the state when it changed."""
        if self.monitor.connected is not self._attr_is_on:
            self._attr_is_on = self.monitor.connected
            self.async_write_ha_state()

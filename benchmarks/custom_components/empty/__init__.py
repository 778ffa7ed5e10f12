"""The same devices and entities as ours, and nothing behind them: what Home Assistant itself costs."""

from collections.abc import Awaitable, Callable

from homeassistant.config_entries import ConfigEntry
from homeassistant.const import Platform
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.device_registry import DeviceEntryType, DeviceInfo
from homeassistant.helpers.entity import Entity, EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

DOMAIN = "empty"
PLATFORMS = [
    Platform.BINARY_SENSOR,
    Platform.BUTTON,
    Platform.EVENT,
    Platform.SENSOR,
]
type Setup = Callable[
    [HomeAssistant, ConfigEntry, AddConfigEntryEntitiesCallback], Awaitable[None]
]


async def async_setup_entry(hass: HomeAssistant, entry: ConfigEntry) -> bool:
    """Add the hub's device, and the entities."""
    dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id,
        identifiers={(DOMAIN, entry.entry_id)},
        entry_type=DeviceEntryType.SERVICE,
        name="Empty",
        manufacturer="Empty",
        configuration_url="https://example.com",
    )
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    return True


def setup_of(
    kind: type[Entity], *descriptions: EntityDescription, hub: bool = False
) -> Setup:
    """Return the set-up of a platform, which adds entities to each account; the first to the hub, if it has one."""

    def make(owner: str, description: EntityDescription, info: DeviceInfo) -> Entity:
        """Return an entity that knows nothing."""
        entity = kind()
        entity.entity_description = description
        entity._attr_has_entity_name = True  # noqa: SLF001
        entity._attr_should_poll = False  # noqa: SLF001
        entity._attr_translation_key = description.key  # noqa: SLF001
        entity._attr_unique_id = f"{owner}_{description.key}"  # noqa: SLF001
        entity._attr_device_info = info  # noqa: SLF001
        return entity

    async def async_setup_entry(
        hass: HomeAssistant,
        entry: ConfigEntry,
        async_add_entities: AddConfigEntryEntitiesCallback,
    ) -> None:
        """Add the entities of a platform."""
        hubs = (DOMAIN, entry.entry_id)
        if hub:
            info = DeviceInfo(identifiers={hubs})
            async_add_entities([make(entry.entry_id, descriptions[0], info)])
        for subentry in entry.subentries.values():
            account_id = subentry.data["account_id"]
            info = DeviceInfo(
                identifiers={(DOMAIN, account_id)},
                entry_type=DeviceEntryType.SERVICE,
                name=subentry.title,
                manufacturer="Empty",
                model="MetaTrader 5 · Broker-Live",
                serial_number="90210",
                configuration_url=f"https://example.com/{account_id}",
                via_device_id=dr.async_get_device_id_by_identifier(
                    hass, hubs, config_entry_id=entry.entry_id
                ),
            )
            async_add_entities(
                [make(account_id, one, info.copy()) for one in descriptions[hub:]],
                config_subentry_id=subentry.subentry_id,
            )

    return async_setup_entry

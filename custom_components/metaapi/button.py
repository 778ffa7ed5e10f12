"""Buttons: reconnect an account."""

from typing import override

from homeassistant.components.button import (
    ButtonDeviceClass,
    ButtonEntity,
    ButtonEntityDescription,
)
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .data import MetaApiConfigEntry
from .entity import MetaApiAccountEntity
from .services import async_reconnect_or_raise, async_target

# A press takes as long as the reconnect, and the accounts do not get in each other's way
PARALLEL_UPDATES = 0

BUTTONS = (
    ButtonEntityDescription(
        key="reconnect",
        translation_key="reconnect",
        device_class=ButtonDeviceClass.RESTART,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MetaApiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the buttons of an entry."""

    @callback
    def async_add_account(subentry: ConfigSubentry) -> None:
        """Add those of an account."""
        async_add_entities(
            [MetaApiButton(entry, subentry, description) for description in BUTTONS],
            config_subentry_id=subentry.subentry_id,
        )

    entry.runtime_data.accounts.async_on_account(async_add_account)


class MetaApiButton(MetaApiAccountEntity, ButtonEntity):
    """Reconnects an account; always available, since it is needed when nothing else is."""

    @override
    async def async_press(self) -> None:
        """Reconnect the account and tell how it went."""
        await async_reconnect_or_raise(
            self.hass,
            [async_target(self.hass, self.entry, self.account_id)],
            context=self._context,
        )

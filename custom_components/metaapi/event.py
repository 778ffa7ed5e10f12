"""Events: how an attempt to reconnect an account ended."""

from typing import override

from homeassistant.components.event import EventEntity, EventEntityDescription
from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.dispatcher import async_dispatcher_connect
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .api import Outcome, ReconnectResult
from .data import MetaApiConfigEntry
from .entity import MetaApiAccountEntity
from .outages import SIGNAL_RESULT

PARALLEL_UPDATES = 0

EVENTS = (
    EventEntityDescription(
        key="reconnect_result",
        translation_key="reconnect_result",
        event_types=[outcome.value for outcome in Outcome],
    ),
)


async def async_setup_entry(
    hass: HomeAssistant,
    entry: MetaApiConfigEntry,
    async_add_entities: AddConfigEntryEntitiesCallback,
) -> None:
    """Add the events of an entry."""

    @callback
    def async_add_account(subentry: ConfigSubentry) -> None:
        """Add those of an account."""
        async_add_entities(
            [MetaApiEvent(hass, entry, subentry, one) for one in EVENTS],
            config_subentry_id=subentry.subentry_id,
        )

    entry.runtime_data.accounts.async_on_account(async_add_account)


class MetaApiEvent(MetaApiAccountEntity, EventEntity):
    """Fires when an attempt ended; always available, or each gap would be a row in Activity."""

    @override
    async def async_added_to_hass(self) -> None:
        """Listen to the attempts of this account only."""
        await super().async_added_to_hass()
        self.async_on_remove(
            async_dispatcher_connect(
                self.hass,
                SIGNAL_RESULT.format(self.account_id),
                self._async_reconnected,
            )
        )

    @callback
    def _async_reconnected(self, result: ReconnectResult) -> None:
        """Fire with what came of it."""
        self._trigger_event(
            result.outcome,
            {"seconds": round(result.seconds, 1), "error": result.error},
        )
        self._async_write()

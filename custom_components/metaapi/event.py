"""Events: how an attempt to reconnect an account ended, and for Activity the outages around it."""

from typing import override

from homeassistant.components.event import EventEntity, EventEntityDescription
from homeassistant.config_entries import ConfigSubentry
from homeassistant.const import ATTR_ENTITY_ID, ATTR_NAME
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .api import Outcome, ReconnectResult
from .const import ATTR_MESSAGE, EVENT_OUTAGE
from .data import MetaApiConfigEntry
from .entity import MetaApiRecordEntity
from .messages import Phase, Told, async_get_composer
from .outages import Facet, News

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
            [MetaApiEvent(entry, subentry, one) for one in EVENTS],
            config_subentry_id=subentry.subentry_id,
        )

    entry.runtime_data.accounts.async_on_account(async_add_account)


class MetaApiEvent(MetaApiRecordEntity, EventEntity):
    """Fires when an attempt ended; always available, or each gap would be a row in Activity."""

    @override
    async def async_added_to_hass(self) -> None:
        """Note the last value of each facet of the account."""
        await super().async_added_to_hass()
        self._last = {facet: state.last for facet, state in self.record.facets.items()}

    @callback
    @override
    def async_take(self, news: News) -> None:
        """Show in Activity what was recorded, or fire when an attempt ended."""
        if isinstance(news, Facet):
            self._async_recorded(news)
        elif isinstance(news, ReconnectResult):
            self._async_reconnected(news)

    @callback
    def _async_reconnected(self, result: ReconnectResult) -> None:
        """Fire with what came of it."""
        self._trigger_event(
            result.outcome,
            {"seconds": round(result.seconds, 1), "error": result.error},
        )
        self._async_write()

    @callback
    def _async_recorded(self, facet: Facet) -> None:
        """Show in Activity that an outage began, or ended and how long it was.

        The rows of the account's other entities say neither why nor how long.
        """
        record = self.record
        before, last = self._last[facet], record.facets[facet].last
        if last is before:
            return
        self._last[facet] = last
        if before is None:
            return
        told = Told(account_id=self.account_id, entry=self.entry, record=record)
        phase = Phase.BACK if last else Phase.LOST
        name, sentence = async_get_composer(self.hass).row(facet, phase, told)
        self.hass.bus.async_fire(
            EVENT_OUTAGE,
            {
                ATTR_ENTITY_ID: self.entity_id,
                ATTR_NAME: name,
                ATTR_MESSAGE: sentence,
            },
            context=record.attempted_by,
        )

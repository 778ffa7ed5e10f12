"""What the entities share."""

from collections.abc import Callable
from typing import override

from homeassistant.config_entries import ConfigSubentry
from homeassistant.core import callback
from homeassistant.helpers.entity import Entity, EntityDescription

from .api import AccountState
from .const import CONF_ACCOUNT_ID
from .data import MetaApiConfigEntry
from .outages import DATA_OUTAGES, AccountRecord, News


class MetaApiEntity(Entity):
    """An entity that is pushed, and named after its device."""

    _attr_has_entity_name = True
    _attr_should_poll = False

    def __init__(
        self, entry: MetaApiConfigEntry, owner_id: str, description: EntityDescription
    ) -> None:
        """Set what the entities of an account and of the hub have in common."""
        self.entity_description = description
        self.entry = entry
        self.monitor = entry.runtime_data.monitor
        self._attr_unique_id = f"{owner_id}_{description.key}"


class MetaApiAccountEntity(MetaApiEntity):
    """An entity of an account's device."""

    def __init__(
        self,
        entry: MetaApiConfigEntry,
        subentry: ConfigSubentry,
        description: EntityDescription,
    ) -> None:
        """Take the account of a subentry."""
        self.account_id: str = subentry.data[CONF_ACCOUNT_ID]
        super().__init__(entry, self.account_id, description)
        # A description of the device would be compared with it for each entity
        self.device_entry = entry.runtime_data.accounts.async_device(self.account_id)


class MetaApiRecordEntity(MetaApiAccountEntity):
    """An entity of an account that shows what is recorded of it."""

    record: AccountRecord

    @override
    async def async_added_to_hass(self) -> None:
        """Listen to the record of this account only."""
        await super().async_added_to_hass()
        self.record = self.hass.data[DATA_OUTAGES].kept(self.account_id)
        self.record.listeners.append(self)
        # That an entity will be removed is not said of one that could not be added
        self.async_on_remove(self._async_stop_listening)

    @callback
    def _async_stop_listening(self) -> None:
        """Listen no more."""
        self.record.listeners.remove(self)

    @callback
    def async_take(self, news: News) -> None:
        """Show what is new."""
        raise NotImplementedError

    @callback
    def _async_write(self) -> None:
        """Write the state; while an attempt to reconnect is under way, in the name of whoever makes it.

        The context is set anew for each write, since an entity forgets it after a few seconds.
        """
        if self.record.attempted_by is not None:
            self.async_set_context(self.record.attempted_by)
        self.async_write_ha_state()


class MetaApiStateEntity[ValueT: bool | str](MetaApiRecordEntity):
    """An entity that shows one side of an account's state as soon as it changes."""

    shown: tuple[bool, ValueT | None]
    """Whether it is available, and its value."""

    def __init__(
        self,
        entry: MetaApiConfigEntry,
        subentry: ConfigSubentry,
        description: EntityDescription,
        value_fn: Callable[[AccountState], ValueT | None],
    ) -> None:
        """Show what `value_fn` returns; that is no part of the description, whose class would be made at each start."""
        super().__init__(entry, subentry, description)
        self.value_fn = value_fn

    @property
    @override
    def available(self) -> bool:
        """Return whether the account is in sight as far as this entity needs it."""
        return self.shown[0]

    @override
    async def async_added_to_hass(self) -> None:
        """Show this side of the account's state."""
        await super().async_added_to_hass()
        self.shown = self._read()

    @callback
    @override
    def async_take(self, news: News) -> None:
        """Write the state when this side of the account's state changed."""
        if isinstance(news, AccountState) and (now := self._read()) != self.shown:
            self.shown = now
            self._async_write()

    def _read(self) -> tuple[bool, ValueT | None]:
        """Return what is to be shown."""
        # Not what is told: another entry may have the account, and record what it sees
        state = self.monitor.state(self.account_id)
        return self._is_available(state), self.value_fn(state)

    def _is_available(self, state: AccountState) -> bool:
        """Return whether the account is in sight as far as this entity needs it."""
        return state.available

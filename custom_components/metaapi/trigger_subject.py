"""What a trigger is about: a facet of the accounts of a target."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from homeassistant.components.binary_sensor import DOMAIN as BINARY_SENSOR_DOMAIN
from homeassistant.core import HomeAssistant
from homeassistant.helpers.trigger import BEHAVIOR_ALL, BEHAVIOR_EACH

from .outages import AccountRecord, Facet, FacetRecord, Outages
from .targets import TrackedTarget, async_entity_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a trigger."""

    behavior: str
    duration: timedelta | None
    at_start: bool
    together: bool
    attempts: bool
    """Whether attempts that failed are told as well."""
    reconnect_after: tuple[timedelta, ...]
    """When reconnects are due, after the beginning of an outage."""
    lasted: timedelta
    """How long an outage must have lasted for its end to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a trigger is about, and what is known of it."""

    hass: HomeAssistant
    outages: Outages
    target: TrackedTarget
    facet: Facet
    wanted: bool
    """Whether it fires for what is back, or for what is lost."""
    options: Options

    @property
    def each(self) -> bool:
        """Return whether each account counts by itself."""
        return self.options.behavior == BEHAVIOR_EACH

    def key(self, account_id: str) -> str:
        """Return what an account waits under."""
        return account_id if self.each else self.options.behavior

    def record(self, account_id: str) -> AccountRecord:
        """Return what is known of an account."""
        return self.outages.record(account_id)

    def state(self, account_id: str) -> FacetRecord:
        """Return what is known of the facet of an account."""
        return self.outages.facet(account_id, self.facet)

    def last(self, account_id: str) -> bool | None:
        """Return the last value of an account."""
        return self.outages.told_last(account_id, self.facet)

    def current(self, account_id: str) -> bool | None:
        """Return the current value of an account."""
        return self.state(account_id).current

    def holds(self, key: str, value_of: Callable[[str], bool | None]) -> bool:
        """Return whether what turned is still so; what has no value does not count."""
        accounts = self.target.accounts
        if self.each:
            return key in accounts and value_of(key) is self.wanted
        values = list(map(value_of, accounts))
        if self.options.behavior == BEHAVIOR_ALL and (not self.wanted) in values:
            return False
        return self.wanted in values

    def others(
        self, account_id: str, value_of: Callable[[str], bool | None], value: bool
    ) -> list[str]:
        """Return the other accounts of the target that have a value, by their entities."""
        return sorted(
            self.entity_id(other) or other
            for other in self.target.accounts
            if other != account_id and value_of(other) is value
        )

    def entity_id(self, account_id: str) -> str | None:
        """Return the id of the entity that shows what the trigger is about."""
        key = Facet.BROKER if self.facet is Facet.BROKER else Facet.TERMINAL
        return async_entity_id(self.hass, BINARY_SENSOR_DOMAIN, account_id, key)

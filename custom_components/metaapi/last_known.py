"""What was last known of each binary sensor: outlives what hides it, reloads and restarts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from homeassistant.components.binary_sensor import DOMAIN as BINARY_SENSOR_DOMAIN
from homeassistant.config_entries import ConfigEntryState
from homeassistant.const import EVENT_STATE_CHANGED, STATE_OFF, STATE_ON
from homeassistant.core import (
    CALLBACK_TYPE,
    Event,
    EventStateChangedData,
    HomeAssistant,
    State,
    callback,
)
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.singleton import singleton
from homeassistant.helpers.start import async_at_started
from homeassistant.helpers.storage import Store
from homeassistant.util.hass_dict import HassKey

from .api import AccountState, Status
from .const import DOMAIN, LOGGER
from .data import MetaApiConfigEntry
from .targets import TERMINAL_SUFFIX, async_our_sensor

SAVE_DELAY = 10
STORAGE_KEY = f"{DOMAIN}.last_known"
STORAGE_VERSION = 1
VALUES = {STATE_ON: True, STATE_OFF: False}


@dataclass(frozen=True, slots=True)
class Change:
    """A new state of a binary sensor of ours."""

    unique_id: str
    entity_id: str
    from_state: State | None
    to_state: State | None
    turned: bool | None = None
    """What it is now, where that differs from what was last known."""
    first: bool = False
    """Whether it was never known before, since Home Assistant started."""


@dataclass(frozen=True, slots=True)
class _Held:
    """An off that counts only if the reconnect that caused it fails."""

    from_state: State | None
    cancel: CALLBACK_TYPE


class LastKnown:
    """Remembers what was last known and tells listeners of every change."""

    def __init__(
        self, hass: HomeAssistant, store: Store[dict[str, bool]], known: dict[str, bool]
    ) -> None:
        """Prepare, with what was known before Home Assistant stopped."""
        self._hass = hass
        self._store = store
        self._known = known
        """By unique id."""
        self._met: set[str] = set()
        """What of it was seen since Home Assistant started."""
        self._early: dict[str, bool] = {}
        """What was seen before automations run, and is known only then."""
        self._held: dict[str, _Held] = {}
        self._listeners: list[Callable[[Change], None]] = []
        self._started = False

    @callback
    def async_start(self) -> None:
        """Take what there is already, and all that follows."""
        registry = er.async_get(self._hass)
        for config_entry in self._hass.config_entries.async_entries(DOMAIN):
            for entry in er.async_entries_for_config_entry(
                registry, config_entry.entry_id
            ):
                if entry.domain == BINARY_SENSOR_DOMAIN:
                    state = self._hass.states.get(entry.entity_id)
                    self._async_take(entry, None, state)
        # Not `async_track_state_change_event`, which tells of a state when the link may have another
        self._hass.bus.async_listen(
            EVENT_STATE_CHANGED,
            self._async_state_changed,
            event_filter=_is_binary_sensor,
        )
        self._hass.bus.async_listen(
            er.EVENT_ENTITY_REGISTRY_UPDATED,
            self._async_removed,
            event_filter=_is_removal,
        )
        async_at_started(self._hass, self._async_started)

    @callback
    def async_listen(self, listener: Callable[[Change], None]) -> CALLBACK_TYPE:
        """Call back on every new state of a binary sensor of ours; returns what ends it."""
        self._listeners.append(listener)
        return partial(self._listeners.remove, listener)

    @callback
    def known(self, unique_id: str) -> bool | None:
        """Return what was last known of an entity."""
        return self._known.get(unique_id)

    @callback
    def met(self, unique_id: str) -> bool | None:
        """Return what is known of an entity that was seen since Home Assistant started."""
        return self.known(unique_id) if unique_id in self._met else None

    @callback
    def seen(self, unique_id: str) -> bool | None:
        """Return what is known of an entity that is in sight."""
        state = self._async_state(unique_id)
        return self.known(unique_id) if state and state.state in VALUES else None

    @callback
    def _async_state_changed(self, event: Event[EventStateChangedData]) -> None:
        """Take a new state."""
        if entry := async_our_sensor(self._hass, event.data["entity_id"]):
            self._async_take(entry, event.data["old_state"], event.data["new_state"])

    @callback
    def _async_take(
        self, entry: er.RegistryEntry, old: State | None, new: State | None
    ) -> None:
        """Compare a state with what was last known."""
        unique_id = entry.unique_id
        old = self._async_let_go(unique_id, old)
        value = VALUES.get(new.state) if new else None
        known = self._early.get(unique_id, self._known.get(unique_id))
        if value is False and known and (cancel := self._async_hold(entry)):
            self._held[unique_id] = _Held(old, cancel)
            value = None
        if self._started:
            self._async_tell(Change(unique_id, entry.entity_id, old, new), value)
        elif value is not None:
            self._early[unique_id] = value

    @callback
    def _async_hold(self, entry: er.RegistryEntry) -> CALLBACK_TYPE | None:
        """Wait for the outcome, if a reconnect is what turned a terminal off."""
        account_id = entry.unique_id.removesuffix(TERMINAL_SUFFIX)
        config_entry: MetaApiConfigEntry | None = (
            self._hass.config_entries.async_get_entry(entry.config_entry_id or "")
        )
        if (
            account_id == entry.unique_id
            or config_entry is None
            or config_entry.state is not ConfigEntryState.LOADED
        ):
            return None
        monitor = config_entry.runtime_data.monitor
        if not _is_reconnecting(monitor.state(account_id)):
            return None
        return monitor.listen(account_id, partial(self._async_look_again, entry.id))

    @callback
    def _async_let_go(self, unique_id: str, old: State | None) -> State | None:
        """End a wait for an outcome; returns the state before it, else the one passed in."""
        held = self._held.pop(unique_id, None)
        if held is None:
            return old
        held.cancel()
        return held.from_state

    @callback
    def _async_look_again(self, registry_id: str) -> None:
        """Compare again: a reconnect that failed writes no state of its own."""
        if entry := er.async_get(self._hass).entities.get_entry(registry_id):
            self._async_take(entry, None, self._hass.states.get(entry.entity_id))

    @callback
    def _async_tell(self, change: Change, value: bool | None) -> None:
        """Tell listeners of a change, once it is known what it shows."""
        unique_id = change.unique_id
        if value is not None:
            known = self._known.get(unique_id)
            change = replace(
                change,
                turned=value if known is not None and value is not known else None,
                first=unique_id not in self._met,
            )
            self._met.add(unique_id)
            if value is not known:
                self._known[unique_id] = value
                self._store.async_delay_save(self._known.copy, SAVE_DELAY)
        for listener in tuple(self._listeners):
            listener(change)

    @callback
    def _async_started(self, _hass: HomeAssistant) -> None:
        """Tell, one by one, what came of all that happened before automations run."""
        self._started = True
        early, self._early = self._early, {}
        for unique_id, value in early.items():
            if state := self._async_state(unique_id):
                self._async_tell(Change(unique_id, state.entity_id, None, state), value)

    @callback
    def _async_removed(self, _event: Event[er.EventEntityRegistryUpdatedData]) -> None:
        """Forget accounts that are gone, and leave no file behind when the last one goes."""
        gone = self._known.keys() - _only_owned(self._hass, self._known)
        for unique_id in gone:
            del self._known[unique_id]
            self._met.discard(unique_id)
        if gone and self._known:
            self._store.async_delay_save(self._known.copy, SAVE_DELAY)
        elif gone:
            self._hass.async_create_task(self._store.async_remove())

    @callback
    def _async_state(self, unique_id: str) -> State | None:
        """Return the state of an entity."""
        entity_id = er.async_get(self._hass).async_get_entity_id(
            BINARY_SENSOR_DOMAIN, DOMAIN, unique_id
        )
        return self._hass.states.get(entity_id) if entity_id else None


@singleton(HassKey[LastKnown](f"{DOMAIN}_last_known"), async_=True)
async def async_get_last_known(hass: HomeAssistant) -> LastKnown:
    """Return what was last known, as all triggers share it."""
    store = Store[dict[str, bool]](hass, STORAGE_VERSION, STORAGE_KEY)
    try:
        known = await store.async_load() or {}
    except HomeAssistantError as err:
        LOGGER.warning("Could not read what was last known of the terminals: %s", err)
        known = {}
    last_known = LastKnown(hass, store, _only_owned(hass, known))
    last_known.async_start()
    return last_known


def _only_owned(hass: HomeAssistant, known: dict[str, bool]) -> dict[str, bool]:
    """Leave out what is known of accounts that are gone."""
    owners = {
        owner
        for entry in hass.config_entries.async_entries(DOMAIN)
        for owner in (
            entry.entry_id,
            *(subentry.unique_id for subentry in entry.subentries.values()),
        )
    }
    return {
        unique_id: value
        for unique_id, value in known.items()
        if unique_id.rpartition("_")[0] in owners
    }


def _is_reconnecting(link: AccountState) -> bool:
    """Tell whether a terminal is off while a reconnect is under way."""
    return link.terminal is False and link.status is Status.RECONNECTING


@callback
def _is_binary_sensor(data: EventStateChangedData) -> bool:
    """Leave out most of what happens in a home."""
    return data["entity_id"].startswith(f"{BINARY_SENSOR_DOMAIN}.")


@callback
def _is_removal(data: er.EventEntityRegistryUpdatedData) -> bool:
    """Leave out all but removals."""
    return data["action"] == "remove"
